// The registers of a hypercall, copied once, and a buffer for the structures they point at. Both live as long as the vCPU.
import type { GuestCaller } from '../../vcpu/contract.ts';

/** Arguments 1..6 as index 0..5; from a 32-bit caller the high halves are 0. */
export class HypercallArgs {
  /** Filled by the machine before each call: RDI RSI RDX R10 R8 R9, or EBX ECX EDX ESI EDI EBP. */
  readonly u64: BigUint64Array<ArrayBuffer> = new BigUint64Array(6);
  /** The same registers as halves, low first. */
  readonly u32: Uint32Array<ArrayBuffer> = new Uint32Array(this.u64.buffer);

  /** The low 32 bits. */
  low(index: number): number {
    return this.u32[index * 2] as number;
  }

  high(index: number): number {
    return this.u32[index * 2 + 1] as number;
  }

  /** The whole register, rounded when it exceeds 2^53. */
  number(index: number): number {
    return this.high(index) * 0x1_0000_0000 + this.low(index);
  }

  pointer(index: number): bigint {
    return this.u64[index] as bigint;
  }
}

const LIMIT = 4096;

/** Guest structures are copied here whole, then checked, then used; what the guest does to its own copy meanwhile is its affair. */
export class ArgumentBuffer {
  readonly view: DataView;
  readonly bytes: Uint8Array = new Uint8Array(LIMIT);
  readonly #slices: (Uint8Array | undefined)[] = [];

  constructor() {
    this.view = new DataView(this.bytes.buffer);
  }

  /** Copies `size` (at most 4096) bytes from the guest to the start of the buffer. False: the hypercall fails with -EFAULT. */
  copyIn(caller: GuestCaller, address: bigint, size: number): boolean {
    return caller.readVirtual(address, this.slice(size));
  }

  /** Copies the first `size` bytes of the buffer to the guest. */
  copyOut(caller: GuestCaller, address: bigint, size: number): boolean {
    return caller.writeVirtual(address, this.slice(size));
  }

  /** The first `size` bytes. */
  slice(size: number): Uint8Array {
    let slice = this.#slices[size];
    if (slice === undefined) {
      slice = this.bytes.subarray(0, size);
      this.#slices[size] = slice;
    }
    return slice;
  }
}
