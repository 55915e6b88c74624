// Guest-physical memory: the p2m (guest frame to place in the one shared WebAssembly.Memory) and access through it.
import { type Gfn, type Gpa, type HostAddress, PAGE_SIZE } from '../abi/types.ts';
import type { PageSharing } from './page-sharing.ts';

/** Low bits of a p2m entry; the rest is the page's HostAddress. An entry of 0 means: nothing there (MMIO or a hole). */
export const P2M = {
  present: 1 << 0,
  writable: 1 << 1,
  /** Decoded instructions of this page are cached, so the engine must see each store to it. */
  code: 1 << 2,
  /** A mapping of a grant, which goes away with unmap_grant_ref only. */
  grant: 1 << 3,
  flags: PAGE_SIZE - 1,
} as const;

/** The page an entry leads to. */
export const pageOf = (entry: number): HostAddress => ((entry & ~P2M.flags) >>> 0) as HostAddress;

/**
 * Guest frames the p2m covers: 4 GiB of guest-physical address space, where RAM and devices are, and 64 MiB above. There a guest
 * may have the hypervisor's pages put: Xen's PV shim does, since it takes the first frames beyond what its memory map could name.
 */
export const P2M_FRAMES: number = (1 << 20) + (1 << 14);
export const P2M_BYTES: number = P2M_FRAMES * 4;

/**
 * The guest's physical memory as seen from any thread. All state is in the shared buffer; instances are views of it.
 * Reads of holes give all-ones, writes to holes and to read-only pages are dropped, as on hardware.
 */
export class GuestMemory {
  readonly buffer: SharedArrayBuffer;
  /** Views of the whole buffer, indexed by HostAddress. */
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly view: DataView;
  readonly #p2m: Uint32Array;
  #onChange: (gfn: Gfn) => void = () => {};
  /** Where it is noted which pages other threads use; undefined where nobody asks. */
  sharing: PageSharing | undefined;

  constructor(buffer: SharedArrayBuffer, p2mAt: HostAddress) {
    this.buffer = buffer;
    this.u8 = new Uint8Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.view = new DataView(buffer);
    this.#p2m = new Uint32Array(buffer, p2mAt, P2M_FRAMES);
  }

  /** The engine's hook: called when what lies at a frame changes, so that it drops translations and decoded code. */
  onChange(listener: (gfn: Gfn) => void): void {
    this.#onChange = listener;
  }

  /** Puts a page of the buffer at `gfn`; `host` 0 leaves a hole. */
  map(gfn: Gfn, host: HostAddress, writable = true): void {
    if (gfn < 0 || gfn >= P2M_FRAMES) throw new RangeError(`gfn ${gfn} is beyond what the p2m covers`);
    this.#onChange(gfn);
    this.#p2m[gfn] = host === 0 ? 0 : host | P2M.present | (writable ? P2M.writable : 0); // stored as u32
  }

  /**
   * Puts `pages` pages of the buffer, one after another, at `gfn` and the frames behind it; `host` 0 leaves a hole. The engine is told once
   * for all of them, and of each that holds decoded code: for large ranges, as it forgets all translations each time it is told.
   */
  mapRun(gfn: Gfn, host: HostAddress, pages: number, writable = true): void {
    if (gfn < 0 || gfn + pages > P2M_FRAMES)
      throw new RangeError(`gfn ${gfn} to ${gfn + pages} are beyond the 4 GiB the p2m covers`);
    for (let i = 0; i < pages; i++) {
      if ((this.#p2m[gfn + i] as number) & P2M.code) this.#onChange((gfn + i) as Gfn);
      this.#p2m[gfn + i] = host === 0 ? 0 : (host + i * PAGE_SIZE) | P2M.present | (writable ? P2M.writable : 0);
    }
    if (pages > 0) this.#onChange(gfn);
  }

  /** Sets and clears flags of a mapped frame (P2M.code is the engine's). */
  flag(gfn: Gfn, set: number, clear: number): void {
    const entry = this.entry(gfn);
    if (entry !== 0) this.#p2m[gfn] = (entry | set) & ~clear;
  }

  /** Bytes of the frame were stored past the p2m: the engine drops what it decoded from them. */
  stored(gfn: Gfn): void {
    if (this.entry(gfn) & P2M.code) this.#onChange(gfn);
  }

  /** The raw p2m entry, 0 for a hole or a frame beyond the table. */
  entry(gfn: Gfn): number {
    return gfn >= 0 && gfn < P2M_FRAMES ? (this.#p2m[gfn] as number) : 0;
  }

  /** Where a byte of guest-physical memory lies in the buffer, or 0 when there is no memory there. */
  host(gpa: Gpa): HostAddress {
    const entry = this.entry(Math.floor(gpa / PAGE_SIZE) as Gfn);
    return (entry === 0 ? 0 : pageOf(entry) + (gpa % PAGE_SIZE)) as HostAddress;
  }

  isRam(gfn: Gfn): boolean {
    return this.entry(gfn) !== 0;
  }

  /** Copies out of guest memory, page by page. Returns false if any byte was in a hole (read as 0xff). */
  read(gpa: Gpa, into: Uint8Array): boolean {
    let complete = true;
    for (let done = 0; done < into.length; ) {
      const at = (gpa + done) as Gpa;
      const count = Math.min(into.length - done, PAGE_SIZE - (at % PAGE_SIZE));
      const host = this.host(at);
      if (host === 0) {
        into.fill(0xff, done, done + count);
        complete = false;
      } else into.set(this.u8.subarray(host, host + count), done);
      done += count;
    }
    return complete;
  }

  /** Copies into guest memory, page by page. Returns false if any byte fell on a hole or a read-only page. */
  write(gpa: Gpa, from: Uint8Array): boolean {
    let complete = true;
    for (let done = 0; done < from.length; ) {
      const at = (gpa + done) as Gpa;
      const count = Math.min(from.length - done, PAGE_SIZE - (at % PAGE_SIZE));
      const gfn = Math.floor(at / PAGE_SIZE) as Gfn;
      const entry = this.entry(gfn);
      if ((entry & P2M.writable) === 0) complete = false;
      else {
        if (entry & P2M.code) this.#onChange(gfn);
        this.u8.set(from.subarray(done, done + count), pageOf(entry) + (at % PAGE_SIZE));
      }
      done += count;
    }
    return complete;
  }

  readU32(gpa: Gpa): number {
    const host = this.host(gpa);
    return host === 0 ? 0xffff_ffff : this.view.getUint32(host, true);
  }

  writeU32(gpa: Gpa, value: number): void {
    const host = this.host(gpa);
    if (host !== 0) this.view.setUint32(host, value, true);
  }
}
