// shared_info as a guest sees it, by hand: public/xen.h, in the layout of either width.
import type { Width } from './guest-code.ts';
import type { Probe } from './probe.ts';
import { OP } from './probe-layout.ts';
import { DOMID, HYPERVISOR, SPACE, XENMEM } from './xen-numbers.ts';

const HYPERCALL_PAGE_MSR = 0x4000_0000;
const PENDING = 0x800;
const MASK = { 64: 0xa00, 32: 0x880 } as const;
const WALLCLOCK = { 64: 0xc00, 32: 0x900 } as const;
const WALLCLOCK_HIGH = { 64: 0xc0c, 32: 0x924 } as const;
const SELECTOR = { 64: 8, 32: 4 } as const;

/** Writes the hypercall page's MSR: shared structures have the guest's width from now on. */
export function latchWidth(probe: Probe): void {
  probe.hypercallPage = probe.pages();
  probe.command(OP.wrmsr, HYPERCALL_PAGE_MSR, probe.hypercallPage, 0);
}

/** struct xen_add_to_physmap */
export function addToPhysmap(
  probe: Probe,
  space: number,
  idx: number | bigint,
  gfn: number | bigint,
  domid: number = DOMID.self,
): number {
  const { word } = probe;
  const at = probe.make(8 + 2 * word, [0, 2, domid], [4, 4, space], [8, word, idx], [8 + word, word, gfn]);
  return probe.call(HYPERVISOR.memory_op, XENMEM.add_to_physmap, at);
}

export class SharedPage {
  readonly at: number;
  readonly width: Width;
  readonly #probe: Probe;

  constructor(probe: Probe, at: number, width: Width = probe.width) {
    this.#probe = probe;
    this.at = at;
    this.width = width;
  }

  /** Maps shared_info at a page of RAM. */
  static map(probe: Probe): SharedPage {
    const at = probe.pages();
    const result = addToPhysmap(probe, SPACE.shared_info, 0, at / 0x1000);
    if (result !== 0) throw new Error(`add_to_physmap: ${result}`);
    return new SharedPage(probe, at);
  }

  /** vcpu_info of vCPU 0 to 31. */
  info(vcpu = 0): number {
    return this.at + vcpu * 64;
  }
  get upcallPending(): number {
    return this.#probe.u8(this.info());
  }
  get selector(): bigint {
    return this.#probe.get(this.info() + SELECTOR[this.width], this.width === 64 ? 8 : 4);
  }
  pending(port: number): boolean {
    return this.#bit(PENDING, port);
  }
  masked(port: number): boolean {
    return this.#bit(MASK[this.width], port);
  }
  mask(port: number): void {
    this.#probe.setBits(this.at + MASK[this.width] + (port >> 5) * 4, 1 << (port & 31));
  }
  clearMask(port: number): void {
    this.#probe.clearBits(this.at + MASK[this.width] + (port >> 5) * 4, 1 << (port & 31));
  }
  clearPending(port: number): void {
    this.#probe.clearBits(this.at + PENDING + (port >> 5) * 4, 1 << (port & 31));
  }
  /** As after an upcall whose events were all served. */
  settle(): void {
    this.#probe.put(this.info(), [0, 1, 0], [SELECTOR[this.width], this.width === 64 ? 8 : 4, 0]);
    this.#probe.write(this.at + PENDING, new Uint8Array(this.width === 64 ? 512 : 128));
  }
  /** The selector's bit for a port. */
  word(port: number): bigint {
    return 1n << BigInt(Math.floor(port / this.width));
  }

  get wallclock(): { readonly version: number; readonly seconds: number; readonly nanoseconds: number } {
    const probe = this.#probe;
    const at = this.at + WALLCLOCK[this.width];
    const seconds = probe.u32(this.at + WALLCLOCK_HIGH[this.width]) * 2 ** 32 + probe.u32(at + 4);
    return { version: probe.u32(at), seconds, nanoseconds: probe.u32(at + 8) };
  }

  #bit(bitmap: number, port: number): boolean {
    return ((this.#probe.u32(this.at + bitmap + (port >> 5) * 4) >>> (port & 31)) & 1) !== 0;
  }
}
