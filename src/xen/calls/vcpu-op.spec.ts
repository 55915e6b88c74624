import { describe, expect, it } from 'vitest';
import { EBUSY, EEXIST, EFAULT, EINVAL, ENOENT, ENOSYS, ENXIO } from '../../abi/xen/errno.ts';
import { VIRQ } from '../../abi/xen/event-channel.ts';
import { SHUTDOWN } from '../../abi/xen/sched.ts';
import { RUNSTATE } from '../../abi/xen/shared-info.ts';
import { VCPUOP } from '../../abi/xen/vcpu.ts';
import { TestGuest } from '../fixtures/test-guest.ts';

const ARG = 0x2000;
const SHARED = 0x10;
const INFO = 0x5040;
const MS = 1e6;

function guest(vcpus = 1) {
  const g = new TestGuest({ vcpus });
  const shared = g.mapSharedInfo(SHARED);
  g.call('event_channel_op', 1, g.poke(ARG, VIRQ.TIMER, 0, 0));
  const op = (cmd: number, vcpu: number, ...words: number[]) =>
    g.call('vcpu_op', cmd, vcpu, words.length === 0 ? 0 : g.poke(ARG, ...words));
  const ticked = () => {
    const was = (g.peek(shared + 0x800) >>> 1) & 1;
    g.poke(shared + 0x800, 0);
    return was;
  };
  return { g, shared, op, ticked };
}

describe('register_vcpu_info', () => {
  it('copies the old content, marks everything pending, and uses the new place', () => {
    const { g, shared, op } = guest();
    g.call('hvm_op', 23, g.poke(ARG, 0, 0xf3));
    g.vcpus[0]?.service();
    g.vectors.length = 0;
    g.poke(shared + 16, 0xc0ffee); // arch.cr2: any old content
    expect(op(VCPUOP.register_vcpu_info, 0, INFO >> 12, 0, INFO & 0xfff, 0)).toBe(0);
    expect(g.peek(INFO + 16)).toBe(0xc0ffee);
    expect(g.peek64(INFO + 8)).toBe(0xffff_ffff_ffff_ffffn);
    expect(g.peek(INFO) & 0xff).toBe(1);
    g.vcpus[0]?.service();
    expect(g.vectors).toEqual([[0, 0xf3]]);
    expect(op(VCPUOP.register_vcpu_info, 0, INFO >> 12, 0, INFO & 0xfff, 0)).toBe(-EBUSY);
    g.poke(INFO, 0);
    g.poke(shared + 8, 0, 0);
    g.poke(INFO + 8, 0, 0);
    g.domain.events.raiseVirq(VIRQ.TIMER, 0);
    expect(g.peek64(INFO + 8)).toBe(1n);
    expect(g.peek64(shared + 8)).toBe(0n);
  });

  it('refuses what is no place for 64 aligned bytes', () => {
    const { g, op } = guest();
    expect(op(VCPUOP.register_vcpu_info, 0, 5, 0, 4096, 0)).toBe(-EINVAL);
    expect(op(VCPUOP.register_vcpu_info, 0, 5, 0, 4096 - 56, 0)).toBe(-ENXIO);
    expect(op(VCPUOP.register_vcpu_info, 0, 5, 0, 4, 0)).toBe(-ENXIO);
    expect(op(VCPUOP.register_vcpu_info, 0, 0x9999, 0, 0, 0)).toBe(-EINVAL);
    expect(op(VCPUOP.register_vcpu_info, 0, 5, 0x10_0000, 4, 0)).toBe(-EINVAL);
    expect(op(VCPUOP.register_vcpu_info, 0, -1, 0xf_ffff, 0xfff, 0)).toBe(-EINVAL);
    expect(op(VCPUOP.register_vcpu_info, 1, 5, 0, 0, 0)).toBe(-ENOENT);
    expect(g.call('vcpu_op', VCPUOP.register_vcpu_info, 0, 0xdead_0000)).toBe(-EFAULT);
    g.domain.latchWidth(false);
    expect(op(VCPUOP.register_vcpu_info, 0, 5, 0, 4, 0)).toBe(0);
  });
});

