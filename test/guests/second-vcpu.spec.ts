// Further vCPUs: VCPUOP_initialise with a vcpu_hvm_context (public/hvm/hvm_vcpu.h), VCPUOP_up and down, events between vCPUs.
import { describe, expect, it } from 'vitest';
import { EventCalls } from './event-calls.ts';
import { GuestCode, R, type Width } from './guest-code.ts';
import type { Member } from './guest-ram.ts';
import type { Probe } from './probe.ts';
import { AT, LAPIC, OP, SELECTOR } from './probe-layout.ts';
import type { ProbeVcpu } from './probe-vcpu.ts';
import { latchWidth, SharedPage } from './shared-page.ts';
import { readTimeInfo, systemTime, systemTimeAt } from './system-time.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { E, HYPERVISOR, SCHEDOP, VCPUOP } from './xen-numbers.ts';

const CONTEXT_BYTES = 128;
const MILLISECOND = 1_000_000n;
const ROUNDS = 60;
const UPCALL = 0x62;
const NMI = 2;
const CR0 = { PE: 1, ET: 0x10, WP: 0x1_0000, PG: 0x8000_0000 } as const;
const CR4_PAE = 0x20;
const EFER_LONG = 0x500;

/** 32-bit mode: flat segments; without paging, or with PAE. `ebp` is the vCPU's number, which the probe's code wants. */
function context32(probe: Probe, id: number, paged: boolean): number {
  const { secondEntry, secondEntry32 } = probe.image;
  const members: Member[] = [
    [0, 4, 0],
    [28, 4, id],
    [40, 4, paged ? secondEntry : secondEntry32],
    [44, 4, 2],
    [48, 4, paged ? CR0.PG + CR0.ET + CR0.PE : CR0.ET | CR0.PE],
    [52, 4, paged ? AT.pdpt : 0],
    [56, 4, paged ? CR4_PAE : 0],
    [92, 4, 0xffff_ffff],
    [96, 4, 0xffff_ffff],
    [100, 4, 0xffff_ffff],
    [104, 4, 0xffff_ffff],
    [108, 4, 0x67],
    [112, 2, 0xc9b],
    [114, 2, 0xc93],
    [116, 2, 0xc93],
    [118, 2, 0xc93],
    [120, 2, 0x8b],
  ];
  return probe.make(CONTEXT_BYTES, ...members);
}

/** 64-bit mode, where Xen sets the segments. */
function context64(probe: Probe, id: number): number {
  const members: Member[] = [
    [0, 4, 1],
    [48, 8, id],
    [72, 8, probe.image.secondEntry],
    [80, 8, 2],
    [88, 8, CR0.PG + CR0.WP + CR0.ET + CR0.PE],
    [96, 8, AT.pml4],
    [104, 8, CR4_PAE],
    [112, 8, EFER_LONG],
  ];
  return probe.make(CONTEXT_BYTES, ...members);
}

/** Below 1 MiB, at a page boundary: the vector of a start-up IPI. */
const TRAMPOLINE = 0x8000;
const ICR = { low: 0x300, high: 0x310, init: 0x4500, startup: 0x4600 } as const;

/** Real-mode code that goes on at the probe's 32-bit entry. */
function writeTrampoline(probe: Probe, id: number): void {
  const [gdtr, flat] = [0x80, 0x40];
  const real = [
    ...[0xfa, 0x31, 0xc0, 0x8e, 0xd8], // cli; xor ax, ax; mov ds, ax
    ...[0x66, 0xbd, id, 0, 0, 0], // mov ebp, id
    ...[0x66, 0x0f, 0x01, 0x16, gdtr, TRAMPOLINE >> 8], // lgdt [gdtr]
    ...[0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0], // CR0.PE
    ...[0x66, 0xea, flat, TRAMPOLINE >> 8, 0, 0, SELECTOR.compatCode, 0], // jmp far
  ];
  const code = new GuestCode(32, TRAMPOLINE + flat);
  code.constant(R.a, SELECTOR.stack).bytes(0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0); // mov ds, es, ss
  code.constant(R.a, probe.image.secondEntry32).bytes(0xff, 0xe0); // jmp eax
  probe.write(TRAMPOLINE, Uint8Array.from(real));
  probe.write(TRAMPOLINE + flat, code.finish());
  probe.put(TRAMPOLINE + gdtr, [0, 2, 0xff], [2, 4, AT.gdt]);
}

