// Microsoft's hypervisor interface beside Xen's, as `viridian=1` gives it: xen/arch/x86/hvm/viridian/, and Microsoft's Hypervisor
// Top Level Functional Specification (TLFS) for leaves, registers and calls.
import { describe, expect, it } from 'vitest';
import type { Probe } from './probe.ts';
import { OP } from './probe-layout.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { E, HYPERVISOR, XENVER } from './xen-numbers.ts';

const GP = 13;
const XEN = [0x566e_6558, 0x6558_4d4d, 0x4d4d_566e];
const MICROSOFT = [0x7263_694d, 0x666f_736f, 0x7648_2074];
const VERSION = 0x0004_0014;
const XEN_MSR = 0x4000_0200;
const HV_MSR = {
  guest_os_id: 0x4000_0000,
  hypercall: 0x4000_0001,
  vp_index: 0x4000_0002,
  time_ref_count: 0x4000_0020,
  tsc_frequency: 0x4000_0022,
  tpr: 0x4000_0072,
  vp_assist_page: 0x4000_0073,
  crash_p0: 0x4000_0100,
} as const;
/** TLFS, appendix A; a fast call has its input in registers. */
const HV_CALL = { flush_list: 3, spin_wait: 8, send_ipi: 0xb, absent: 0x46, fast: 1 << 16 } as const;
const HV_STATUS = { success: 0, invalid_code: 2, invalid_parameter: 5 } as const;
const WINDOWS = 0x0001_040a_0000_4a61n;
const VECTOR = 0x71;

