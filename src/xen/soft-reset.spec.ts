import { describe, expect, it } from 'vitest';
import type { Gfn } from '../abi/types.ts';
import { VIRQ } from '../abi/xen/event-channel.ts';
import { HVM_PARAM, HVMOP } from '../abi/xen/hvm.ts';
import { SCHEDOP, SHUTDOWN } from '../abi/xen/sched.ts';
import { RUNSTATE } from '../abi/xen/shared-info.ts';
import { VCPUOP } from '../abi/xen/vcpu.ts';
import { TestGuest } from './fixtures/test-guest.ts';
import { softReset } from './soft-reset.ts';

const ARG = 0x2000;
const SELF = 0x7ff0;
const MS = 1e6;

/** A guest in full swing that asks for a soft reset. */
function stoppedGuest() {
  const g = new TestGuest({ vcpus: 2 });
  g.domain.offerRing('store');
  g.domain.offerRing('console');
  g.poke(0x10000, 0x1111);
  g.mapSharedInfo(0x10);
  g.call('event_channel_op', 1, g.poke(ARG, VIRQ.TIMER, 0, 0));
  g.call('vcpu_op', VCPUOP.register_vcpu_info, 0, g.poke(ARG, 5, 0, 0x40, 0));
  g.call('vcpu_op', VCPUOP.register_runstate_memory_area, 0, g.poke(ARG, 0x6000, 0));
  g.call('vcpu_op', VCPUOP.register_vcpu_time_memory_area, 0, g.poke(ARG, 0x6100, 0));
  g.call('vcpu_op', VCPUOP.register_runstate_phys_area, 0, g.poke(ARG, 0x6200, 0));
  g.call('vcpu_op', VCPUOP.register_vcpu_time_phys_area, 0, g.poke(ARG, 0x6300, 0));
  g.call('vcpu_op', VCPUOP.set_periodic_timer, 0, g.poke(ARG, 2 * MS, 0));
  g.call('set_timer_op', 50 * MS);
  g.call('sched_op', SCHEDOP.watchdog, g.poke(ARG, 0, 1));
  g.call('hvm_op', HVMOP.set_evtchn_upcall_vector, g.poke(ARG, 0, 0xf3));
  g.call('hvm_op', HVMOP.set_param, g.poke(ARG, SELF, HVM_PARAM.CALLBACK_IRQ, 0xf3, 2 << 24));
  g.call('vm_assist', 0, 5);
  g.call('memory_op', 7, g.poke(ARG, SELF, 1, 0, 0, 0x11, 0));
  g.vcpus[0]?.service();
  g.call('sched_op', SCHEDOP.shutdown, g.poke(ARG, SHUTDOWN.soft_reset));
  return g;
}

/** Resets it, and lets vCPU 0's thread take note. */
function reset(g: TestGuest) {
  softReset(g.domain);
  g.domain.offerRing('store');
  g.domain.offerRing('console');
  g.domain.resume();
  g.vectors.length = 0;
  g.vcpus[0]?.service();
}

describe('a soft reset', () => {
  it('keeps memory, and has RAM where shared_info and the grant frames were', () => {
    const g = stoppedGuest();
    g.poke(0x20000, 0x2222);
    reset(g);
    expect([g.peek(0x10000), g.peek(0x20000)]).toEqual([0x1111, 0x2222]);
    expect([0, 1].map((page) => g.domain.overlays.gfn(page))).toEqual([0xffff_ffff, 0xffff_ffff]);
    const shared = g.mapSharedInfo(0x12);
    expect(g.peek(shared + 0x800)).toBe(0);
    expect(g.peek(shared + 0xc04)).toBe(0x2345_6789); // the wallclock is there at once
  });

  it('closes every event channel and offers the rings anew', () => {
    const g = stoppedGuest();
    reset(g);
    const param = (index: number) => {
      expect(g.call('hvm_op', HVMOP.get_param, g.poke(ARG, SELF, index, 0, 0))).toBe(0);
      return g.peek(ARG + 8);
    };
    expect([1, 2, 17, 18, 0].map(param)).toEqual([0xfeffc, 1, 0xfefff, 2, 0]);
    const status = (port: number) => {
      expect(g.call('event_channel_op', 5, g.poke(ARG, SELF, port, 0, 0, 0, 0))).toBe(0);
      return g.peek(ARG + 8);
    };
    expect([1, 2, 3].map(status)).toEqual([1, 1, 0]);
    expect(g.call('event_channel_op', 1, g.poke(ARG, VIRQ.TIMER, 0, 0))).toBe(0);
  });

  it('forgets areas, vectors and assists', () => {
    const g = stoppedGuest();
    reset(g);
    for (const at of [0x6000, 0x6100, 0x6200, 0x6300]) g.poke(at, 0x5a5a, 0x5a5a);
    g.vcpus[0]?.enter(RUNSTATE.blocked);
    g.vcpus[0]?.publishTime();
    for (const at of [0x6000, 0x6100, 0x6200, 0x6300]) expect([g.peek(at), g.peek(at + 4)]).toEqual([0x5a5a, 0x5a5a]);
    const shared = g.mapSharedInfo(0x12);
    g.call('event_channel_op', 7, g.poke(ARG, 0, 0));
    g.call('event_channel_op', 4, g.poke(ARG, g.peek(ARG + 4)));
    expect(g.peek(shared) & 0xff).toBe(1); // vcpu_info is in shared_info again
    g.vcpus[0]?.service();
    expect(g.vectors).toEqual([]);
    expect(g.vcpus[0]?.callbackVector()).toBe(-1);
    expect(g.call('vcpu_op', VCPUOP.register_vcpu_info, 0, g.poke(ARG, 5, 0, 0x40, 0))).toBe(0);
  });

  it('stops the timers and watchdogs', () => {
    const g = stoppedGuest();
    reset(g);
    const shared = g.mapSharedInfo(0x12);
    g.call('event_channel_op', 1, g.poke(ARG, VIRQ.TIMER, 0, 0));
    g.clock.advance(5e9);
    expect(g.peek(shared + 0x800)).toBe(0);
    expect(g.domain.shutdownReason).toBe(-1);
    expect(g.call('sched_op', SCHEDOP.watchdog, g.poke(ARG, 0, 10))).toBe(1);
  });

  it('has the rings at their frames again, and nowhere else', () => {
    const g = stoppedGuest();
    g.domain.resume();
    const move = (from: number, to: number) => g.call('memory_op', 7, g.poke(ARG, SELF, 2, from, 0, to, 0));
    expect([move(0xfefff, 0x21), move(0x22, 0xfeffc)]).toEqual([0, 0]);
    const { plan, at } = g.domain;
    g.memory.u8[at + plan.console] = 0x77;
    g.memory.u8[at + plan.store] = 0x66;
    reset(g);
    expect([0xfefff, 0xfeffc].map((gfn) => g.peek(gfn * 4096) & 0xff)).toEqual([0x77, 0x66]);
    expect([0x21, 0x22].map((gfn) => g.memory.isRam(gfn as Gfn))).toEqual([false, false]);
  });

  it('leaves the vCPUs as they are and lets the domain run', () => {
    const g = stoppedGuest();
    expect(g.vcpus[0]?.mayRun(true)).toBe(false);
    reset(g);
    expect(g.vcpus.map((vcpu) => vcpu.mayRun(true))).toEqual([true, false]);
    expect(g.memory.isRam(0xfefff as Gfn)).toBe(true);
  });
});
