// A guest that means harm: its pages, its grants and its ports, and what of its memory a backend may have written to.
import { GTF } from '../../src/abi/xen/grant-table.ts';
import { BackendGuest } from '../../src/backends/fixtures/backend-guest.ts';
import { P2M, pageOf } from '../../src/memory/guest-memory.ts';
import { RAM_PAGES } from '../../src/xen/fixtures/test-guest.ts';
import type { Random } from '../native/random.ts';

/** Frames that cases use, the even ones. Those between are never granted, and hold the secret. */
const DATA = { first: 0x08, count: 10 } as const;
const RINGS = { first: 0x1c, count: 13 } as const;
const SECRET = Buffer.from('not to be seen: ');

/** Whether bytes that a backend gave to the host show what the guest never granted. */
export const showsSecret = (bytes: Uint8Array): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(SECRET);
const FIRST_REF = 8;
const LAST_REF = 120;
/** Arguments of hypercalls go here. */
const ARGUMENT = 0x2000;
const MOST_PORTS = 40;

/** Numbers that are wrong in interesting ways. */
export const WILD = [
  0, 1, 2, 3, 7, 8, 11, 16, 31, 32, 33, 63, 64, 255, 256, 257, 511, 512, 1023, 4095, 4096, 4097, 0x7fff, 0xffff, 0x1_0000,
  0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_ffff,
] as const;

export const wild = (random: Random): number => (random.oneIn(3) ? random.u32() : random.pick(WILD));

export class HostileGuest extends BackendGuest {
  readonly version: 1 | 2;
  readonly ports: number[] = [];
  /** What the guest's entries say now. */
  readonly #entries = new Map<number, { readonly frame: number; readonly flags: number; readonly domid: number }>();
  /** Host pages that a backend may have written to since the last look. */
  #touchable = new Set<number>();
  /** Host pages that were named. */
  readonly #named = new Set<number>();
  readonly #ram: number;
  readonly #shadow = new Uint8Array(RAM_PAGES * 4096);
  #turn = 0;
  #grants = 0;

  constructor(random: Random) {
    super();
    this.version = random.oneIn(4) ? 2 : 1;
    if (this.version === 2) this.setVersion(2);
    this.#ram = this.memory.host(0 as never);
    for (let gfn = 3; gfn < 0x38; gfn++) {
      const page = this.page(gfn);
      Buffer.from(page.buffer, page.byteOffset, page.length).fill(gfn % 2 === 0 ? 'a' : SECRET);
    }
    this.#resync();
  }

  /** A frame for data, or now and then one that a ring may be in. */
  anyGfn(random: Random): number {
    const { first, count } = random.oneIn(60) ? RINGS : DATA;
    return first + random.below(count) * 2;
  }