describe.each(WIDTHS)('a %i-bit guest with viridian', (width) => {
  let xenPage: number;
  let hvPage: number;
  const writeMsr = (probe: Probe, msr: number, value: number | bigint): void => {
    const bits = BigInt(value);
    probe.command(OP.wrmsr, msr, bits & 0xffff_ffffn, bits >> 32n);
  };
  const prepare = (probe: Probe): void => {
    [xenPage, hvPage] = [probe.pages(), probe.pages()];
    writeMsr(probe, HV_MSR.guest_os_id, WINDOWS);
    writeMsr(probe, XEN_MSR, xenPage);
    writeMsr(probe, HV_MSR.hypercall, hvPage | 1);
    probe.hypercallPage = xenPage;
  };
  const guest = useProbe(width, prepare, { emulation: { viridian: true } });
  const readMsr = (msr: number): bigint => {
    const [low, high] = guest.probe.command(OP.rdmsr, msr) as [bigint, bigint];
    return (high << 32n) | low;
  };
  /** A call through Microsoft's page. RCX, RDX and R8 in 64-bit mode; EDX:EAX, EBX:ECX and EDI:ESI in 32-bit mode. */
  const hvCall = (input: number | bigint, first: number | bigint = 0, second: number | bigint = 0): bigint => {
    const [boot] = guest.probe.vcpus;
    if (boot === undefined) throw new Error('no vCPU');
    const high = (value: number | bigint): bigint => BigInt(value) >> 32n;
    const low = (value: number | bigint): bigint => BigInt(value) & 0xffff_ffffn;
    if (width === 64) {
      boot.rcx = input;
      return boot.callAt(hvPage, 0, 0, 0, first, 0, second)[0] as bigint;
    }
    const registers = [low(input), high(first), low(first), high(input), low(second), high(second)];
    const [eax, , , edx] = boot.callAt(hvPage, ...registers);
    return ((edx as bigint) << 32n) | (eax as bigint);
  };

  it("CPUID is Microsoft's at 0x40000000", () => {
    const { probe } = guest;
    const [max, ...signature] = probe.cpuid(0x4000_0000);
    expect([max, signature]).toEqual([0x4000_0006, MICROSOFT]);
    expect(probe.cpuid(0x4000_0001)).toEqual([0x3123_7648, 0, 0, 0]); // "Hv#1"
    // Time reference count, APIC registers, hypercall MSRs, virtual processor index: TLFS, 2.4.
    expect(probe.cpuid(0x4000_0003)[0] & 0x72).toBe(0x72);
    expect(probe.cpuid(1)[2] >>> 31).toBe(1);
  });

  it("and Xen's at 0x40000100", () => {
    const { probe } = guest;
    const [max, ...signature] = probe.cpuid(0x4000_0100);
    expect(signature).toEqual(XEN);
    expect(max).toBeGreaterThanOrEqual(0x4000_0104);
    expect(probe.cpuid(0x4000_0101)).toEqual([VERSION, 0, 0, 0]);
    expect(probe.cpuid(0x4000_0102).slice(0, 2)).toEqual([1, XEN_MSR]);
    expect(probe.cpuid(0x4000_0200)).toEqual([0, 0, 0, 0]);
  });

  it('each hypercall page has the stubs of its own interface', () => {
    const { probe } = guest;
    for (const nr of [0, 17, 41]) {
      const stub = [...probe.read(xenPage + nr * 32, 9)];
      expect(stub).toEqual([0xb8, nr, 0, 0, 0, 0x0f, 0x01, 0xc1, 0xc3]);
    }
    const page = probe.read(hvPage, 0x1000);
    // or eax, 0x80000000; vmcall; ret; int3 …
    expect([...page.subarray(0, 9)]).toEqual([0x0d, 0, 0, 0, 0x80, 0x0f, 0x01, 0xc1, 0xc3]);
    expect(page.subarray(9).every((byte) => byte === 0xcc)).toBe(true);
  });

  it('tells both kinds of calls apart', () => {
    const { probe } = guest;
    for (let i = 0; i < 3; i++) {
      expect(probe.callFrom('page', HYPERVISOR.xen_version, XENVER.version)).toBe(VERSION);
      expect(probe.call(HYPERVISOR.xen_version, XENVER.version)).toBe(VERSION);
      expect(hvCall(HV_CALL.spin_wait)).toBe(BigInt(HV_STATUS.success));
      // The same numbers, the other way round.
      expect(probe.callFrom('page', HV_CALL.spin_wait)).toBe(E.NOSYS);
      expect(hvCall(HYPERVISOR.xen_version)).toBe(BigInt(HV_STATUS.invalid_code));
    }
    expect(hvCall(HV_CALL.absent)).toBe(BigInt(HV_STATUS.invalid_code));
  });

  it.runIf(width === 64)('bit 31 of RAX marks a call, whatever is above it', () => {
    const { probe } = guest;
    const [boot] = probe.vcpus;
    if (boot === undefined) throw new Error('no vCPU');
    boot.rcx = HV_CALL.spin_wait;
    expect(boot.call(0x1_8000_0000)).toBe(HV_STATUS.success);
    boot.rcx = HV_CALL.absent;
    expect(boot.call(0x1_8000_0000)).toBe(HV_STATUS.invalid_code);
    expect(boot.call(0x1_0000_0000 + HYPERVISOR.xen_version)).toBe(E.NOSYS);
  });

  it("is refused to level 3, as Xen's calls are", () => {
    const { probe } = guest;
    expect(probe.callFrom('user', 0x8000_0000)).toBe(E.PERM);
    expect(probe.callFrom('user', HYPERVISOR.xen_version)).toBe(E.PERM);
  });

  it('a flush reports all its repetitions', () => {
    const { probe } = guest;
    // Address space, flags, processors; and what lies nowhere.
    const input = probe.make(24, [8, 8, 0], [16, 8, 1]);
    const reps = 5n << 32n;
    expect(hvCall(BigInt(HV_CALL.flush_list) | reps, input)).toBe(reps);
    expect(hvCall(BigInt(HV_CALL.flush_list) | reps, 0xd000_0000)).toBe(BigInt(HV_STATUS.invalid_parameter));
  });

  it('an interrupt to oneself arrives', async () => {
    const { probe } = guest;
    probe.interrupts(true);
    expect(hvCall(HV_CALL.send_ipi | HV_CALL.fast, VECTOR, 1)).toBe(0n);
    await probe.until('the interrupt', () => probe.count(VECTOR) === 1);
    expect(hvCall(HV_CALL.send_ipi | HV_CALL.fast, VECTOR, 2)).toBe(0n);
    expect(hvCall(HV_CALL.send_ipi | HV_CALL.fast, 0xf, 1)).toBe(BigInt(HV_STATUS.invalid_parameter));
    const input = probe.make(16, [0, 4, VECTOR], [8, 8, 1]);
    expect(hvCall(HV_CALL.send_ipi, input)).toBe(0n);
    await probe.until('the second', () => probe.count(VECTOR) === 2);
    probe.interrupts(false);
  });

  it('the reference time counts 100 ns with the TSC', () => {
    const { probe } = guest;
    const khz = BigInt(probe.cpuid(0x4000_0103)[2]);
    expect(readMsr(HV_MSR.tsc_frequency)).toBe(khz * 1000n);
    const before = probe.tsc();
    const first = readMsr(HV_MSR.time_ref_count);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
    const second = readMsr(HV_MSR.time_ref_count);
    const after = probe.tsc();
    expect(second - first).toBeGreaterThanOrEqual(200_000n);
    // Between the two time stamps, but for the rounding of the scale.
    expect(first + 10n).toBeGreaterThan((before * 10_000n) / khz);
    expect(second).toBeLessThanOrEqual((after * 10_000n) / khz);
    expect(probe.attempt(OP.wrmsr, HV_MSR.time_ref_count, 0, 0)).toMatchObject({ vector: GP, error: 0 });
  });

  it('the other registers', () => {
    const { probe } = guest;
    expect(readMsr(HV_MSR.guest_os_id)).toBe(WINDOWS);
    expect(readMsr(HV_MSR.hypercall)).toBe(BigInt(hvPage | 1));
    expect(readMsr(HV_MSR.vp_index)).toBe(0n);
    writeMsr(probe, HV_MSR.tpr, 0x50);
    expect(readMsr(HV_MSR.tpr)).toBe(0x50n);
    writeMsr(probe, HV_MSR.tpr, 0);
    writeMsr(probe, HV_MSR.crash_p0, 0x1234_5678_9abc_def0n);
    expect(readMsr(HV_MSR.crash_p0)).toBe(0x1234_5678_9abc_def0n);
    const assist = probe.pages();
    probe.put(assist, [0, 8, -1]);
    writeMsr(probe, HV_MSR.vp_assist_page, assist | 1);
    expect(probe.get(assist, 8)).toBe(0n);
    expect(readMsr(XEN_MSR)).toBe(0n);
  });

  it.each([0x4000_0003, 0x4000_0010, 0x4000_0021, 0x4000_0080, 0x4000_00b0, 0x4000_0106, 0x4000_01ff, 0x4000_0201])(
    'MSR %i raises #GP',
    (msr) => {
      const { probe } = guest;
      expect(probe.attempt(OP.rdmsr, msr)).toMatchObject({ vector: GP, error: 0 });
      expect(probe.attempt(OP.wrmsr, msr, 0, 0)).toMatchObject({ vector: GP, error: 0 });
    },
  );

  it("a write of Xen's MSR goes by Xen's rules", () => {
    const { probe } = guest;
    expect(probe.attempt(OP.wrmsr, XEN_MSR, xenPage + 1, 0)).toMatchObject({ vector: GP, error: 0 });
    expect(probe.callFrom('page', HYPERVISOR.xen_version, XENVER.version)).toBe(VERSION);
  });
});

describe.each(WIDTHS)('a %i-bit guest without viridian', (width) => {
  const guest = useProbe(width);

  it("has Xen at 0x40000000, and nothing of Microsoft's", () => {
    const { probe } = guest;
    expect(probe.cpuid(0x4000_0000).slice(1)).toEqual(XEN);
    for (const base of [0x4000_0100, 0x4000_0200]) expect(probe.cpuid(base)).toEqual([0, 0, 0, 0]);
    expect(probe.cpuid(0x4000_0002).slice(0, 2)).toEqual([1, 0x4000_0000]);
  });

  it.each(Object.entries(HV_MSR).filter(([name]) => name !== 'guest_os_id'))('%s raises #GP', (_, msr) => {
    const { probe } = guest;
    expect(probe.attempt(OP.rdmsr, msr)).toMatchObject({ vector: GP, error: 0 });
    expect(probe.attempt(OP.wrmsr, msr, 0, 0)).toMatchObject({ vector: GP, error: 0 });
  });

  it("a call with Microsoft's mark is one of Xen's that does not exist", () => {
    for (const nr of [0, HV_CALL.spin_wait, HYPERVISOR.xen_version]) expect(guest.probe.call(0x8000_0000 + nr)).toBe(E.NOSYS);
  });
});
