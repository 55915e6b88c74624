import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PAGE_SIZE } from '../../abi/types.ts';
import { EINVAL, ENOSYS, EOPNOTSUPP, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import { HYPERVISOR } from '../../abi/xen/hypercall.ts';
import { P2M_BYTES } from '../../memory/guest-memory.ts';
import { DOMID, RAM_PAGES, TestGuest } from '../fixtures/test-guest.ts';
import { CONTINUE } from './hypercall-context.ts';

const SELF = 0x7ff0;
const PV_ONLY = [
  'set_trap_table',
  'mmu_update',
  'set_gdt',
  'stack_switch',
  'set_callbacks',
  'fpu_taskswitch',
  'sched_op_compat',
  'set_debugreg',
  'get_debugreg',
  'update_descriptor',
  'update_va_mapping',
  'event_channel_op_compat',
  'physdev_op_compat',
  'update_va_mapping_otherdomain',
  'set_segment_base',
  'nmi_op',
  'callback_op',
  'xenoprof_op',
  'kexec_op',
  'tmem_op',
  'arch_0',
  'arch_2',
  'arch_7',
] as const;

describe('dispatch', () => {
  it('refuses callers outside ring 0', () => {
    const g = new TestGuest();
    const caller = g.callers[0];
    if (caller) caller.cpl = 3;
    expect(g.call('xen_version', 0)).toBe(-EPERM);
  });

  it('counts what it cannot answer', () => {
    const g = new TestGuest();
    expect(g.call('set_gdt', 0, 0)).toBe(-ENOSYS);
    expect(g.call('memory_op', 50, 0)).toBe(-ENOSYS);
    g.call('memory_op', 2);
    expect(g.domain.hypercallCounts(HYPERVISOR.memory_op)).toEqual({ calls: 2, unimplemented: 1 });
    const calls = g.calls[0];
    for (const nr of [-1, 64, 11, 2 ** 32 + 17]) expect(calls?.call(g.callers[0] as never, nr)).toBe(-ENOSYS);
  });

  it('answers the calls that are not for a guest with the errors of Xen', () => {
    const g = new TestGuest();
    for (const name of ['platform_op', 'sysctl', 'domctl', 'dm_op', 'hypfs_op', 'arch_1'] as const)
      expect(g.call(name, 0, 0)).toBe(-EPERM);
    for (const name of [...PV_ONLY, 'xsm_op', 'physdev_op', 'iret'] as const) expect(g.call(name, 0, 0)).toBe(-ENOSYS);
    expect(g.call('argo_op', 1)).toBe(-EOPNOTSUPP);
    expect(g.call('xenpmu_op', 0)).toBe(-EOPNOTSUPP);
    expect([0, SELF].map((domid) => g.call('mmuext_op', 0, 0, 0, domid))).toEqual([-EINVAL, -EINVAL]);
    expect([DOMID, 99].map((domid) => g.call('mmuext_op', 0, 0, 0, domid))).toEqual([-ESRCH, -ESRCH]);
  });

  it('traces when asked', () => {
    const g = new TestGuest();
    g.domain.trace.unimplemented.on = true;
    expect(() => g.call('kexec_op', 5)).not.toThrow();
  });
});

describe('a hostile guest', () => {
  /** Numbers at the edges of what structures hold. */
  const word = fc.oneof(
    fc.integer({ min: 0, max: 40 }),
    fc.constantFrom(0x7ff0, 7, 0x7ff2, 63, 64, 1023, 1024, 4095, 4096, 0xfff, 0xfeffc, 0xfefff, 0xfffff, 0x10_0000),
    fc.constantFrom(0x3000, 0x3ff8, 0x3fff, 0x3_fffc, 0xffff_fff8, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff),
    fc.integer({ min: 0, max: 0xffff_ffff }),
  );
  const call = fc.record({
    nr: fc.oneof(fc.constantFrom(12, 12, 13, 17, 20, 24, 24, 29, 32, 32, 34, 15, 18, 21), fc.integer({ min: -1, max: 70 })),
    args: fc.array(fc.oneof(word, fc.constant(0x3000), fc.constant(0x3ffc)), { minLength: 6, maxLength: 6 }),
    high: fc.boolean(),
    words: fc.array(word, { minLength: 10, maxLength: 10 }),
    longMode: fc.boolean(),
    vcpu: fc.integer({ min: 0, max: 1 }),
    advance: fc.constantFrom(0, 1000, 1e6, 1e9),
  });

  it('gets an errno, and touches only its own memory', () => {
    fc.assert(
      fc.property(fc.array(call, { minLength: 1, maxLength: 60 }), (script) => {
        const g = new TestGuest({ vcpus: 2, config: { consoleIo: true } });
        g.domain.offerRing('console');
        const u8 = g.memory.u8;
        const end = g.region.at + g.region.size;
        u8.fill(0x5a, 0, PAGE_SIZE);
        u8.fill(0x5a, end);
        for (const step of script) {
          const calls = g.calls[step.vcpu];
          const caller = g.callers[step.vcpu];
          if (calls === undefined || caller === undefined) throw new Error('no such vCPU');
          caller.longMode = step.longMode;
          g.poke(0x3000, ...step.words);
          g.poke(0x3ffc, ...step.words);
          for (const [i, arg] of step.args.entries()) {
            calls.args.u32[i * 2] = arg;
            calls.args.u32[i * 2 + 1] = step.high && step.longMode ? 0xffff_ffff : 0;
          }
          const result = calls.call(caller, step.nr);
          expect(Number.isInteger(result)).toBe(true);
          expect(result > -4096 || result === CONTINUE).toBe(true);
          g.vcpus[step.vcpu]?.service();
          g.vcpus[step.vcpu]?.mayRun(true);
          g.vcpus[step.vcpu]?.enter(step.advance === 0 ? 0 : 2);
          g.clock.advance(step.advance);
          g.channels.dispatch();
        }
        expect(u8.subarray(0, PAGE_SIZE).every((b) => b === 0x5a)).toBe(true);
        expect(u8.subarray(end).every((b) => b === 0x5a)).toBe(true);
        // The p2m only ever points into the guest's RAM and the pages of the region.
        const p2m = new Uint32Array(g.memory.buffer, PAGE_SIZE, P2M_BYTES / 4);
        const ramAt = PAGE_SIZE + P2M_BYTES;
        const overlays = g.region.at + g.domain.plan.sharedInfo;
        const used = p2m.filter((entry) => entry !== 0).map((entry) => (entry & ~4095) >>> 0);
        expect(used.every((at) => (at >= ramAt && at < ramAt + RAM_PAGES * PAGE_SIZE) || (at >= overlays && at < end))).toBe(
          true,
        );
      }),
      { numRuns: 60 },
    );
  });
});