describe('timers', () => {
  it('fires VIRQ_TIMER at the deadline, once', () => {
    const { g, op, ticked } = guest();
    expect(op(VCPUOP.set_singleshot_timer, 0, 5 * MS, 0, 0, 0)).toBe(0);
    g.clock.advance(4 * MS);
    expect(ticked()).toBe(0);
    g.clock.advance(1 * MS);
    expect(ticked()).toBe(1);
    g.clock.advance(100 * MS);
    expect(ticked()).toBe(0);
  });

  it('fires at once for a deadline in the past, and not when stopped', () => {
    const { g, op, ticked } = guest();
    g.clock.advance(10 * MS);
    expect(op(VCPUOP.set_singleshot_timer, 0, 5 * MS, 0, 0, 0)).toBe(0);
    expect(ticked()).toBe(1);
    op(VCPUOP.set_singleshot_timer, 0, 15 * MS, 0, 0, 0);
    expect(op(VCPUOP.stop_singleshot_timer, 0)).toBe(0);
    g.clock.advance(100 * MS);
    expect(ticked()).toBe(0);
  });

  it('is for the calling vCPU only', () => {
    const { op } = guest(2);
    expect(op(VCPUOP.set_singleshot_timer, 1, 5 * MS, 0, 0, 0)).toBe(-EINVAL);
    expect(op(VCPUOP.stop_singleshot_timer, 1)).toBe(-EINVAL);
  });

  it('reads 12 bytes from a 32-bit caller', () => {
    const { g, op } = guest();
    const caller = g.callers[0];
    if (caller) caller.longMode = false;
    g.poke(0x3ff4, 7, 0, 0);
    expect(g.call('vcpu_op', VCPUOP.set_singleshot_timer, 0, 0x3ff4)).toBe(0);
    expect(op(VCPUOP.stop_periodic_timer, 0)).toBe(0);
  });

  it('repeats a periodic timer, with a period of at least a millisecond', () => {
    const { g, op, ticked } = guest();
    expect(op(VCPUOP.set_periodic_timer, 0, MS - 1, 0)).toBe(-EINVAL);
    expect(op(VCPUOP.set_periodic_timer, 0, 0, 0x4000_0000)).toBe(-EINVAL);
    expect(op(VCPUOP.set_periodic_timer, 0, 2 * MS, 0)).toBe(0);
    g.vcpus[0]?.service();
    for (let i = 0; i < 5; i++) {
      g.clock.advance(2 * MS);
      expect(ticked()).toBe(1);
    }
    op(VCPUOP.stop_periodic_timer, 0);
    g.vcpus[0]?.service();
    g.clock.advance(10 * MS);
    expect(ticked()).toBe(0);
  });

  it('takes set_timer_op: absolute, 0 stops, absurd times fire after 100 ms', () => {
    const { g, ticked } = guest();
    g.call('set_timer_op', 3 * MS);
    g.clock.advance(3 * MS);
    expect(ticked()).toBe(1);
    g.call('set_timer_op', 5 * MS);
    g.call('set_timer_op', 0);
    g.clock.advance(10 * MS);
    expect(ticked()).toBe(0);
    for (const odd of [1n << 63n, 1n << 51n]) {
      g.call('set_timer_op', odd);
      g.clock.advance(99 * MS);
      expect(ticked()).toBe(0);
      g.clock.advance(1 * MS);
      expect(ticked()).toBe(1);
    }
  });
});

describe('runstate', () => {
  const AREA = 0x6ff0; // crosses a page
  const read = (g: TestGuest) => [0, 8, 16, 24, 32, 40].map((o) => Number(g.peek64(AREA + o)));

  it('is written to a virtual area at registration and at each change', () => {
    const { g, op } = guest();
    g.clock.advance(100);
    expect(op(VCPUOP.register_runstate_memory_area, 0, AREA, 0)).toBe(0);
    expect(read(g)).toEqual([RUNSTATE.running, 0, 0, 0, 0, 0]);
    g.vcpus[0]?.enter(RUNSTATE.blocked);
    expect(read(g)).toEqual([RUNSTATE.blocked, 100, 100, 0, 0, 0]);
    g.clock.advance(900);
    g.vcpus[0]?.enter(RUNSTATE.running);
    expect(read(g)).toEqual([RUNSTATE.running, 1000, 100, 0, 900, 0]);
    g.clock.advance(50);
    expect(op(VCPUOP.get_runstate_info, 0, 0)).toBe(0);
    expect(g.peek64(ARG + 16)).toBe(150n);
  });

  it('has the 44-byte layout for a 32-bit guest', () => {
    const { g, op } = guest();
    g.domain.latchWidth(false);
    g.poke(AREA + 44, 0x5555_5555);
    op(VCPUOP.register_runstate_memory_area, 0, AREA, 0);
    g.clock.advance(7);
    g.vcpus[0]?.enter(RUNSTATE.blocked);
    expect(g.peek(AREA)).toBe(RUNSTATE.blocked);
    expect(g.peek64(AREA + 4)).toBe(7n);
    expect(g.peek64(AREA + 12)).toBe(7n);
    expect(g.peek(AREA + 44)).toBe(0x5555_5555);
  });

  it('is written to a physical area too, until all-ones unregisters it', () => {
    const { g, op } = guest();
    expect(op(VCPUOP.register_runstate_phys_area, 0, AREA, 0)).toBe(-ENXIO);
    expect(op(VCPUOP.register_runstate_phys_area, 0, 0x7000, 0)).toBe(0);
    g.clock.advance(3);
    g.vcpus[0]?.enter(RUNSTATE.blocked);
    expect([g.peek(0x7000), g.peek64(0x7008)]).toEqual([RUNSTATE.blocked, 3n]);
    expect(op(VCPUOP.register_runstate_phys_area, 0, -1, -1)).toBe(0);
    g.vcpus[0]?.enter(RUNSTATE.running);
    expect(g.peek(0x7000)).toBe(RUNSTATE.blocked);
  });
});