const contextWithPaging = (probe: Probe, id: number, width: Width): number =>
  width === 64 ? context64(probe, id) : context32(probe, id, true);

describe.each(WIDTHS)('further vCPUs of a %i-bit guest', (width) => {
  let events: EventCalls;
  let shared: SharedPage;
  const guest = useProbe(
    width,
    (probe) => {
      latchWidth(probe);
      events = new EventCalls(probe);
      shared = SharedPage.map(probe);
      shared.settle();
    },
    { vcpus: 4 },
  );
  const op = (cmd: number, vcpu: number, at: number | bigint = 0): number => guest.probe.call(HYPERVISOR.vcpu_op, cmd, vcpu, at);
  const vcpu = (id: number): ProbeVcpu => guest.probe.vcpus[id] as ProbeVcpu;

  it('are down, and not initialised', () => {
    for (const id of [1, 2, 3]) {
      expect(op(VCPUOP.is_up, id)).toBe(0);
      expect(op(VCPUOP.up, id)).toBe(E.INVAL);
    }
    expect(op(VCPUOP.is_up, 4)).toBe(E.NOENT);
  });

  it('initialise refuses contexts that are none', () => {
    const { probe } = guest;
    expect(op(VCPUOP.initialise, 1, probe.hole())).toBe(E.FAULT);
    expect(op(VCPUOP.initialise, 1, probe.make(CONTEXT_BYTES, [0, 4, 2]))).toBe(E.INVAL);
    expect(op(VCPUOP.initialise, 1, probe.put(context32(probe, 1, false), [4, 4, 1]))).toBe(E.INVAL);
    // EIP beyond CS, and a stack segment that is read-only.
    expect(op(VCPUOP.initialise, 1, probe.put(context32(probe, 1, false), [92, 4, 0xffff], [112, 2, 0x49b]))).toBe(E.INVAL);
    expect(op(VCPUOP.initialise, 1, probe.put(context32(probe, 1, false), [116, 2, 0xc91]))).toBe(E.INVAL);
    expect(op(VCPUOP.initialise, 1, probe.put(context64(probe, 1), [112, 8, 0]))).toBe(E.INVAL);
    expect(op(VCPUOP.up, 1)).toBe(E.INVAL);
  });

  it.each([
    [1, 'in 32-bit mode without paging'],
    [2, "in the guest's own mode"],
  ])('vCPU %i starts %s', async (id) => {
    const { probe } = guest;
    const context = id === 1 ? context32(probe, id, false) : contextWithPaging(probe, id, width);
    expect(op(VCPUOP.initialise, id, context)).toBe(0);
    expect(op(VCPUOP.initialise, id, context)).toBe(E.EXIST);
    expect(op(VCPUOP.is_up, id)).toBe(0);
    expect(vcpu(id).ready).toBe(false);
    expect(op(VCPUOP.up, id)).toBe(0);
    await probe.until('the vCPU', () => vcpu(id).ready);
    expect(op(VCPUOP.is_up, id)).toBe(1);
    expect(op(VCPUOP.up, id)).toBe(0);
    // Its number in Xen, and its APIC id.
    expect(vcpu(id).cpuid(0x4000_0004)[1]).toBe(id);
    expect(vcpu(id).cpuid(1)[1] >>> 24).toBe(2 * id);
    expect(vcpu(id).call(HYPERVISOR.xen_version)).toBe(0x0004_0014);
  });

  it('vCPU 3 starts by INIT and a start-up IPI, as on a bare machine', async () => {
    const { probe } = guest;
    writeTrampoline(probe, 3);
    const send = (command: number): void => {
      probe.command(OP.store32, LAPIC.base + ICR.high, (2 * 3) << 24);
      probe.command(OP.store32, LAPIC.base + ICR.low, command);
    };
    send(ICR.init);
    send(ICR.startup | (TRAMPOLINE >> 12));
    await probe.until('the vCPU', () => vcpu(3).ready);
    expect(op(VCPUOP.is_up, 3)).toBe(1);
    expect(vcpu(3).cpuid(0x4000_0004)[1]).toBe(3);
    expect(op(VCPUOP.initialise, 3, context32(probe, 3, false))).toBe(E.EXIST);
  });

  it('an IPI reaches the vCPU it was bound to', async () => {
    const { probe } = guest;
    vcpu(1).vcpuInfo = shared.info(1);
    vcpu(1).interrupts(true);
    expect(events.upcallVector(UPCALL, 1)).toBe(0);
    await probe.until('the upcall that announces itself', () => vcpu(1).count(UPCALL) === 1);
    const ipi = events.bindIpi(1);
    expect(events.status(ipi)).toMatchObject({ status: 5, vcpu: 1 });
    expect(events.send(ipi)).toBe(0);
    await probe.until('the upcall', () => vcpu(1).count(UPCALL) === 2);
    expect(vcpu(1).takeSelector()).toBe(shared.word(ipi));
    expect(shared.upcallPending).toBe(0);
    expect(probe.count(UPCALL)).toBe(0);
    events.close(ipi);
  });

  it("bind_vcpu sends a channel's events to another vCPU", async () => {
    const { probe } = guest;
    const [a, b] = events.loopback();
    shared.settle();
    const before = vcpu(1).count(UPCALL);
    expect(events.bindVcpu(b, 1)).toBe(0);
    expect(events.status(b)).toMatchObject({ vcpu: 1 });
    events.send(a);
    await probe.until('the upcall', () => vcpu(1).count(UPCALL) === before + 1);
    expect(shared.upcallPending).toBe(0);
    expect(events.bindVcpu(b, 4)).toBe(E.NOENT);
    events.close(a);
    events.close(b);
    vcpu(1).interrupts(false);
    shared.settle();
  });

  it("each has its own VIRQ_TIMER; single-shot timers are one's own", async () => {
    const { probe } = guest;
    const ports = [events.bindVirq(0, 0), events.bindVirq(0, 1)] as const;
    for (const port of ports) shared.mask(port);
    expect(events.bindVirq(0, 1)).toBe(E.EXIST);
    const timer = probe.make(16, [0, 8, systemTime(probe) + 5n * MILLISECOND]);
    expect(op(VCPUOP.set_singleshot_timer, 1, timer)).toBe(E.INVAL);
    expect(op(VCPUOP.stop_singleshot_timer, 1)).toBe(E.INVAL);
    expect(vcpu(1).call(HYPERVISOR.vcpu_op, VCPUOP.set_singleshot_timer, 1, timer)).toBe(0);
    await probe.until('its timer', () => shared.pending(ports[1]));
    expect(shared.pending(ports[0])).toBe(false);
    shared.clearPending(ports[1]);
    // A periodic one may be set from outside.
    expect(op(VCPUOP.set_periodic_timer, 1, probe.make(8, [0, 8, 2n * MILLISECOND]))).toBe(0);
    await probe.until('its timer', () => shared.pending(ports[1]));
    expect(op(VCPUOP.stop_periodic_timer, 1)).toBe(0);
    for (const port of ports) {
      shared.clearMask(port);
      events.close(port);
    }
    shared.settle();
  });

  it('one that polls is blocked until another sends', async () => {
    const { probe } = guest;
    const { word } = probe;
    const ipi = events.bindIpi(1);
    shared.mask(ipi);
    const list = probe.make(4, [0, 4, ipi]);
    probe.put(shared.info(1), [0, 1, 0]);
    vcpu(1).begin(HYPERVISOR.sched_op, SCHEDOP.poll, probe.make(24, [0, word, list], [word, 4, 1]));
    const runstate = probe.alloc(48);
    await probe.until('it to block', () => op(VCPUOP.get_runstate_info, 1, runstate) === 0 && probe.u32(runstate) === 2);
    expect(vcpu(1).busy).toBe(true);
    expect(events.send(ipi)).toBe(0);
    expect(vcpu(1).end()).toBe(0);
    expect(op(VCPUOP.get_runstate_info, 1, runstate)).toBe(0);
    expect(probe.u32(runstate)).not.toBe(2);
    shared.clearMask(ipi);
    events.close(ipi);
    shared.settle();
  });

  it.each(['poll', 'block'] as const)('no event is slept over: %s against send, again and again', (wait) => {
    const { probe } = guest;
    const { word } = probe;
    const ipi = events.bindIpi(1);
    const list = probe.make(4, [0, 4, ipi]);
    const poll = probe.make(24, [0, word, list], [word, 4, 1]);
    // The others would only take the host's time.
    for (const id of [2, 3]) expect(op(VCPUOP.down, id)).toBe(0);
    for (let i = 0; i < ROUNDS; i++) {
      shared.clearPending(ipi);
      probe.put(shared.info(1), [0, 1, 0], [word, word, 0]);
      if (wait === 'poll') vcpu(1).begin(HYPERVISOR.sched_op, SCHEDOP.poll, poll);
      else vcpu(1).begin(HYPERVISOR.sched_op, SCHEDOP.block);
      // Before it waits, while it goes to sleep, and after.
      for (let spin = (i % 20) * 500; spin > 0; spin--);
      expect(events.send(ipi)).toBe(0);
      expect(vcpu(1).end()).toBe(0);
      expect(shared.pending(ipi)).toBe(true);
    }
    events.close(ipi);
    shared.settle();
    probe.put(shared.info(1), [0, 1, 0], [word, word, 0]);
    for (const id of [2, 3]) expect(op(VCPUOP.up, id)).toBe(0);
  });

  it('vcpu_info of another vCPU may be registered; its clock goes along', async () => {
    const { probe } = guest;
    const at = probe.pages();
    expect(op(VCPUOP.register_vcpu_info, 2, probe.make(16, [0, 8, at / 0x1000], [8, 4, 0x40]))).toBe(0);
    expect(probe.u8(at + 0x40)).toBe(1);
    probe.put(at + 0x40, [0, 1, 0], [probe.word, probe.word, 0]);
    const ipi = events.bindIpi(2);
    events.send(ipi);
    expect(probe.u8(at + 0x40)).toBe(1);
    expect(probe.u8(shared.info(2))).toBe(0);
    events.close(ipi);
    await probe.until('its clock', () => probe.u32(at + 0x40 + 32) !== 0 && probe.u32(at + 0x40 + 32) % 2 === 0);
    const before = systemTime(probe);
    const computed = systemTimeAt(readTimeInfo(probe, at + 0x40 + 32), vcpu(2).tsc());
    expect(computed).toBeGreaterThanOrEqual(before - 1000n);
    expect(computed).toBeLessThanOrEqual(systemTime(probe) + 1000n);
  });

  it('send_nmi reaches it', async () => {
    const { probe } = guest;
    expect(op(VCPUOP.send_nmi, 2)).toBe(0);
    await probe.until('the NMI', () => vcpu(2).count(NMI) === 1);
    expect(probe.count(NMI) + vcpu(1).count(NMI)).toBe(0);
  });

  it('flush_tlbs is for all, and returns', () => {
    expect(guest.probe.call(HYPERVISOR.hvm_op, 5, 0)).toBe(0);
    expect(vcpu(1).call(HYPERVISOR.xen_version)).toBe(0x0004_0014);
  });

  it('goes down by itself and comes up where it was', async () => {
    const { probe } = guest;
    vcpu(1).begin(HYPERVISOR.vcpu_op, VCPUOP.down, 1);
    await probe.until('it to be down', () => op(VCPUOP.is_up, 1) === 0);
    const runstate = probe.alloc(48);
    await probe.until('it to be offline', () => op(VCPUOP.get_runstate_info, 1, runstate) === 0 && probe.u32(runstate) === 3);
    expect(vcpu(1).busy).toBe(true);
    expect(op(VCPUOP.up, 1)).toBe(0);
    expect(vcpu(1).end()).toBe(0);
    expect(op(VCPUOP.is_up, 1)).toBe(1);
  });

  it('the domain ends with the last one that goes down', async () => {
    const { probe } = guest;
    for (const id of [3, 2, 1]) {
      expect(op(VCPUOP.down, id)).toBe(0);
      expect(op(VCPUOP.is_up, id)).toBe(0);
    }
    probe.begin(HYPERVISOR.vcpu_op, VCPUOP.down, 0);
    expect(await probe.domain.ended).toMatchObject({ reason: 'poweroff' });
  });
});
