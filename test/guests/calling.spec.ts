// How a hypercall is made: registers, the hypercall page, privilege, mode; and what is no hypercall at all.
import { describe, expect, it } from 'vitest';
import { OP } from './probe-layout.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { E, HYPERVISOR } from './xen-numbers.ts';

const MSR = 0x4000_0000;
const GP = 13;
const IRET = 23;
const VERSION = 0x0004_0014;
/** PV only, gone, or of other machines: xen/include/hypercall-defs.c, columns hvm32 and hvm64. */
const ABSENT = [
  0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 14, 16, 19, 22, 23, 25, 28, 30, 31, 37, 38, 43, 47, 50, 55, 56, 63, 64,
] as const;
const BEYOND = [100, 127, 128, 0x1000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] as const;

describe.each(WIDTHS)('a hypercall of a %i-bit guest', (width) => {
  const guest = useProbe(width);

  it.each([...ABSENT, ...BEYOND])('number %i does not exist', (nr) => {
    expect(guest.probe.call(nr)).toBe(E.NOSYS);
  });

  it('leaves the argument registers as they were', () => {
    const { probe } = guest;
    const values = [0, 0x1111, 0x2222, 0x3333, 0x4444, 0x5555].map(BigInt);
    const left = probe.command(OP.call, HYPERVISOR.xen_version, ...values);
    expect(left.slice(1, 7).map((value) => BigInt.asUintN(width, value))).toEqual(values);
  });

  it('is refused to level 3, whatever its number', () => {
    const { probe } = guest;
    for (const nr of [HYPERVISOR.xen_version, HYPERVISOR.sched_op, HYPERVISOR.hvm_op, 0, 63, 0xffff])
      expect(probe.callFrom('user', nr)).toBe(E.PERM);
    expect(probe.call(HYPERVISOR.xen_version)).toBe(VERSION);
  });

  it.runIf(width === 64)('takes 32-bit arguments from 32-bit code in long mode', () => {
    const { probe } = guest;
    expect(probe.callFrom('compat', HYPERVISOR.xen_version)).toBe(VERSION);
    expect(probe.callFrom('compat', 63)).toBe(E.NOSYS);
    // platform_parameters has 4 bytes there, and 8 in 64-bit code.
    const at = probe.make(8, [0, 8, 0xffff_ffff_ffff_ffffn]);
    expect(probe.callFrom('compat', HYPERVISOR.xen_version, 5, at)).toBe(0);
    expect(probe.get(at, 8)).toBe(0xffff_ffff_0000_0000n);
    expect(probe.call(HYPERVISOR.xen_version, 5, at)).toBe(0);
    expect(probe.get(at, 8)).toBe(0n);
  });

  it.runIf(width === 64)('faults on a pointer beyond 4 GiB and on one that is not canonical', () => {
    const { probe } = guest;
    for (const at of [0x1_0000_0000n, 0x8000_0000_0000n, 0x1234_5678_9abc_def0n, 0xffff_ffff_ffff_fff8n])
      expect(probe.call(HYPERVISOR.xen_version, 6, at)).toBe(E.FAULT);
  });

  it.runIf(width === 64)('has no number beyond 32 bits', () => {
    expect(guest.probe.call(Number(0x1_0000_0000n) + HYPERVISOR.xen_version)).toBe(E.NOSYS);
  });

  it('the hypercall page: a stub every 32 bytes, what lies between them kept', () => {
    const { probe } = guest;
    const at = probe.pages(2);
    probe.write(at, new Uint8Array(0x2000).fill(0xa5));
    probe.command(OP.wrmsr, MSR, at, 0);
    const page = probe.read(at, 0x2000);
    for (let nr = 0; nr < 128; nr++) {
      const stub = [...page.subarray(nr * 32, nr * 32 + 32)];
      const used = nr === IRET ? [0x0f, 0x0b] : [0xb8, nr, 0, 0, 0, 0x0f, 0x01, 0xc1, 0xc3];
      expect(stub, `stub ${nr}`).toEqual([...used, ...new Array<number>(32 - used.length).fill(0xa5)]);
    }
    expect(page.subarray(0x1000).every((byte) => byte === 0xa5)).toBe(true);
    probe.hypercallPage = at;
    expect(probe.callFrom('page', HYPERVISOR.xen_version)).toBe(VERSION);
    expect(probe.callFrom('page', 63)).toBe(E.NOSYS);
    expect(probe.attempt(OP.callByPage, IRET)).toMatchObject({ vector: 6 });
  });

  it('the hypercall page may be written again, over code that ran', () => {
    const { probe } = guest;
    const at = probe.hypercallPage;
    probe.write(at + HYPERVISOR.xen_version * 32 + 1, Uint8Array.of(0, 0, 0, 0));
    probe.command(OP.wrmsr, MSR, at, 0);
    expect(probe.callFrom('page', HYPERVISOR.xen_version)).toBe(VERSION);
  });

  it('the MSR reads 0, and takes the first page only, of RAM', () => {
    const { probe } = guest;
    expect(probe.command(OP.rdmsr, MSR).slice(0, 2)).toEqual([0n, 0n]);
    const at = probe.pages();
    expect(probe.attempt(OP.wrmsr, MSR, at + 1, 0)).toMatchObject({ vector: GP, error: 0 });
    expect(probe.attempt(OP.wrmsr, MSR, 0xd000_0000, 0)).toMatchObject({ vector: GP, error: 0 });
    expect(probe.attempt(OP.wrmsr, MSR, at, 1)).toMatchObject({ vector: GP, error: 0 });
    expect(probe.read(at, 0x1000).every((byte) => byte === 0)).toBe(true);
  });

  it.each([0x4000_0001, 0x4000_00ff, 0x4000_0200, 0x4000_02ff])('MSR %i raises #GP', (msr) => {
    const { probe } = guest;
    expect(probe.attempt(OP.rdmsr, msr)).toMatchObject({ vector: GP, error: 0 });
    expect(probe.attempt(OP.wrmsr, msr, 0, 0)).toMatchObject({ vector: GP, error: 0 });
  });
});
