// vcpu_op but for timers: areas that Xen writes, states, NMI: xen/common/domain.c, public/vcpu.h.
import { describe, expect, it } from 'vitest';
import { EventCalls } from './event-calls.ts';
import { OP } from './probe-layout.ts';
import { latchWidth, SharedPage } from './shared-page.ts';
import { readTimeInfo, systemTime, systemTimeAt } from './system-time.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { E, HYPERVISOR, VCPUOP } from './xen-numbers.ts';

const PAGE = 0x1000;
const NMI = 2;
const UNREGISTER = 0xffff_ffff_ffff_ffffn;
const UPDATE = 1n << 63n;
const TIME = 32;
const IA32_TSC = 0x10;

describe.each(WIDTHS)('vcpu_op of a %i-bit guest', (width) => {
  let shared: SharedPage;
  const guest = useProbe(width, (probe) => {
    latchWidth(probe);
    shared = SharedPage.map(probe);
  });
  const op = (cmd: number, at: number | bigint = 0, vcpu = 0): number => guest.probe.call(HYPERVISOR.vcpu_op, cmd, vcpu, at);
  /** struct vcpu_register_runstate_memory_area and its like: a pointer, or a physical address. */
  const area = (address: number | bigint): number => guest.probe.make(8, [0, 8, address]);
  const registerInfo = (mfn: number | bigint, offset: number): number =>
    op(VCPUOP.register_vcpu_info, guest.probe.make(16, [0, 8, mfn], [8, 4, offset]));
  const runstate = (at: number) => {
    const { probe } = guest;
    const entry = width === 64 ? 8 : 4;
    const times = [0, 1, 2, 3].map((i) => probe.get(at + entry + 8 + i * 8, 8));
    return { state: probe.u32(at), entry: probe.get(at + entry, 8), times };
  };
  const runstateBytes = width === 64 ? 48 : 44;

  it.each(Object.values(VCPUOP))('operation %i wants a vCPU', (cmd) => {
    for (const vcpu of [200, 0x8000_0000, 0xffff_ffff]) expect(op(cmd, guest.probe.alloc(128), vcpu)).toBe(E.NOENT);
  });

  it.each([16, 17, 100, 0xffff_ffff])('there is no operation %i', (cmd) => {
    expect(op(cmd, guest.probe.alloc(64))).toBe(E.NOSYS);
  });

  it('the boot vCPU is up, and initialised', () => {
    const { probe } = guest;
    expect(op(VCPUOP.is_up)).toBe(1);
    expect(op(VCPUOP.up)).toBe(0);
    expect(op(VCPUOP.initialise, probe.alloc(128))).toBe(E.EXIST);
    expect(op(VCPUOP.initialise, probe.hole())).toBe(E.FAULT);
    expect(op(VCPUOP.get_physid, probe.alloc(8))).toBe(E.INVAL);
  });

  it('get_runstate_info: the caller runs, and its times add up to its age', () => {
    const { probe } = guest;
    const at = probe.make(56, [runstateBytes, 4, 0x5a5a_5a5a]);
    expect(op(VCPUOP.get_runstate_info, at)).toBe(0);
    const now = systemTime(probe);
    const first = runstate(at);
    expect(probe.u32(at + runstateBytes)).toBe(0x5a5a_5a5a);
    expect(first.state).toBe(0);
    expect(first.entry).toBeLessThanOrEqual(now);
    const sum = first.times.reduce((a, b) => a + b, 0n);
    expect(sum).toBeLessThanOrEqual(now);
    expect(first.times[0]).toBeGreaterThan(0n);
    expect(op(VCPUOP.get_runstate_info, at)).toBe(0);
    expect(runstate(at).times[0]).toBeGreaterThan(first.times[0] as bigint);
    expect(op(VCPUOP.get_runstate_info, probe.hole())).toBe(E.FAULT);
    const crossing = probe.scattered() + 0xff0;
    expect(op(VCPUOP.get_runstate_info, crossing)).toBe(0);
    expect(runstate(crossing).times[0]).toBeGreaterThan(first.times[0] as bigint);
  });

  it.runIf(width === 64)('get_runstate_info has the layout of the calling code', () => {
    const { probe } = guest;
    const at = probe.make(48, [44, 4, 0x5a5a_5a5a]);
    expect(probe.callFrom('compat', HYPERVISOR.vcpu_op, VCPUOP.get_runstate_info, 0, at)).toBe(0);
    expect(probe.u32(at + 44)).toBe(0x5a5a_5a5a);
    const wide = probe.alloc(48);
    expect(op(VCPUOP.get_runstate_info, wide)).toBe(0);
    expect(probe.get(at + 4, 8)).toBe(runstate(wide).entry);
  });

  it('the runstate area by address follows the vCPU, across pages too', async () => {
    const { probe } = guest;
    const at = probe.scattered() + 0xfe8;
    expect(op(VCPUOP.register_runstate_memory_area, area(at))).toBe(0);
    const before = runstate(at);
    expect(before.state).toBe(0);
    await sleepGuest();
    const after = runstate(at);
    expect(after.state).toBe(0);
    expect(after.entry).toBeGreaterThan(before.entry);
    expect((after.times[2] as bigint) - (before.times[2] as bigint)).toBeGreaterThan(1_000_000n);
    expect(after.entry & UPDATE).toBe(0n);
    // With the update flag, which is gone once an update is over.
    expect(probe.call(HYPERVISOR.vm_assist, 0, 5)).toBe(0);
    await sleepGuest();
    const flagged = runstate(at);
    expect(flagged.entry).toBeGreaterThan(after.entry);
    expect(flagged.entry & UPDATE).toBe(0n);
    expect(op(VCPUOP.register_runstate_memory_area, probe.hole())).toBe(E.FAULT);
    // An address where nothing is mapped is no error, and does no harm.
    expect(op(VCPUOP.register_runstate_memory_area, area(probe.hole()))).toBe(0);
    await sleepGuest();
    expect(op(VCPUOP.register_runstate_memory_area, area(0))).toBe(0);
  });

  it('the runstate area by physical address, until all-ones takes it back', async () => {
    const { probe } = guest;
    const at = probe.alloc(64, 64);
    expect(op(VCPUOP.register_runstate_phys_area, area(at))).toBe(0);
    const before = runstate(at);
    expect(before.state).toBe(0);
    await sleepGuest();
    const after = runstate(at);
    expect(after.times[2]).toBeGreaterThan(before.times[2] as bigint);
    expect(after.entry & UPDATE).toBe(0n);
    expect(op(VCPUOP.register_runstate_phys_area, area(UNREGISTER))).toBe(0);
    await sleepGuest();
    expect(runstate(at)).toEqual(after);
    for (const cmd of [VCPUOP.register_runstate_phys_area, VCPUOP.register_vcpu_time_phys_area]) {
      expect(op(cmd, area(PAGE * 0x300 + 0xff0))).toBe(E.NXIO);
      expect(op(cmd, area(PAGE * 0x300 + 2))).toBe(E.NXIO);
      expect(op(cmd, area(0xd_0000 * PAGE))).toBe(E.INVAL);
      expect(op(cmd, probe.hole())).toBe(E.FAULT);
    }
  });

  it("the time area agrees with vcpu_info and with Xen's own clock", () => {
    const { probe } = guest;
    const [byAddress, physical] = [probe.scattered() + 0xff0, probe.alloc(32, 64)];
    expect(op(VCPUOP.register_vcpu_time_memory_area, area(byAddress))).toBe(0);
    expect(op(VCPUOP.register_vcpu_time_phys_area, area(physical))).toBe(0);
    for (const at of [byAddress, physical, shared.info() + TIME]) {
      const info = readTimeInfo(probe, at);
      expect(info.version % 2).toBe(0);
      expect(info.version).toBeGreaterThan(0);
      expect(info.flags & 1).toBe(1); // XEN_PVCLOCK_TSC_STABLE_BIT
      const before = systemTime(probe);
      const computed = systemTimeAt(info, probe.tsc());
      const after = systemTime(probe);
      expect(computed).toBeGreaterThanOrEqual(before - 1000n);
      expect(computed).toBeLessThanOrEqual(after + 1000n);
    }
    expect(op(VCPUOP.register_vcpu_time_memory_area, probe.hole())).toBe(E.FAULT);
    expect(op(VCPUOP.register_vcpu_time_phys_area, area(UNREGISTER))).toBe(0);
  });

  it('the clock is right again when a guest that wrote its TSC has slept', async () => {
    const { probe } = guest;
    probe.command(OP.wrmsr, IA32_TSC, 0x1234_5678, 0x10);
    await sleepGuest();
    const before = systemTime(probe);
    const computed = systemTimeAt(readTimeInfo(probe, shared.info() + TIME), probe.tsc());
    expect(computed).toBeGreaterThanOrEqual(before - 1000n);
    expect(computed).toBeLessThanOrEqual(systemTime(probe) + 1000n);
  });

  it('register_vcpu_info refuses places that are none', () => {
    const { probe } = guest;
    const mfn = probe.pages() / PAGE;
    expect(op(VCPUOP.register_vcpu_info, probe.hole())).toBe(E.FAULT);
    expect(registerInfo(0xd_0000, 0)).toBe(E.INVAL);
    expect(registerInfo(mfn, PAGE)).toBe(E.INVAL);
    expect(registerInfo(mfn, PAGE - 32)).toBe(E.NXIO);
    expect(registerInfo(mfn, PAGE - 63)).toBe(E.NXIO);
    expect(registerInfo(mfn, 2)).toBe(E.NXIO);
    // Aligned to a word of the shared layout.
    if (width === 64) expect(registerInfo(mfn, 4)).toBe(E.NXIO);
  });

  it('register_vcpu_info moves it: what was there goes along, everything is pending, and that is final', () => {
    const { probe } = guest;
    const events = new EventCalls(probe);
    const mfn = probe.pages() / PAGE;
    const offset = width === 64 ? 0x108 : 0x104;
    // cr2, which Xen only keeps for PV guests, shows what was copied.
    probe.put(shared.info(), [16, 4, 0xc0de]);
    shared.settle();
    expect(registerInfo(mfn, offset)).toBe(0);
    const at = mfn * PAGE + offset;
    expect(probe.u32(at + 16)).toBe(0xc0de);
    expect(probe.u8(at)).toBe(1);
    expect(probe.get(at + probe.word, probe.word)).toBe(width === 64 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn);
    const info = readTimeInfo(probe, at + TIME);
    expect(info.version % 2).toBe(0);
    const computed = systemTimeAt(info, probe.tsc());
    expect(computed).toBeLessThanOrEqual(systemTime(probe) + 1000n);

    // Events go there from now on, and no longer to shared_info.
    probe.put(at, [0, 1, 0], [probe.word, probe.word, 0]);
    const ipi = events.bindIpi();
    events.send(ipi);
    expect(probe.u8(at)).toBe(1);
    expect(probe.get(at + probe.word, probe.word)).toBe(shared.word(ipi));
    expect(shared.upcallPending).toBe(0);
    expect(shared.pending(ipi)).toBe(true);
    events.close(ipi);
    expect(registerInfo(mfn, offset)).toBe(E.BUSY);
    expect(registerInfo(probe.pages() / PAGE, 0)).toBe(E.BUSY);
  });

  it('send_nmi arrives once, whatever IF says', async () => {
    const { probe } = guest;
    expect(op(VCPUOP.send_nmi, 1)).toBe(E.INVAL);
    expect(probe.count(NMI)).toBe(0);
    expect(op(VCPUOP.send_nmi)).toBe(0);
    await probe.until('the NMI', () => probe.count(NMI) === 1);
    expect(op(VCPUOP.is_up)).toBe(1);
    expect(probe.count(NMI)).toBe(1);
  });

  it('down of the last vCPU ends the domain', async () => {
    const { probe } = guest;
    probe.begin(HYPERVISOR.vcpu_op, VCPUOP.down, 0, 0);
    expect(await probe.domain.ended).toMatchObject({ reason: 'poweroff' });
  });

  /** Lets the guest sleep for some milliseconds: SCHEDOP_poll for no port, until a time that a busy host may miss. */
  async function sleepGuest(): Promise<void> {
    const { probe } = guest;
    const { word } = probe;
    const slept = (): bigint => {
      const at = probe.alloc(48);
      op(VCPUOP.get_runstate_info, at);
      return runstate(at).times[2] as bigint;
    };
    const before = slept();
    probe.put(shared.info(), [0, 1, 0]);
    while (slept() - before < 1_000_000n) {
      const timeout = systemTime(probe) + 4_000_000n;
      const poll = probe.make(3 * word, [0, word, 0], [word, 4, 0], [width === 64 ? 16 : 8, 8, timeout]);
      expect(probe.call(HYPERVISOR.sched_op, 3, poll)).toBe(0);
    }
  }
});
