// The FIFO ABI with guests that break its rules, and in any order of things that may happen.
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { EINVAL } from '../../abi/xen/errno.ts';
import { EVENT_WORD, EVTCHNOP } from '../../abi/xen/event-channel.ts';
import { blockOffset, CONTROL, drain, fifoGuest, SELF, SHARED } from '../fixtures/fifo-guest.ts';

describe('a guest that interferes', () => {
  it('with a tail word while it is linked is followed up to four changes', () => {
    const { g, ipis, op, consumer } = fifoGuest();
    ipis(3);
    op(EVTCHNOP.send, 1);
    const c = consumer();
    const real = Atomics.compareExchange;
    let left = 3;
    // The guest masks and unmasks the tail just before each of our attempts to set its link.
    const spy = vi.spyOn(Atomics, 'compareExchange').mockImplementation(((
      words: Int32Array,
      index: number,
      a: number,
      b: number,
    ) => {
      if (index === c.wordIndex(1) && left-- > 0) Atomics.xor(words, index, EVENT_WORD.masked);
      return real(words, index, a, b);
    }) as typeof Atomics.compareExchange);
    op(EVTCHNOP.send, 2);
    spy.mockRestore();
    expect(left).toBeLessThan(0);
    expect(c.word(1) & (EVENT_WORD.link | EVENT_WORD.busy)).toBe(2);
    Atomics.and(g.memory.i32, c.wordIndex(1), ~EVENT_WORD.masked);
    expect(drain(c)).toEqual([
      [1, 7],
      [2, 7],
    ]);
  });

  it('by taking the tail off meanwhile gets the event at the head of the queue', () => {
    const { ipis, op, consumer } = fifoGuest();
    ipis(3);
    op(EVTCHNOP.send, 1);
    const c = consumer();
    const real = Atomics.compareExchange;
    const early: [number, number][] = [];
    let once = true;
    const spy = vi.spyOn(Atomics, 'compareExchange').mockImplementation(((
      words: Int32Array,
      index: number,
      a: number,
      b: number,
    ) => {
      if (index === c.wordIndex(1) && once) {
        once = false;
        spy.mockRestore();
        early.push(...drain(c));
      }
      return real(words, index, a, b);
    }) as typeof Atomics.compareExchange);
    op(EVTCHNOP.send, 2);
    expect(early).toEqual([[1, 7]]);
    expect(c.word(1)).toBe(0);
    expect(drain(c)).toEqual([[2, 7]]);
  });

  it('without end loses the event, and the hypervisor goes on', () => {
    const { ipis, op, consumer } = fifoGuest();
    ipis(3);
    op(EVTCHNOP.send, 1);
    const c = consumer();
    const real = Atomics.compareExchange;
    const spy = vi.spyOn(Atomics, 'compareExchange').mockImplementation(((
      words: Int32Array,
      index: number,
      a: number,
      b: number,
    ) => {
      if (index === c.wordIndex(1)) Atomics.xor(words, index, EVENT_WORD.masked);
      return real(words, index, a, b);
    }) as typeof Atomics.compareExchange);
    expect(op(EVTCHNOP.send, 2)).toBe(0);
    spy.mockRestore();
    expect(c.word(1) & EVENT_WORD.busy).toBe(0);
    expect(op(EVTCHNOP.send, 3)).toBe(0);
  });

  it('by writing anything into its words and control blocks harms nobody', () => {
    const { g, ipis, op, consumer } = fifoGuest(2);
    ipis(20, 0);
    ipis(20, 1);
    const c = consumer();
    const step = fc.record({
      port: fc.integer({ min: 0, max: 1023 }),
      word: fc.integer(),
      send: fc.integer({ min: 0, max: 63 }),
      priority: fc.integer({ min: 0, max: 15 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        for (const { port, word, send, priority } of steps) {
          Atomics.store(g.memory.i32, c.wordIndex(port), word);
          g.poke(CONTROL * 4096 + blockOffset(send & 1) + (port % 18) * 4, word);
          const valid = send > 0 && send <= 40;
          expect(op(EVTCHNOP.send, send)).toBe(valid ? 0 : -EINVAL);
          if (valid) expect(op(EVTCHNOP.set_priority, send, priority)).toBe(0);
          if (valid) expect(g.domain.events.isPending(send)).toBe(true);
          expect(op(EVTCHNOP.unmask, send)).toBe(0);
        }
      }),
      { numRuns: 300 },
    );
    for (let gfn = 0; gfn < 0x18; gfn++) if (gfn !== SHARED && gfn !== 2) expect(g.peek(gfn * 4096 + 8)).toBe(0); // nothing was written elsewhere
  });
});

describe('any order of raises, priorities, masks and consumption', () => {
  const PORTS = 24;
  const port = fc.integer({ min: 1, max: PORTS });
  const action = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('send' as const), port }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('priority' as const), port, value: fc.integer({ min: 0, max: 15 }) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('mask' as const), port }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('unmask' as const), port }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('vcpu' as const), port, value: fc.integer({ min: 0, max: 1 }) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('consume' as const), vcpu: fc.integer({ min: 0, max: 1 }) }) },
  );

  it('loses no event, delivers none twice, and leaves nothing queued without a ready bit', () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 80 }), (actions) => {
        const { g, op, consumer } = fifoGuest(2);
        for (let i = 1; i <= PORTS; i++) op(EVTCHNOP.alloc_unbound, SELF);
        const consumers = [consumer(0), consumer(1)];
        const waiting = new Set<number>();
        const take = (got: number) => {
          expect(waiting.delete(got)).toBe(true);
        };
        const { events } = g.domain;
        for (const a of actions) {
          switch (a.do) {
            case 'send':
              events.setPending(a.port);
              waiting.add(a.port);
              break;
            case 'priority':
              expect(op(EVTCHNOP.set_priority, a.port, a.value)).toBe(0);
              break;
            case 'vcpu':
              expect(op(EVTCHNOP.bind_vcpu, a.port, a.value)).toBe(0);
              break;
            case 'mask':
              consumers[0]?.mask(a.port);
              break;
            case 'unmask':
              if (!consumers[0]?.tryUnmask(a.port)) expect(op(EVTCHNOP.unmask, a.port)).toBe(0);
              break;
            case 'consume':
              consumers[a.vcpu]?.consume(take);
              break;
          }
        }
        for (let i = 1; i <= PORTS; i++) if (!consumers[0]?.tryUnmask(i)) op(EVTCHNOP.unmask, i);
        for (const c of consumers) c.consume(take);
        expect([...waiting]).toEqual([]);
        for (const c of consumers) expect(c.ready).toBe(0);
        for (let i = 1; i <= PORTS; i++) expect(consumers[0]?.word(i)).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});
