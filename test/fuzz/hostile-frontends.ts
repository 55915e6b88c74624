// Frontends of each kind that know the rules well enough to break them late: rings that connect, requests that are nearly right.
import { XEN_9PFS_INTF } from '../../src/abi/xen/9pfs.ts';
import { BLKIF_NATIVE, BLKIF_OP, BLKIF_PROTOCOLS } from '../../src/abi/xen/blkif.ts';
import { XENCONS } from '../../src/abi/xen/console.ts';
import { XENFB_OUT_RING, XenfbPage } from '../../src/abi/xen/fbif.ts';
import { SRING } from '../../src/abi/xen/ring.ts';
import type { Random } from '../native/random.ts';
import { request9p } from './hostile-9p.ts';
import { type HostileGuest, wild } from './hostile-guest.ts';

export type Keys = Map<string, string | number>;

/** A page that both ends use, and where its indices are. */
export interface SharedPage {
  readonly gfn: number;
  readonly indices: readonly number[];
}

export interface HostileFrontend {
  /** Makes rings and says what is to be written into the frontend's directory. Those of before are left as they are. */
  publish(guest: HostileGuest, random: Random): Keys;
  /** One more request, or a few, mostly good ones. Notifying is the caller's. */
  push(guest: HostileGuest, random: Random): void;
  readonly shared: readonly SharedPage[];
  readonly ports: readonly number[];
}

const RING = [SRING.req_prod, SRING.req_event, SRING.rsp_prod, SRING.rsp_event];
const LITTLE = true;

/** A ring whose pages follow no order. */
class Ring {
  readonly gfns: readonly number[];
  readonly refs: readonly number[];
  readonly entries: number;
  readonly #entryBytes: number;
  #prod: number;

