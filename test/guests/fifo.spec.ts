// FIFO event channels: xen/common/event_fifo.c, public/event_channel.h. The tests are the consumer.
import { describe, expect, it } from 'vitest';
import { EventCalls } from './event-calls.ts';
import type { Probe } from './probe.ts';
import { latchWidth, SharedPage } from './shared-page.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { DOMID, E, EVTCHNOP } from './xen-numbers.ts';

const PAGE = 0x1000;
const UPCALL = 0x61;
const PENDING = 1 << 31;
const MASKED = 1 << 30;
const LINKED = 1 << 29;
const LINK = (1 << 17) - 1;
const DEFAULT_PRIORITY = 7;
const WORDS = 1024;

/** What a guest keeps: where its queues stand. */
class Consumer {
  readonly #probe: Probe;
  readonly #control: number;
  readonly #pages: number[] = [];
  readonly #heads = new Array<number>(16).fill(0);

  constructor(probe: Probe, control: number) {
    this.#probe = probe;
    this.#control = control;
  }
  addPage(at: number): void {
    this.#pages.push(at);
  }
  /** Address of a port's event word. */
  at(port: number): number {
    return (this.#pages[Math.floor(port / WORDS)] as number) + (port % WORDS) * 4;
  }
  word(port: number): number {
    return this.#probe.u32(this.at(port)) | 0;
  }
  get ready(): number {
    return this.#probe.u32(this.#control);
  }
  /** Takes every event, highest priority first, and returns the ports in that order. */
  consume(): number[] {
    const probe = this.#probe;
    const taken: number[] = [];
    for (;;) {
      const { ready } = this;
      if (ready === 0) return taken;
      const priority = 31 - Math.clz32(ready & -ready);
      const port = this.#heads[priority] || probe.u32(this.#control + 8 + priority * 4);
      const link = this.word(port) & LINK;
      probe.clearBits(this.at(port), LINKED | LINK);
      if (link === 0) probe.clearBits(this.#control, 1 << priority);
      this.#heads[priority] = link;
      const word = this.word(port);
      if (word & PENDING && !(word & MASKED)) {
        probe.clearBits(this.at(port), PENDING);
        taken.push(port);
      }
    }
  }
}

describe.each(WIDTHS)('FIFO event channels of a %i-bit guest', (width) => {
  let events: EventCalls;
  let shared: SharedPage;
  let consumer: Consumer;
  let array: number;
  const guest = useProbe(width, (probe) => {
    latchWidth(probe);
    events = new EventCalls(probe);
    shared = SharedPage.map(probe);
    events.reset();
    shared.settle();
  });
  /** struct evtchn_init_control */
  const initControl = (gfn: number | bigint, offset = 0, vcpu = 0): number => {
    const { probe } = guest;
    const at = probe.make(24, [0, 8, gfn], [8, 4, offset], [12, 4, vcpu], [16, 1, 0xaa]);
    const result = events.op(EVTCHNOP.init_control, at);
    return result === 0 ? probe.u8(at + 16) : result;
  };
  const expand = (gfn: number | bigint): number => events.op(EVTCHNOP.expand_array, guest.probe.make(8, [0, 8, gfn]));

  it('is off until init_control', () => {
    const port = events.bindIpi();
    expect(expand(guest.probe.pages() / PAGE)).toBe(E.OPNOTSUPP);
    expect(events.setPriority(port, 3)).toBe(E.NOSYS);
    events.close(port);
    for (const op of [EVTCHNOP.init_control, EVTCHNOP.expand_array, EVTCHNOP.set_priority])
      expect(events.op(op, guest.probe.hole())).toBe(E.FAULT);
  });

  it('init_control refuses places that are none', () => {
    const gfn = guest.probe.pages() / PAGE;
    expect(initControl(gfn, 0, 200)).toBe(E.NOENT);
    expect(initControl(gfn, PAGE - 71)).toBe(E.INVAL);
    expect(initControl(gfn, PAGE - 64)).toBe(E.INVAL);
    expect(initControl(gfn, 4)).toBe(E.INVAL);
    expect(initControl(0xd_0000)).toBe(E.INVAL);
  });

  it('init_control switches, and carries over what is pending', () => {
    const { probe } = guest;
    probe.vcpuInfo = shared.info();
    const early = events.bindIpi();
    shared.mask(early);
    events.send(early);
    expect(shared.pending(early)).toBe(true);
    const control = probe.pages();
    expect(initControl(control / PAGE, 0x40)).toBe(17);
    expect(initControl(control / PAGE, 0x40)).toBe(E.INVAL);
    consumer = new Consumer(probe, control + 0x40);
    array = probe.pages();
    consumer.addPage(array);
    // An event for a port without a word waits for one.
    const waiting = events.bindIpi();
    expect(events.send(waiting)).toBe(0);
    expect(expand(0xd_0000)).toBe(E.INVAL);
    expect(expand(array / PAGE)).toBe(0);
    for (const port of [early, waiting]) expect(consumer.word(port) & PENDING).toBe(PENDING);
    shared.settle();
    for (const port of [early, waiting]) probe.clearBits(consumer.at(port), MASKED | PENDING);
    consumer.consume();
    for (const port of [early, waiting]) events.close(port);
  });

  it('an event sets PENDING, links the word, marks the queue ready and raises an upcall', async () => {
    const { probe } = guest;
    probe.interrupts(true);
    events.upcallVector(UPCALL);
    await probe.until('the first upcall', () => probe.count(UPCALL) === 1);
    const ports = [events.bindIpi(), events.bindIpi(), events.bindIpi()] as const;
    for (const port of ports) probe.clearBits(consumer.at(port), MASKED);
    events.send(ports[2]);
    await probe.until('an upcall', () => probe.count(UPCALL) === 2);
    expect(consumer.ready).toBe(1 << DEFAULT_PRIORITY);
    expect(consumer.word(ports[2])).toBe(PENDING | LINKED | 0);
    // The queue is not empty: no further upcall.
    events.send(ports[0]);
    events.send(ports[0]);
    expect(consumer.word(ports[2])).toBe(PENDING | LINKED | ports[0] | 0);
    expect(consumer.consume()).toEqual([ports[2], ports[0]]);
    expect(probe.count(UPCALL)).toBe(2);
    for (const port of ports) expect(consumer.word(port)).toBe(0);
    events.send(ports[1]);
    await probe.until('an upcall', () => probe.count(UPCALL) === 3);
    expect(consumer.consume()).toEqual([ports[1]]);
    for (const port of ports) events.close(port);
    probe.interrupts(false);
  });

  it('set_priority chooses the queue; lower numbers come first', () => {
    const { probe } = guest;
    const ports = [events.bindIpi(), events.bindIpi(), events.bindIpi()] as const;
    for (const port of ports) probe.clearBits(consumer.at(port), MASKED);
    expect(events.setPriority(ports[0], 15)).toBe(0);
    expect(events.setPriority(ports[2], 0)).toBe(0);
    expect(events.setPriority(ports[1], 16)).toBe(E.INVAL);
    expect(events.setPriority(0x2_0000, 3)).toBe(E.INVAL);
    for (const port of ports) events.send(port);
    expect(consumer.ready).toBe((1 << 15) | (1 << DEFAULT_PRIORITY) | 1);
    expect(consumer.consume()).toEqual([ports[2], ports[1], ports[0]]);
    for (const port of ports) events.close(port);
  });

  it('a masked event is linked by unmask', () => {
    const { probe } = guest;
    const port = events.bindIpi();
    probe.setBits(consumer.at(port), MASKED);
    events.send(port);
    expect(consumer.word(port) & (PENDING | MASKED | LINKED)).toBe(PENDING | MASKED | 0);
    expect(consumer.ready).toBe(0);
    expect(events.unmask(port)).toBe(0);
    expect(consumer.word(port)).toBe(PENDING | LINKED | 0);
    expect(consumer.consume()).toEqual([port]);
    events.close(port);
  });

  it('a hundred ports keep their order', () => {
    const { probe } = guest;
    const ports = Array.from({ length: 100 }, () => events.bindIpi());
    for (const port of ports) probe.clearBits(consumer.at(port), MASKED);
    const order = [...ports].sort((a, b) => ((a * 37) % 101) - ((b * 37) % 101));
    for (const port of order) events.send(port);
    expect(consumer.consume()).toEqual(order);
    for (const port of ports) events.close(port);
  });

  it('expand_array takes up to 128 pages, however many ports there may be', () => {
    const gfn = guest.probe.pages() / PAGE;
    for (let page = 1; page < 128; page++) expect(expand(gfn)).toBe(0);
    expect(expand(gfn)).toBe(E.NOSPC);
  });

  it('reset goes back to two levels', () => {
    const { probe } = guest;
    expect(events.reset()).toBe(0);
    shared.settle();
    expect(expand(array / PAGE)).toBe(E.OPNOTSUPP);
    const [a, b] = events.loopback();
    shared.settle();
    probe.write(array, new Uint8Array(64));
    expect(events.send(a)).toBe(0);
    expect(shared.pending(b)).toBe(true);
    expect(consumer.word(b)).toBe(0);
    expect(events.bindInterdomain(DOMID.self, a)).toBe(E.INVAL);
  });
});