describe('initialise', () => {
  const CONTEXT = 0x5ff0; // crosses a page
  /** A flat 32-bit context, with EBX and EIP to tell it by. */
  const context = (g: TestGuest, words: Record<number, number> = {}) => {
    const all = { 20: 0xbb, 40: 0x1000, 48: 0x11, 92: -1, 96: -1, 100: -1, 104: -1, 108: 0x67, ...words };
    g.poke(CONTEXT, ...Array.from({ length: 32 }, () => 0));
    for (const [offset, word] of Object.entries(all)) g.poke(CONTEXT + Number(offset), word);
    g.poke(CONTEXT + 112, 0x0c93_0c9b, 0x0c93_0c93, 0x8b);
    return CONTEXT;
  };

  for (const longMode of [true, false]) {
    it(`gives a vCPU its registers, once, and leaves it down: a ${longMode ? 64 : 32}-bit caller`, () => {
      const { g, op } = guest(2);
      const caller = g.callers[0];
      if (caller) caller.longMode = longMode;
      const state = g.domain.vcpus[1];
      expect(state?.takeInitialContext()).toBeUndefined();
      expect(g.call('vcpu_op', VCPUOP.initialise, 1, context(g))).toBe(0);
      expect(op(VCPUOP.is_up, 1)).toBe(0);
      expect(g.call('vcpu_op', VCPUOP.initialise, 1, context(g))).toBe(-EEXIST);
      g.kicks.length = 0;
      expect(op(VCPUOP.up, 1)).toBe(0);
      expect(g.kicks).toEqual([1]);
      expect(op(VCPUOP.is_up, 1)).toBe(1);
      expect(g.vcpus[1]?.mayRun(false)).toBe(true);
      const taken = state?.takeInitialContext();
      expect([taken?.registers[3], taken?.rip]).toEqual([0xbbn, 0x1000n]);
      expect(state?.takeInitialContext()).toBeUndefined();
    });
  }

  it('refuses a context that Xen would, and one it cannot read', () => {
    const { g, op } = guest(2);
    expect(g.call('vcpu_op', VCPUOP.initialise, 1, context(g, { 4: 1 }))).toBe(-EINVAL);
    expect(g.call('vcpu_op', VCPUOP.initialise, 1, 0x3_fff0)).toBe(-EFAULT);
    expect(g.call('vcpu_op', VCPUOP.initialise, 0, 0xdead_0000)).toBe(-EFAULT);
    expect(g.call('vcpu_op', VCPUOP.initialise, 2, context(g))).toBe(-ENOENT);
    expect(op(VCPUOP.up, 1)).toBe(-EINVAL);
  });

  it('needs a registered vcpu_info where shared_info has no slot', () => {
    const { g, op } = guest(33);
    expect(g.call('vcpu_op', VCPUOP.initialise, 32, context(g))).toBe(-EINVAL);
    expect(op(VCPUOP.register_vcpu_info, 32, 7, 0, 0, 0)).toBe(0);
    expect(g.call('vcpu_op', VCPUOP.initialise, 32, context(g))).toBe(0);
  });
});