  constructor(guest: HostileGuest, random: Random, pages: number, entryBytes: number) {
    this.gfns = Array.from({ length: pages }, () => guest.nextGfn());
    this.#entryBytes = entryBytes;
    this.entries = 2 ** Math.floor(Math.log2((pages * 4096 - SRING.ring) / entryBytes));
    this.#prod = random.oneIn(3) ? random.pick([0xffff_fffe, 0x7fff_ffff, 5]) : 0;
    const head = Uint32Array.of(this.#prod, this.#prod + 1, this.#prod, this.#prod + 1);
    for (const gfn of this.gfns) guest.putBytes(gfn, 0, new Uint8Array(4096));
    guest.putBytes(this.gfns[0] as number, 0, new Uint8Array(head.buffer));
    this.refs = this.gfns.map((gfn) => guest.offer(gfn));
  }

  put(guest: HostileGuest, entry: Uint8Array): void {
    const start = SRING.ring + (this.#prod & (this.entries - 1)) * this.#entryBytes;
    for (let i = 0; i < entry.length; ) {
      const at = (start + i) & 4095;
      const count = Math.min(entry.length - i, 4096 - at);
      guest.putBytes(this.gfns[(start + i) >>> 12] as number, at, entry.subarray(i, i + count));
      i += count;
    }
    this.#prod = (this.#prod + 1) >>> 0;
  }

  /** @param random now and then an index that is none */
  push(guest: HostileGuest, random: Random): void {
    // A frontend that waits for room most of the time.
    const first = this.gfns[0] as number;
    const used = (this.#prod - guest.get32(first, SRING.rsp_prod)) >>> 0;
    if (used > this.entries && !random.oneIn(10))
      this.#prod = (guest.get32(first, SRING.rsp_prod) + random.below(this.entries)) >>> 0;
    guest.put32(first, SRING.req_prod, this.#prod);
    if (random.oneIn(2)) guest.put32(first, SRING.rsp_event, guest.get32(first, SRING.rsp_prod) + 1);
  }
}

const sharedRings = (rings: readonly Ring[]): SharedPage[] =>
  rings.flatMap(({ gfns }) => gfns.map((gfn, i) => ({ gfn, indices: i === 0 ? RING : [] })));

export class HostileDisk implements HostileFrontend {
  #rings: Ring[] = [];
  #layout = BLKIF_NATIVE;
  ports: number[] = [];

  get shared(): readonly SharedPage[] {
    return sharedRings(this.#rings);
  }

  publish(guest: HostileGuest, random: Random): Keys {
    const keys: Keys = new Map();
    const protocol = random.pick(['x86_64-abi', 'x86_32-abi', '']);
    this.#layout = BLKIF_PROTOCOLS[protocol] ?? BLKIF_NATIVE;
    if (protocol !== '') keys.set('protocol', protocol);
    const queues = random.pick([1, 1, 2, 4]);
    const order = random.pick([0, 0, 0, 1, 2]);
    this.ports = Array.from({ length: queues }, () => guest.newPort());
    this.#rings = this.ports.map(() => new Ring(guest, random, 1 << order, this.#layout.request.sizeof));
    for (const [i, ring] of this.#rings.entries()) {
      const at = queues === 1 ? '' : `queue-${i}/`;
      if (order === 0) keys.set(`${at}ring-ref`, ring.refs[0] as number);
      else for (const [n, ref] of ring.refs.entries()) keys.set(`${at}ring-ref${n}`, ref);
      keys.set(`${at}event-channel`, this.ports[i] as number);
    }
    if (order > 0) keys.set('ring-page-order', order);
    if (queues > 1) keys.set('multi-queue-num-queues', queues);
    keys.set('feature-persistent', random.below(2));
    return keys;
  }

  push(guest: HostileGuest, random: Random): void {
    if (this.#rings.length === 0) return;
    const ring = random.pick(this.#rings);
    for (let count = random.oneIn(8) ? 40 : 1 + random.below(4); count > 0; count--)
      ring.put(guest, this.#request(guest, random));
    ring.push(guest, random);
  }

  #request(guest: HostileGuest, random: Random): Uint8Array {
    const { request, discard, indirect } = this.#layout;
    const bytes = new Uint8Array(request.sizeof);
    const view = new DataView(bytes.buffer);
    const good = !random.oneIn(3);
    const operation = random.oneIn(20)
      ? random.below(256)
      : random.pick([BLKIF_OP.READ, BLKIF_OP.READ, BLKIF_OP.WRITE, BLKIF_OP.WRITE, 2, 3, BLKIF_OP.DISCARD, BLKIF_OP.INDIRECT]);
    request.operation.set(view, 0, operation);
    view.setUint32(request.id.offset, random.u32(), LITTLE);
    const sector = random.oneIn(10) ? random.pick([127, 128, 2 ** 31, 2 ** 32, 2 ** 44, 2 ** 52]) : random.below(16) * 8;
    if (operation === BLKIF_OP.DISCARD) {
      discard.sector_number.set(view, 0, sector);
      discard.nr_sectors.set(view, 0, random.oneIn(4) ? wild(random) : random.below(128));
      discard.flag.set(view, 0, random.oneIn(6) ? random.below(256) : 0);
      return bytes;
    }
    if (operation === BLKIF_OP.INDIRECT) {
      const page = guest.anyGfn(random);
      const count = random.oneIn(5) ? random.pick([0, 33, 256, 257, 512, 513, 4096, 65535]) : 1 + random.below(32);
      for (let i = 0; i < Math.min(count, 512); i++) guest.putBytes(page, i * 8, this.#segment(guest, random, good));
      indirect.indirect_op.set(view, 0, random.oneIn(6) ? random.below(256) : random.below(2));
      indirect.nr_segments.set(view, 0, count);
      indirect.sector_number.set(view, 0, sector);
      for (let i = 0; i < 8; i++) view.setUint32(indirect.indirect_grefs.offset + i * 4, guest.anyRef(random), LITTLE);
      view.setUint32(indirect.indirect_grefs.offset, guest.offer(page, random.pick([1, 1, 5])), LITTLE);
    } else {
      const count = !good && random.oneIn(5) ? random.below(256) : random.below(12);
      request.nr_segments.set(view, 0, count);
      request.sector_number.set(view, 0, sector);
      for (let i = 0; i < Math.min(count, 11); i++) bytes.set(this.#segment(guest, random, good), request.seg.offset + i * 8);
    }
    if (!good && random.oneIn(4)) bytes[random.below(bytes.length)] = random.u32();
    return bytes;
  }

  #segment(guest: HostileGuest, random: Random, good: boolean): Uint8Array {
    const ref =
      !good && random.oneIn(4) ? guest.anyRef(random) : guest.offer(guest.anyGfn(random), !good && random.oneIn(6) ? 5 : 1);
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setUint32(0, ref, LITTLE);
    const odd = !good && random.oneIn(12);
    bytes[4] = odd ? random.below(256) : random.oneIn(3) ? random.below(8) : 0;
    bytes[5] = odd ? random.below(256) : 7;
    return bytes;
  }
}

export class HostileCard implements HostileFrontend {
  #tx: Ring[] = [];
  #rx: Ring[] = [];
  ports: number[] = [];

  get shared(): readonly SharedPage[] {
    return sharedRings([...this.#tx, ...this.#rx]);
  }

  publish(guest: HostileGuest, random: Random): Keys {
    const keys: Keys = new Map();
    const queues = random.pick([1, 1, 2, 4]);
    const split = random.oneIn(2);
    this.#tx = Array.from({ length: queues }, () => new Ring(guest, random, 1, 12));
    this.#rx = Array.from({ length: queues }, () => new Ring(guest, random, 1, 8));
    this.ports = [];
    for (let i = 0; i < queues; i++) {
      const at = queues === 1 ? '' : `queue-${i}/`;
      keys.set(`${at}tx-ring-ref`, this.#tx[i]?.refs[0] as number);
      keys.set(`${at}rx-ring-ref`, this.#rx[i]?.refs[0] as number);
      for (const name of split ? ['event-channel-tx', 'event-channel-rx'] : ['event-channel']) {
        const port = guest.newPort();
        this.ports.push(port);
        keys.set(`${at}${name}`, port);
      }
    }
    if (queues > 1) keys.set('multi-queue-num-queues', queues);
    keys.set('request-rx-copy', 1);
    for (const key of ['feature-rx-notify', 'feature-sg', 'feature-gso-tcpv4', 'feature-gso-tcpv6', 'feature-ipv6-csum-offload'])
      keys.set(key, random.oneIn(5) ? 0 : 1);
    for (const key of ['feature-no-csum-offload', 'request-multicast-control']) if (random.oneIn(4)) keys.set(key, 1);
    return keys;
  }

  push(guest: HostileGuest, random: Random): void {
    const queue = random.below(Math.max(1, this.#tx.length));
    const [tx, rx] = [this.#tx[queue], this.#rx[queue]];
    if (tx === undefined || rx === undefined) return;
    if (random.oneIn(2)) {
      for (let count = random.oneIn(6) ? 64 : random.below(12); count > 0; count--) rx.put(guest, this.#offer(guest, random));
      return rx.push(guest, random);
    }
    for (let count = random.oneIn(8) ? 20 : 1 + random.below(3); count > 0; count--)
      for (const entry of this.#frame(guest, random)) tx.put(guest, entry);
    tx.push(guest, random);
  }

  #offer(guest: HostileGuest, random: Random): Uint8Array {
    const ref = random.oneIn(6) ? guest.anyRef(random) : guest.offer(guest.anyGfn(random), random.oneIn(8) ? 5 : 1);
    return new Uint8Array(Uint32Array.of(random.u32(), ref).buffer);
  }

  /** Slots and extras of one frame. */
  #frame(guest: HostileGuest, random: Random): Uint8Array[] {
    const slots = random.oneIn(12) ? random.below(40) : 1 + random.below(3);
    const sizes = Array.from({ length: slots }, () => (random.oneIn(15) ? random.below(0x1_0000) : 1 + random.below(1500)));
    const total = random.oneIn(8) ? random.below(0x1_0000) : sizes.reduce((sum, size) => sum + size, 0) & 0xffff;
    const extras = random.oneIn(3) ? 1 + random.below(random.oneIn(5) ? 8 : 2) : 0;
    const entries: Uint8Array[] = [];
    for (let i = 0; i < slots; i++) {
      const more = i < slots - 1 !== random.oneIn(40) ? 4 : 0;
      const flags = random.oneIn(40) ? random.below(0x1_0000) : more | random.below(4) | (i === 0 && extras > 0 ? 8 : 0);
      const gfn = guest.anyGfn(random);
      if (i === 0) guest.putBytes(gfn, 0, headers(random));
      const ref = random.oneIn(10) ? guest.anyRef(random) : guest.offer(gfn, random.pick([1, 5]));
      const offset = random.oneIn(8) ? random.below(0x1_0000) : 0;
      const entry = new Uint16Array(6);
      entry.set([ref & 0xffff, ref >>> 16, offset, flags, random.below(0x1_0000), i === 0 ? total : (sizes[i] as number)]);
      entries.push(new Uint8Array(entry.buffer));
      for (let extra = 0; i === 0 && extra < extras; extra++) {
        const type = random.oneIn(6) ? random.below(256) : random.pick([1, 1, 2, 3, 4]);
        const bytes = Uint8Array.from({ length: 12 }, () => random.below(256));
        bytes.set([type, extra < extras - 1 ? 1 : 0]);
        if (type === 1) bytes.set([random.pick([0, 100, 180]), random.pick([0, 1, 5]), random.pick([1, 1, 2, 9]), 0, 0, 0], 2);
        if (type === 2 || type === 3) bytes[2] = 0x33;
        entries.push(bytes);
      }
    }
    return entries;
  }
}

/** The beginning of a frame of IPv4 or IPv6, with TCP or UDP, or of nothing known. */
function headers(random: Random): Uint8Array {
  const bytes = Uint8Array.from({ length: 100 }, () => (random.oneIn(3) ? random.below(256) : 0));
  if (random.oneIn(5)) return bytes;
  const six = random.oneIn(3);
  bytes.set(six ? [0x86, 0xdd, 0x60] : [8, 0, 0x45, 0, random.below(256), random.below(256)], 12);
  bytes[six ? 20 : 23] = random.pick([6, 6, 17, 0, 44, 1]);
  bytes[six ? 66 : 46] = random.pick([0x50, 0x50, 0xf0, 0x40, 0]);
  return bytes;
}

export class HostileConsole implements HostileFrontend {
  shared: SharedPage[] = [];
  ports: number[] = [];

  publish(guest: HostileGuest, random: Random): Keys {
    const gfn = guest.nextGfn();
    const start = random.pick([0, 0xffff_fff0]);
    guest.putBytes(gfn, 0, new Uint8Array(4096));
    guest.putBytes(gfn, XENCONS.in_cons, new Uint8Array(Uint32Array.of(start, start, start, start).buffer));
    this.shared = [{ gfn, indices: [XENCONS.in_cons, XENCONS.in_prod, XENCONS.out_cons, XENCONS.out_prod] }];
    this.ports = [guest.newPort()];
    return new Map([
      ['ring-ref', guest.offer(gfn)],
      ['port', this.ports[0] as number],
    ]);
  }

  push(guest: HostileGuest, random: Random): void {
    const gfn = this.shared[0]?.gfn;
    if (gfn === undefined) return;
    if (random.oneIn(2)) guest.put32(gfn, XENCONS.in_cons, guest.get32(gfn, XENCONS.in_prod));
    guest.putBytes(
      gfn,
      XENCONS.out + random.below(2000),
      Uint8Array.from({ length: 40 }, () => random.below(256)),
    );
    guest.put32(gfn, XENCONS.out_prod, guest.get32(gfn, XENCONS.out_cons) + random.below(2049));
  }
}

export class HostileShare implements HostileFrontend {
  shared: SharedPage[] = [];
  ports: number[] = [];
  #half = 0;
  /** Requests since the rings were made. */
  #begun = 0;
  #rings: (readonly number[])[] = [];

  publish(guest: HostileGuest, random: Random): Keys {
    const keys: Keys = new Map<string, string | number>([['version', '1']]);
    const rings = 1 + random.below(3);
    const order = random.pick([1, 1, 2]);
    this.#half = (4096 << order) / 2;
    this.shared = [];
    this.ports = [];
    this.#rings = [];
    this.#begun = 0;
    keys.set('num-rings', rings);
    for (let i = 0; i < rings; i++) {
      const gfns = Array.from({ length: 1 + (1 << order) }, () => guest.nextGfn());
      const intf = gfns[0] as number;
      const { in_cons, in_prod, out_cons, out_prod, ring_order, ref } = XEN_9PFS_INTF;
      guest.putBytes(intf, 0, new Uint8Array(4096));
      guest.put32(intf, ring_order, random.oneIn(10) ? wild(random) : order);
      for (const [n, gfn] of gfns.slice(1).entries()) guest.put32(intf, ref + n * 4, guest.offer(gfn));
      this.#rings.push(gfns);
      this.shared.push({ gfn: intf, indices: [in_cons, in_prod, out_cons, out_prod, ring_order, ref, ref + 4] });
      for (const gfn of gfns.slice(1)) this.shared.push({ gfn, indices: [] });
      const port = guest.newPort();
      this.ports.push(port);
      keys.set(`ring-ref${i}`, guest.offer(intf));
      keys.set(`event-channel-${i}`, port);
    }
    return keys;
  }

  push(guest: HostileGuest, random: Random): void {
    if (this.#rings.length === 0) return;
    const gfns = random.pick(this.#rings);
    const intf = gfns[0] as number;
    const { in_cons, in_prod, out_prod } = XEN_9PFS_INTF;
    if (!random.oneIn(4)) guest.put32(intf, in_cons, guest.get32(intf, in_prod));
    let prod = guest.get32(intf, out_prod);
    for (let count = 1 + random.below(4); count > 0; count--) {
      const message = request9p(random, this.#begun++);
      for (const byte of message) {
        const at = this.#half + (prod & (this.#half - 1));
        guest.putBytes(gfns[1 + (at >>> 12)] as number, at & 4095, Uint8Array.of(byte));
        prod = (prod + 1) >>> 0;
      }
    }
    guest.put32(intf, out_prod, prod);
  }
}

const EVENT_PAGE = [0, 4, 8, 12];

/** Both devices that share a page of events. */
export class HostileEventPage implements HostileFrontend {
  shared: SharedPage[] = [];
  ports: number[] = [];
  readonly #type: 'vfb' | 'vkbd';

  constructor(type: 'vfb' | 'vkbd') {
    this.#type = type;
  }

  publish(guest: HostileGuest, random: Random): Keys {
    const gfn = guest.nextGfn();
    guest.putBytes(gfn, 0, new Uint8Array(4096));
    const start = random.pick([0, 0, 0xffff_fffe]);
    guest.putBytes(gfn, 0, new Uint8Array(Uint32Array.of(start, start, start, start).buffer));
    this.shared = [{ gfn, indices: EVENT_PAGE }];
    this.ports = [guest.newPort()];
    const keys: Keys = new Map([['event-channel', this.ports[0] as number]]);
    const granted = this.#type === 'vkbd' && random.oneIn(2);
    keys.set('page-ref', gfn);
    if (granted) keys.set('page-gref', guest.offer(gfn));
    for (const key of ['feature-update', 'request-abs-pointer', 'request-raw-pointer', 'request-multi-touch'])
      if (!random.oneIn(3)) keys.set(key, 1);
    if (this.#type === 'vfb') this.#picture(guest, random, gfn, keys);
    return keys;
  }

  push(guest: HostileGuest, random: Random): void {
    const gfn = this.shared[0]?.gfn;
    if (gfn === undefined) return;
    if (random.oneIn(2)) guest.put32(gfn, 0, guest.get32(gfn, 4));
    const prod = guest.get32(gfn, 12);
    const words = Uint32Array.from({ length: 10 }, () => (random.oneIn(4) ? wild(random) : random.below(40)));
    words[0] = random.oneIn(8) ? random.u32() : random.pick([2, 2, 3]);
    const { at, events } = XENFB_OUT_RING;
    guest.putBytes(gfn, at + (prod % events) * 40, new Uint8Array(words.buffer));
    guest.put32(gfn, 12, prod + (random.oneIn(10) ? random.below(60) : 1));
  }

  #picture(guest: HostileGuest, random: Random, gfn: number, keys: Keys): void {
    const wide = random.oneIn(2);
    keys.set('protocol', wide ? 'x86_64-abi' : 'x86_32-abi');
    const page = wide ? XenfbPage.wide : XenfbPage.narrow;
    const bytes = new Uint8Array(page.sizeof);
    const view = new DataView(bytes.buffer);
    const depth = random.pick([8, 16, 24, 32, 32, 32, 0, 255]);
    const [width, height] = [
      random.oneIn(8) ? wild(random) | 0 : 1 + random.below(64),
      random.oneIn(8) ? wild(random) | 0 : 1 + random.below(64),
    ];
    page.width.set(view, 0, width);
    page.height.set(view, 0, height);
    page.depth.set(view, 0, depth);
    page.line_length.set(view, 0, random.oneIn(6) ? wild(random) : width * 4);
    page.mem_length.set(view, 0, random.oneIn(6) ? wild(random) : Math.max(0, width * 4 * height) % 2 ** 32);
    const directory = guest.nextGfn();
    const word = wide ? 8 : 4;
    const list = new Uint8Array(4096);
    const entries = new DataView(list.buffer);
    for (let i = 0; i < 16; i++) entries.setUint32(i * word, random.oneIn(6) ? wild(random) : guest.anyGfn(random), LITTLE);
    guest.putBytes(directory, 0, list);
    view.setUint32(page.pd.offset, random.oneIn(10) ? wild(random) : directory, LITTLE);
    guest.putBytes(gfn, 16, bytes.subarray(16));
  }
}
