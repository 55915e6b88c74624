// Message signalled interrupts: the capability of a function (PCI Local Bus Specification 3.0, 6.8.1) and what its messages mean to local
// APICs (SDM vol. 3A, 11.11). Without masking of single vectors, which is optional.
import { type ApicMessage, DELIVERY, SHORTHAND } from '../apic/registers.ts';

/** What a function says of itself. */
export interface MsiOptions {
  /** Where in configuration space, 0x40..0xf0, a multiple of 4; 14 bytes. */
  readonly at: number;
  /** How many it can tell apart. Default 1. */
  readonly vectors?: 1 | 2 | 4 | 8 | 16 | 32;
}

const CAPABILITY_ID = 5;
/** Offsets in the capability, of the layout with an address of 64 bits. */
const FIELD = { id: 0, next: 1, control: 2, address: 4, addressHigh: 8, data: 12, sizeof: 14 } as const;
const CONTROL = { enable: 1 << 0, capableShift: 1, enabledShift: 4, vectors: 7, wide: 1 << 7 } as const;

/** Sends a message: an address below 2^64, of which 53 bits count, and 16 bits of data. */
export type MessageSink = (address: number, data: number) => void;

export class Msi {
  readonly #view: DataView;
  readonly #at: number;
  readonly #vectorsShift: number;

  /** Lays the capability out in `config`, and in `mask` what the guest may write. */
  constructor({ at, vectors = 1 }: MsiOptions, config: DataView, mask: DataView) {
    this.#view = config;
    this.#at = at;
    this.#vectorsShift = Math.log2(vectors);
    config.setUint8(at + FIELD.id, CAPABILITY_ID);
    config.setUint16(at + FIELD.control, CONTROL.wide | (this.#vectorsShift << CONTROL.capableShift), true);
    mask.setUint16(at + FIELD.control, CONTROL.enable | (CONTROL.vectors << CONTROL.enabledShift), true);
    mask.setUint32(at + FIELD.address, 0xffff_fffc, true);
    mask.setUint32(at + FIELD.addressHigh, 0xffff_ffff, true);
    mask.setUint16(at + FIELD.data, 0xffff, true);
  }

  get #control(): number {
    return this.#view.getUint16(this.#at + FIELD.control, true);
  }

  /** Whether the guest has turned it on: the INTx pin is then silent (6.8.3.3). */
  get enabled(): boolean {
    return (this.#control & CONTROL.enable) !== 0;
  }

  /** The message of a vector. A function that has fewer than it asked for tells them apart as far as it can (6.8.3.4). */
  send(vector: number, sink: MessageSink): void {
    const shift = Math.min((this.#control >> CONTROL.enabledShift) & CONTROL.vectors, this.#vectorsShift);
    const low = (1 << shift) - 1;
    const data = this.#view.getUint16(this.#at + FIELD.data, true);
    const high = this.#view.getUint32(this.#at + FIELD.addressHigh, true);
    const address = high * 0x1_0000_0000 + this.#view.getUint32(this.#at + FIELD.address, true);
    sink(address, (data & ~low) | (vector & low));
  }
}

const ADDRESS = { fixed: 0xfee, logical: 1 << 2 } as const;

/**
 * What a write of `data` to `address` is to local APICs; undefined for one that is none of theirs. As in Xen, only fixed and
 * lowest-priority messages are delivered (arch/x86/hvm/vmsi.c).
 */
export function messageOf(address: number, data: number): ApicMessage | undefined {
  const low = address >>> 0;
  const mode = (data >> 8) & 7;
  if (address >= 0x1_0000_0000 || low >>> 20 !== ADDRESS.fixed) return undefined;
  if (mode !== DELIVERY.fixed && mode !== DELIVERY.lowestPriority) return undefined;
  const logical = (low & ADDRESS.logical) !== 0;
  const level = (data & (1 << 15)) !== 0;
  return { shorthand: SHORTHAND.none, dest: (low >>> 12) & 0xff, logical, mode, vector: data & 0xff, level };
}
