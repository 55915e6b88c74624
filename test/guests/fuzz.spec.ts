// Calls with arguments that mean nothing: each has a result, and the guest goes on.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventCalls } from './event-calls.ts';
import { latchWidth, SharedPage } from './shared-page.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { HVMOP, HYPERVISOR, VCPUOP } from './xen-numbers.ts';

/** Errors of public/errno.h that a guest can see here. */
const RESULTS: readonly number[] = [0, 1, 2, 3, 6, 7, 11, 12, 13, 14, 16, 17, 19, 22, 28, 34, 38, 84, 95, 105];
const RUNS = Number(process.env.DOM1_FUZZ_CALLS ?? 300);
const word = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 40 }) },
  { weight: 1, arbitrary: fc.constantFrom(0x7ff0, 0x7ff1, 0xffff_ffff, 0x8000_0000, 0x7fff_ffff, 4096, 1023, 1024, 0x2_0000) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffff_ffff }) },
);
/** Calls whose structures cannot take the memory away that the guest runs in, nor end it. */
const CALLS = [
  ...[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14].map((op) => [HYPERVISOR.event_channel_op, op] as const),
  ...Array.from({ length: 16 }, (_, op) => [HYPERVISOR.xen_version, op] as const),
  ...[HVMOP.get_param, HVMOP.get_time, HVMOP.get_mem_type, HVMOP.flush_tlbs, HVMOP.pagetable_dying, HVMOP.altp2m, 24, 26].map(
    (op) => [HYPERVISOR.hvm_op, op] as const,
  ),
  ...[
    VCPUOP.is_up,
    VCPUOP.get_physid,
    VCPUOP.stop_periodic_timer,
    VCPUOP.set_singleshot_timer,
    VCPUOP.stop_singleshot_timer,
    16,
  ].map((op) => [HYPERVISOR.vcpu_op, op] as const),
  ...[2, 6, 8, 10].map((op) => [HYPERVISOR.grant_table_op, op] as const),
  ...[4, 7].map((op) => [HYPERVISOR.sched_op, op] as const),
  ...[3, 4, 9, 10, 14, 26, 27, 28].map((op) => [HYPERVISOR.memory_op, op] as const),
] as const;

describe.each(WIDTHS)('a %i-bit guest that calls at random', (width) => {
  let events: EventCalls;
  const guest = useProbe(width, (probe) => {
    latchWidth(probe);
    SharedPage.map(probe);
    events = new EventCalls(probe);
  });

  it('gets a result, and its event channels stay whole', { timeout: 60_000 }, () => {
    const { probe } = guest;
    const [readOnly, hole, far] = [probe.readOnly(probe.pages()), probe.hole(), probe.scattered() + 0xff4];
    const near = probe.alloc(256);
    const place = fc.oneof(
      { weight: 6, arbitrary: fc.constant(near) },
      { weight: 2, arbitrary: fc.constant(far) },
      { weight: 1, arbitrary: fc.constantFrom(readOnly, hole, 0xffff_fff8) },
    );
    const call = fc.tuple(fc.constantFrom(...CALLS), place, fc.array(word, { minLength: 8, maxLength: 8 }));
    fc.assert(
      fc.property(call, ([[nr, op], at, words]) => {
        for (const target of [near, far]) probe.put(target, ...words.map((value, i) => [i * 4, 4, value] as const));
        // vcpu_op has the vCPU in between.
        const args = nr === HYPERVISOR.vcpu_op ? [op, (words[0] as number) % 3, at] : [op, at, 1];
        const result = probe.call(nr, ...args);
        if (result < 0) expect(RESULTS).toContain(-result);
        const port = words[1] as number;
        const status = events.status(port);
        if (typeof status === 'number') expect(status).toBe(-22);
        else expect(status.status).toBeLessThanOrEqual(5);
      }),
      { numRuns: RUNS },
    );
    expect(events.reset()).toBe(0);
    expect(events.bindIpi()).toBe(1);
  });
});