  /** A frame for a ring. */
  nextGfn(): number {
    return RINGS.first + (this.#turn++ % RINGS.count) * 2;
  }

  /** A reference, mostly of a grant that is good. */
  anyRef(random: Random): number {
    if (random.oneIn(12)) return wild(random);
    return FIRST_REF + random.below(LAST_REF - FIRST_REF + 1);
  }

  /** Grants a frame by the next reference, in use or not. */
  offer(gfn: number, flags: number = GTF.permit_access): number {
    const ref = FIRST_REF + (this.#grants++ % (LAST_REF - FIRST_REF + 1));
    this.setEntry(ref, gfn, flags, 0);
    return ref;
  }

  setEntry(ref: number, frame: number, flags: number, domid: number): void {
    this.grant(ref, { frame, flags, domid, middle: this.version === 2 ? (frame & 0xfff) | 0x0100_0000 : 0 });
    this.#entries.set(ref, { frame, flags, domid });
    this.#note(ref);
  }

  /** Changes an entry in a way that a frontend should not. */
  spoil(random: Random): void {
    const ref = FIRST_REF + random.below(LAST_REF - FIRST_REF + 1);
    const flags = random.pick([0, GTF.permit_access, GTF.permit_access, GTF.permit_access | GTF.readonly, 2, 3, 0xffff, 0x101]);
    const frame = random.oneIn(5) ? wild(random) & ~1 : random.oneIn(8) ? random.below(RAM_PAGES) & ~1 : this.anyGfn(random);
    this.setEntry(ref, frame, flags, random.oneIn(8) ? random.pick([7, 5, 0x7ff0, 0xffff]) : 0);
  }

  newPort(): number {
    if (this.ports.length >= MOST_PORTS) this.dropPort(this.ports[0] as number);
    const port = this.openPort();
    if (port > 0) this.ports.push(port);
    return port;
  }

  dropPort(port: number): void {
    const index = this.ports.indexOf(port);
    if (index >= 0) this.ports.splice(index, 1);
    this.call('event_channel_op', 3, this.poke(ARGUMENT, port));
  }

  /** Writes to the guest's own memory, where there is some. */
  putBytes(gfn: number, offset: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length; ) {
      const at = (offset + done) & 4095;
      const count = Math.min(4096 - at, bytes.length - done);
      const frame = gfn + ((offset + done) >>> 12);
      const host = this.#writableHost(frame);
      if (host !== undefined) {
        this.memory.u8.set(bytes.subarray(done, done + count), host + at);
        this.#shadow.set(bytes.subarray(done, done + count), host - this.#ram + at);
      }
      done += count;
    }
  }

  put32(gfn: number, offset: number, value: number): void {
    this.putBytes(gfn, offset, new Uint8Array(Uint32Array.of(value).buffer));
  }

  get32(gfn: number, offset: number): number {
    const host = this.#writableHost(gfn);
    return host === undefined ? 0 : new DataView(this.memory.u8.buffer).getUint32(host + offset, true);
  }

  /** Gives a frame to the balloon, or takes one back: what a backend has mapped stays where it is. */
  balloon(gfn: number): string | undefined {
    const problem = this.look();
    const there = this.memory.entry(gfn as never) !== 0;
    // XENMEM_decrease_reservation, XENMEM_populate_physmap: struct xen_memory_reservation.
    this.poke(ARGUMENT + 0x100, gfn, 0);
    this.call('memory_op', there ? 1 : 6, this.poke(ARGUMENT, ARGUMENT + 0x100, 0, 1, 0, 0, 0, 0x7ff0, 0));
    this.#resync();
    for (const ref of this.#entries.keys()) this.#note(ref);
    return problem;
  }

  /** A frame that is named by its number instead of a grant: backends of vfb and vkbd may write there. */
  name(gfn: number): void {
    const host = this.#writableHost(gfn);
    if (host !== undefined) this.#named.add(host);
  }

  /** Grants that a backend holds. */
  get held(): number[] {
    const { grants } = this.domain;
    const held: number[] = [];
    for (let ref = 0; ref < grants.entries; ref++) if (grants.active.inUse(ref)) held.push(ref);
    return held;
  }

  #noteHeld(): void {
    const { active } = this.domain.grants;
    for (const ref of this.#entries.keys()) if (active.writers(ref) > 0) this.#touchable.add(active.page(ref));
  }

  /** Looks for changes in memory that no backend may make. */
  look(): string | undefined {
    this.#noteHeld();
    let problem: string | undefined;
    const { u8 } = this.memory;
    for (let at = 0; at < this.#shadow.length; at += 4096) {
      const page = u8.subarray(this.#ram + at, this.#ram + at + 4096);
      const expected = this.#shadow.subarray(at, at + 4096);
      // Page 0 and that of arguments are the hypercalls' own.
      if (at === 0 || at === ARGUMENT || Buffer.compare(page, expected) === 0) continue;
      const host = this.#ram + at;
      if (!this.#touchable.has(host) && !this.#named.has(host)) {
        const offset = page.findIndex((byte, i) => byte !== expected[i]);
        problem ??= `page ${at / 4096} of RAM changed at offset ${offset}: ${expected[offset]} became ${page[offset]}`;
      }
      expected.set(page);
    }
    this.#touchable = new Set();
    this.#noteHeld();
    for (const ref of this.#entries.keys()) this.#note(ref);
    return problem;
  }

  /** The platform is new; what is granted, is no more. */
  restart(): string | undefined {
    const problem = this.look();
    this.softReset();
    if (this.version === 2) this.setVersion(2);
    this.ports.length = 0;
    this.#entries.clear();
    this.#resync();
    return problem;
  }

  #note(ref: number): void {
    const entry = this.#entries.get(ref);
    if (entry === undefined || entry.domid !== 0 || (entry.flags & GTF.type_mask) !== GTF.permit_access) return;
    if ((entry.flags & GTF.readonly) !== 0) return;
    const host = this.#writableHost(entry.frame);
    if (host !== undefined) this.#touchable.add(host);
  }

  #writableHost(gfn: number): number | undefined {
    if (gfn >= 0x10_0000) return undefined;
    const entry = this.memory.entry(gfn as never);
    if (entry === 0 || (entry & P2M.writable) === 0) return undefined;
    const host = pageOf(entry);
    return host >= this.#ram && host < this.#ram + this.#shadow.length ? host : undefined;
  }

  #resync(): void {
    this.#shadow.set(this.memory.u8.subarray(this.#ram, this.#ram + this.#shadow.length));
  }
}