describe('several vCPUs', () => {
  it('register areas for each other', () => {
    const { g, op } = guest(2);
    expect(op(VCPUOP.register_vcpu_info, 1, 7, 0, 0, 0)).toBe(0);
    expect(op(VCPUOP.register_runstate_memory_area, 1, 0x6000, 0)).toBe(0);
    expect(g.peek(0x6000)).toBe(RUNSTATE.offline);
    expect(op(VCPUOP.register_runstate_phys_area, 1, 0x6100, 0)).toBe(0);
    expect(op(VCPUOP.register_vcpu_time_phys_area, 1, 0x6200, 0)).toBe(0);
    expect(op(VCPUOP.get_runstate_info, 1, 0)).toBe(0);
    expect(g.peek(ARG)).toBe(RUNSTATE.offline);
  });

  it('go down and come up again, and are not initialised anew', () => {
    const { g, op } = guest(3);
    g.domain.bringUp(1);
    g.domain.bringUp(2);
    expect([op(VCPUOP.down, 2), op(VCPUOP.down, 2)]).toEqual([0, 0]);
    expect(g.vcpus[2]?.mayRun(true)).toBe(false);
    expect(op(VCPUOP.up, 2)).toBe(0);
    expect(g.vcpus[2]?.mayRun(false)).toBe(true);
    expect(g.domain.shutdownReason).toBe(-1);
  });

  it('have periodic timers of their own, that another may set', () => {
    const { g, op, shared } = { ...guest(2) };
    g.call('event_channel_op', 1, g.poke(ARG, VIRQ.TIMER, 1, 0));
    const port = g.peek(ARG + 8);
    expect(op(VCPUOP.set_periodic_timer, 1, 2 * MS, 0)).toBe(0);
    expect(g.kicks).toContain(1);
    g.vcpus[1]?.service();
    g.clock.advance(3 * MS);
    expect((g.peek(shared + 0x800) >>> port) & 1).toBe(1);
  });
});

describe('areas by physical address', () => {
  it('lie in one page, aligned, in writable memory', () => {
    const { op } = guest();
    for (const cmd of [VCPUOP.register_runstate_phys_area, VCPUOP.register_vcpu_time_phys_area]) {
      expect(op(cmd, 0, 0x5ff8, 0)).toBe(-ENXIO);
      expect(op(cmd, 0, 0x5004, 0)).toBe(-ENXIO);
      expect(op(cmd, 0, 0x9999_9000, 0)).toBe(-EINVAL);
      expect(op(cmd, 0, 0, 1)).toBe(-EINVAL);
      expect(op(cmd, 0, 0x5000, 0)).toBe(0);
      expect(op(cmd, 0, 0x6000, 0)).toBe(0); // another one instead
      expect(op(cmd, 1, 0x5000, 0)).toBe(-ENOENT);
    }
  });
});

describe('the rest', () => {
  it('knows which vCPUs are up', () => {
    const { g, op } = guest(2);
    expect(op(VCPUOP.is_up, 0)).toBe(1);
    expect(op(VCPUOP.is_up, 1)).toBe(0);
    expect(op(VCPUOP.up, 1)).toBe(-EINVAL);
    expect(op(VCPUOP.initialise, 0, 0)).toBe(-EEXIST);
    g.domain.bringUp(1);
    expect(op(VCPUOP.is_up, 1)).toBe(1);
    expect(op(VCPUOP.down, 1)).toBe(0);
    expect(g.domain.shutdownReason).toBe(-1);
    expect(op(VCPUOP.down, 0)).toBe(0);
    expect(g.domain.shutdownReason).toBe(0);
  });

  it('powers the domain off when its last two vCPUs go down at once', () => {
    for (const otherIsFirst of [true, false]) {
      const { g } = guest(2);
      g.domain.bringUp(1);
      const first = g.domain.vcpus[0];
      if (first === undefined) throw new Error('no vCPU 0');
      const setWait = first.setWait.bind(first);
      // In the middle of vCPU 0's going down, vCPU 1's thread does the same.
      first.setWait = (bits) => {
        if (otherIsFirst) g.domain.takeDown(1);
        setWait(bits);
        if (!otherIsFirst) g.domain.takeDown(1);
      };
      g.domain.takeDown(0);
      expect(g.domain.shutdownReason).toBe(SHUTDOWN.poweroff);
    }
  });

  it('delivers an NMI once, and only for a null argument', () => {
    const { g, op } = guest();
    expect(g.call('vcpu_op', VCPUOP.send_nmi, 0, 4)).toBe(-EINVAL);
    expect(op(VCPUOP.send_nmi, 0)).toBe(0);
    expect(g.vcpus[0]?.state.takeNmi()).toBe(true);
    expect(g.vcpus[0]?.state.takeNmi()).toBe(false);
  });

  it('answers the others with their errors', () => {
    const { op } = guest();
    expect(op(VCPUOP.get_physid, 0, 0)).toBe(-EINVAL);
    expect(op(16, 0)).toBe(-ENOSYS);
  });
});
