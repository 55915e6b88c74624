// Runstate and guest time across sleeps, late wake-ups and pauses of the domain.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RUNSTATE, VCPU_INFO, VcpuRunstateInfo, VcpuTimeInfo } from '../../abi/xen/shared-info.ts';
import { VCPU_WAIT } from '../domain-layout.ts';
import { TestGuest } from '../fixtures/test-guest.ts';
import type { XenVcpu } from '../vcpu.ts';
import { readTimeInfo } from './pvclock.ts';

const { running, runnable, blocked, offline } = RUNSTATE;

function setUp(vcpus = 1) {
  const g = new TestGuest({ vcpus });
  const vcpu = g.vcpus[0] as XenVcpu;
  const info = (of = vcpu) => {
    const bytes = of.runstate.encode(false, g.clock.nowNs());
    return VcpuRunstateInfo.read(new DataView(bytes.buffer), bytes.byteOffset);
  };
  const times = (of = vcpu) => {
    const { time_running, time_runnable, time_blocked, time_offline } = info(of);
    return [time_running, time_runnable, time_blocked, time_offline];
  };
  return { g, vcpu, info, times };
}

describe('a pause', () => {
  it('makes a running vCPU offline, and runnable again until it runs', () => {
    const { g, vcpu, info, times } = setUp();
    g.clock.advance(1000);
    vcpu.runStateChanged(false);
    expect([info().state, times()]).toEqual([offline, [1000, 0, 0, 0]]);
    vcpu.runStateChanged(true);
    expect(info().state).toBe(runnable);
    g.clock.advance(30);
    vcpu.enter(running);
    expect([info().state, times()]).toEqual([running, [1000, 30, 0, 0]]);
  });

  it('leaves a blocked vCPU blocked', () => {
    const { g, vcpu, info } = setUp();
    vcpu.enter(blocked);
    g.clock.advance(50);
    vcpu.runStateChanged(false);
    expect(info()).toMatchObject({ state: blocked, state_entry_time: 0n });
    vcpu.runStateChanged(true);
    expect(info()).toMatchObject({ state: blocked, state_entry_time: 0n, time_blocked: 50 });
  });

  it('leaves a vCPU that is down offline', () => {
    const { g, info } = setUp(2);
    const second = g.vcpus[1] as XenVcpu;
    second.runStateChanged(false);
    second.runStateChanged(true);
    expect(info(second).state).toBe(offline);
  });

  it('shows in the areas the guest registered', () => {
    const { g, vcpu } = setUp();
    expect(g.call('vcpu_op', 5, 0, g.poke(0x2000, 0x6000, 0))).toBe(0);
    vcpu.runStateChanged(false);
    expect(g.peek(0x6000)).toBe(offline);
    vcpu.runStateChanged(true);
    expect(g.peek(0x6000)).toBe(runnable);
  });

  it('ends with a fresh pvclock that goes on where it stood', () => {
    const { g, vcpu } = setUp();
    const at = vcpu.state.infoAt + VCPU_INFO.time;
    g.clock.advance(5e6);
    vcpu.runStateChanged(false);
    const before = VcpuTimeInfo.read(g.memory.view, at);
    vcpu.runStateChanged(true);
    const after = VcpuTimeInfo.read(g.memory.view, at);
    expect(after.version).toBe(before.version + 2);
    expect([after.system_time, after.tsc_timestamp]).toEqual([5_000_000n, 5_000_000n]);
  });

  it('neither loses a timer nor makes it early', () => {
    const { g, vcpu } = setUp();
    expect(g.call('event_channel_op', 1, g.poke(0x2000, 0, 0, 0))).toBe(0);
    const shared = g.mapSharedInfo(0x10);
    vcpu.timers.setSingleshot(1000);
    g.clock.advance(400);
    vcpu.runStateChanged(false);
    vcpu.runStateChanged(true);
    g.clock.advance(599);
    expect(g.peek(shared + 0x800)).toBe(0);
    g.clock.advance(1);
    expect(g.peek(shared + 0x800)).not.toBe(0);
  });
});

describe('a sleep', () => {
  it('is offline for a vCPU that is down', () => {
    const { vcpu, info } = setUp();
    vcpu.state.setWait(VCPU_WAIT.down);
    vcpu.enter(blocked);
    expect(info().state).toBe(offline);
  });

  it('counts as runnable from when its timer was due', () => {
    const { g, vcpu, times } = setUp();
    g.clock.advance(100);
    vcpu.enter(blocked);
    g.clock.advance(1000);
    vcpu.woken(900);
    vcpu.enter(running);
    g.clock.advance(10);
    expect(times()).toEqual([110, 200, 800, 0]);
  });

  it('has no runnable time when its timer is not due, or it did not sleep', () => {
    const { g, vcpu, info } = setUp();
    g.clock.advance(100);
    vcpu.woken(50);
    expect(info().state).toBe(running);
    vcpu.enter(blocked);
    vcpu.woken(100);
    vcpu.woken(Number.POSITIVE_INFINITY);
    expect(info().state).toBe(blocked);
  });

  it('is not counted from before it began', () => {
    const { g, vcpu, times } = setUp();
    g.clock.advance(100);
    vcpu.enter(blocked);
    g.clock.advance(20);
    vcpu.woken(40);
    vcpu.enter(running);
    expect(times()).toEqual([100, 20, 0, 0]);
  });
});

describe('time areas', () => {
  it('of another vCPU hold its clock at once', () => {
    const { g } = setUp(2);
    g.clock.advance(3e6);
    g.vcpus[1]?.publishTime();
    expect(g.call('vcpu_op', 13, 1, g.poke(0x2000, 0x6000, 0))).toBe(0);
    expect(g.call('vcpu_op', 15, 1, g.poke(0x2000, 0x7000, 0))).toBe(0);
    for (const area of [0x6000, 0x7000]) expect([g.peek(area) % 2, g.peek64(area + 16)]).toEqual([0, 3_000_000n]);
  });

  it('are read whole, or after a bounded wait', () => {
    const { g, vcpu } = setUp();
    const at = vcpu.state.infoAt + VCPU_INFO.time;
    const copy = new Uint8Array(VcpuTimeInfo.sizeof);
    readTimeInfo(g.memory, at, copy);
    expect(copy).toEqual(g.memory.u8.slice(at, at + VcpuTimeInfo.sizeof));
    VcpuTimeInfo.version.set(g.memory.view, at, 3);
    expect(() => readTimeInfo(g.memory, at, copy)).not.toThrow();
  });
});

describe('the four times', () => {
  it('always add up to system time', () => {
    const step = fc.oneof(
      fc.record({ enter: fc.constantFrom(running, blocked) }),
      fc.record({ paused: fc.boolean() }),
      fc.record({ woken: fc.double({ min: 0, max: 1e6, noNaN: true }) }),
      fc.record({ advance: fc.double({ min: 0, max: 1e5, noNaN: true }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (script) => {
        const { g, vcpu, info, times } = setUp();
        for (const s of script) {
          if ('enter' in s) vcpu.enter(s.enter);
          else if ('paused' in s) vcpu.runStateChanged(!s.paused);
          else if ('woken' in s) vcpu.woken(s.woken);
          else g.clock.advance(s.advance);
          expect(times().reduce((a, b) => a + b)).toBe(Math.floor(g.clock.nowNs()));
          expect(Number(info().state_entry_time)).toBeLessThanOrEqual(g.clock.nowNs());
        }
      }),
    );
  });
});
