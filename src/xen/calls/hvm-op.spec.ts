import { describe, expect, it } from 'vitest';
import { EEXIST, EFAULT, EINVAL, ENODEV, ENOENT, ENOSYS, EOPNOTSUPP, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import { HVM_PARAM, HVMOP } from '../../abi/xen/hvm.ts';
import { SHUTDOWN } from '../../abi/xen/sched.ts';
import { TestGuest } from '../fixtures/test-guest.ts';

const ARG = 0x2000;
const SELF = 0x7ff0;

const set = (g: TestGuest, index: number, low: number, high = 0, domid = SELF) =>
  g.call('hvm_op', HVMOP.set_param, g.poke(ARG, domid, index, low, high));
const get = (g: TestGuest, index: number, domid = SELF): number | bigint => {
  const result = g.call('hvm_op', HVMOP.get_param, g.poke(ARG, domid, index, 0x7777, 0x7777));
  return result === 0 ? g.peek64(ARG + 8) : result;
};

describe('parameters', () => {
  it('give the rings once they are offered, and 0 before', () => {
    const g = new TestGuest();
    const params = [HVM_PARAM.STORE_PFN, HVM_PARAM.STORE_EVTCHN, HVM_PARAM.CONSOLE_PFN, HVM_PARAM.CONSOLE_EVTCHN];
    expect(params.map((p) => get(g, p))).toEqual([0n, 0n, 0n, 0n]);
    expect(g.domain.offerRing('store')).toBe(1);
    expect(g.domain.offerRing('console')).toBe(2);
    expect(params.map((p) => get(g, p))).toEqual([0xfeffcn, 1n, 0xfefffn, 2n]);
  });

  it('have the access rights of an unprivileged guest', () => {
    const g = new TestGuest();
    expect(set(g, HVM_PARAM.STORE_PFN, 1)).toBe(-EPERM);
    expect(set(g, HVM_PARAM.CONSOLE_PFN, 1)).toBe(-EPERM);
    for (const index of [HVM_PARAM.STORE_EVTCHN, HVM_PARAM.CONSOLE_EVTCHN, HVM_PARAM.VM_GENERATION_ID_ADDR]) {
      expect(set(g, index, 9, 1)).toBe(0);
      expect(get(g, index)).toBe(0x1_0000_0009n);
    }
    for (const index of [5, 6, 9, 10, 11, 12, 14, 16, 27, 28, 29, 31, 32, 33, 38]) {
      expect(set(g, index, 1)).toBe(-EPERM);
      expect(get(g, index)).toBe(-EPERM);
    }
    for (const index of [3, 4, 7, 8, 13, 20, 21, 22, 23, 24, 25, 26, 30, 39, 0xffff_ffff]) {
      expect(set(g, index, 1)).toBe(-EINVAL);
      expect(get(g, index)).toBe(-EINVAL);
    }
    expect(set(g, HVM_PARAM.ALTP2M, 1)).toBe(-EEXIST);
    expect(get(g, HVM_PARAM.ALTP2M)).toBe(0n);
    expect(set(g, HVM_PARAM.ACPI_IOPORTS_LOCATION, 1)).toBe(-ENODEV);
    expect(set(g, HVM_PARAM.X87_FIP_WIDTH, 3)).toBe(-EINVAL);
    expect(set(g, HVM_PARAM.X87_FIP_WIDTH, 8)).toBe(0);
    expect(get(g, 1, 99)).toBe(-ESRCH);
    expect(get(g, 1, 0)).toBe(-EPERM);
    expect(g.call('hvm_op', HVMOP.get_param, 0xdead_0000)).toBe(-EFAULT);
  });

  it('store the VM86 TSS in its sized form', () => {
    const g = new TestGuest();
    expect(set(g, HVM_PARAM.VM86_TSS, 0xf000)).toBe(0);
    expect(get(g, HVM_PARAM.VM86_TSS_SIZED)).toBe((128n << 32n) | 0xf000n);
    expect(get(g, HVM_PARAM.VM86_TSS)).toBe(0xf000n);
    expect(set(g, HVM_PARAM.VM86_TSS_SIZED, 0xf000, 4)).toBe(-EINVAL);
    expect(g.domain.shutdownReason).toBe(SHUTDOWN.crash);
  });
});

describe('CALLBACK_IRQ', () => {
  it('latches the width and rewrites the wallclock where that width has it', () => {
    const g = new TestGuest();
    const shared = g.mapSharedInfo(0x10);
    const caller = g.callers[0];
    if (caller) caller.longMode = false;
    expect(set(g, HVM_PARAM.CALLBACK_IRQ, 1)).toBe(0);
    expect(g.domain.narrow).toBe(true);
    expect([0x900, 0x904, 0x908, 0x924].map((o) => g.peek(shared + o))).toEqual([2, 0x2345_6789, 42, 1]);
    if (caller) caller.longMode = true;
    set(g, HVM_PARAM.CALLBACK_IRQ, 1);
    expect(g.domain.narrow).toBe(false);
    expect(g.peek(shared + 0xc0c)).toBe(1);
    expect(get(g, HVM_PARAM.CALLBACK_IRQ)).toBe(1n);
  });

  it('of type vector is due on any vCPU while its upcall_pending is set; other types do nothing', () => {
    const g = new TestGuest();
    const shared = g.mapSharedInfo(0x10);
    g.call('event_channel_op', 7, g.poke(ARG, 0, 0));
    set(g, HVM_PARAM.CALLBACK_IRQ, 1);
    g.call('event_channel_op', 4, g.poke(ARG, 1));
    expect(g.vcpus[0]?.callbackVector()).toBe(-1);
    expect(set(g, HVM_PARAM.CALLBACK_IRQ, 0xf3, 2 << 24)).toBe(0);
    expect(g.vcpus[0]?.callbackVector()).toBe(0xf3);
    g.poke(shared, 0);
    expect(g.vcpus[0]?.callbackVector()).toBe(-1);
    expect(set(g, HVM_PARAM.CALLBACK_IRQ, 0, 9 << 24)).toBe(0);
  });
});

describe('the upcall vector', () => {
  it('is raised at registration, and again when the LAPIC comes on with an event pending', () => {
    const g = new TestGuest();
    const shared = g.mapSharedInfo(0x10);
    expect(g.call('hvm_op', HVMOP.set_evtchn_upcall_vector, g.poke(ARG, 0, 0xf3))).toBe(0);
    g.vcpus[0]?.service();
    expect(g.vectors).toEqual([[0, 0xf3]]);
    g.vcpus[0]?.lapicEnabled();
    expect(g.vectors.length).toBe(1);
    g.poke(shared, 1);
    g.vcpus[0]?.lapicEnabled();
    expect(g.vectors.length).toBe(2);
  });

  it('is at least 0x10 and for a vCPU that exists', () => {
    const g = new TestGuest();
    expect(g.call('hvm_op', HVMOP.set_evtchn_upcall_vector, g.poke(ARG, 0, 0x0f))).toBe(-EINVAL);
    expect(g.call('hvm_op', HVMOP.set_evtchn_upcall_vector, g.poke(ARG, 1, 0xf3))).toBe(-ENOENT);
  });
});

it('answers the rest', () => {
  const g = new TestGuest();
  expect(g.call('hvm_op', HVMOP.flush_tlbs, 0)).toBe(0);
  expect(g.flushes).toBe(1);
  expect(g.call('hvm_op', HVMOP.flush_tlbs, 8)).toBe(-EINVAL);
  g.clock.advance(12345);
  expect(g.call('hvm_op', HVMOP.get_time, ARG)).toBe(0);
  expect(g.peek64(ARG)).toBe(12345n);
  expect(g.call('hvm_op', HVMOP.get_mem_type, g.poke(ARG, SELF, 0, 1, 0))).toBe(0);
  expect(g.peek(ARG) >>> 16).toBe(0);
  expect(g.call('hvm_op', HVMOP.get_mem_type, g.poke(ARG, SELF, 0, 0x999, 0))).toBe(0);
  expect(g.peek(ARG) >>> 16).toBe(2);
  expect(g.call('hvm_op', HVMOP.xentrace, g.poke(ARG, 0x1c_0fff))).toBe(0);
  expect(g.call('hvm_op', HVMOP.xentrace, g.poke(ARG, 0x1d_0fff))).toBe(-EINVAL);
  expect(g.call('hvm_op', HVMOP.xentrace, g.poke(ARG, 0x1000))).toBe(-EINVAL);
  expect(g.call('hvm_op', HVMOP.xentrace, 0xdead_0000)).toBe(-EFAULT);
  const dying = (domid: number) => g.call('hvm_op', HVMOP.pagetable_dying, g.poke(ARG, domid, 0, 0, 0));
  expect([SELF, 0, 99].map(dying)).toEqual([-EINVAL, -EOPNOTSUPP, -ESRCH]);
  expect(g.call('hvm_op', HVMOP.pagetable_dying, 0xdead_0000)).toBe(-EFAULT);
  expect(g.call('hvm_op', HVMOP.guest_request_vm_event, 0)).toBe(0);
  expect(g.call('hvm_op', HVMOP.guest_request_vm_event, ARG)).toBe(-EINVAL);
  expect(g.call('hvm_op', HVMOP.altp2m, ARG)).toBe(-EOPNOTSUPP);
  // What moved to dm_op, what tools once used, and what old Windows drivers ask for.
  for (const op of [2, 3, 4, 6, 7, 8, 12, 14, 16, 17, 22, 26, 0x101]) expect(g.call('hvm_op', op, ARG)).toBe(-ENOSYS);
});
