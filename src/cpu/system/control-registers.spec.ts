import { describe, expect, it } from 'vitest';
import { CODE_MODE, CR0, CR4, EFER, SEGMENT, STATE, VECTOR } from '../state.ts';
import {
  CR4_WRITABLE,
  clearTaskSwitched,
  loadMachineStatus,
  readControl,
  readExtendedControl,
  storeMachineStatus,
  writeControl,
  writeExtendedControl,
} from './control-registers.ts';
import { readDebug, writeDebug } from './debug-registers.ts';
import { farJump } from './far-transfer.ts';
import { FlatMachine, SELECTOR } from './fixtures/flat-machine.ts';
import { readMsr, writeMsr } from './msr.ts';
import { SYSTEM_STATE } from './system-state.ts';

const GP0 = [VECTOR.gp, 0];
const PG = BigInt(CR0.pg >>> 0);
const clock = { ticks: () => 0 };

describe('entering and leaving long mode (SDM vol. 3, 9.8.5)', () => {
  const enable = (m: FlatMachine) => writeControl(m.cpu, m.mem, 0, m.cpu.get64(STATE.cr0) | PG);
  const prepared = () => {
    const m = new FlatMachine().protected32();
    writeControl(m.cpu, m.mem, 4, BigInt(CR4.pae));
    writeControl(m.cpu, m.mem, 3, 0x10000n);
    writeMsr(m.cpu, m.mem, 0xc000_0080, BigInt(EFER.lme), clock);
    return m;
  };

  it('PG with LME sets LMA; the far jump makes it 64-bit', () => {
    const m = prepared();
    enable(m);
    expect([m.cpu.longMode, m.cpu.get32(STATE.codeMode)]).toEqual([true, CODE_MODE.code32]);
    farJump(m.cpu, m.mem, SELECTOR.kernelCode64, 0x6000n, 4, 0n);
    expect(m.cpu.get32(STATE.codeMode)).toBe(CODE_MODE.code64);
    expect(m.fault(() => writeControl(m.cpu, m.mem, 0, m.cpu.get64(STATE.cr0) & ~PG))).toEqual(GP0);
    expect(m.fault(() => writeControl(m.cpu, m.mem, 4, 0n))).toEqual(GP0);
    farJump(m.cpu, m.mem, SELECTOR.kernelCode, 0x6000n, 4, 0n);
    writeControl(m.cpu, m.mem, 0, m.cpu.get64(STATE.cr0) & ~PG);
    expect([m.cpu.longMode, m.cpu.efer]).toEqual([false, EFER.lme]);
  });

  it('wants PAE, CS.L clear and a 32-bit TSS', () => {
    const noPae = prepared();
    writeControl(noPae.cpu, noPae.mem, 4, 0n);
    expect(noPae.fault(() => enable(noPae))).toEqual(GP0);
    const longCs = prepared();
    longCs.cpu.setSegment(SEGMENT.cs, 8, 0xa09b, 0xffff_ffff, 0n);
    expect(longCs.fault(() => enable(longCs))).toEqual(GP0);
    const tss16 = prepared();
    tss16.cpu.setSegment(SEGMENT.tr, 8, 0x83, 0xff, 0n);
    expect(tss16.fault(() => enable(tss16))).toEqual(GP0);
    expect(tss16.cpu.longMode).toBe(false);
  });
});

describe('CR0 (SDM vol. 3, 2.5)', () => {
  it.each([
    ['PG without PE', PG],
    ['NW without CD', BigInt(CR0.nw | CR0.pe)],
    ['bits 63:32', 1n << 32n],
  ] as const)('#GP(0): %s', (_name, value) => {
    const m = new FlatMachine().real();
    expect(m.fault(() => writeControl(m.cpu, m.mem, 0, value))).toEqual(GP0);
  });
  it('has ET fixed, ignores reserved bits below 32 and flushes when WP changes', () => {
    const m = new FlatMachine().protected32();
    writeControl(m.cpu, m.mem, 0, 0x1fff_ffc1n);
    expect(readControl(m.cpu, 0)).toBe(BigInt(CR0.pe | CR0.et | CR0.wp | CR0.am));
    expect(m.mem.flushes).toEqual([true]);
  });
  it('LMSW sets PE but does not clear it; CLTS clears TS', () => {
    const m = new FlatMachine().real();
    loadMachineStatus(m.cpu, m.mem, 0xf);
    expect(storeMachineStatus(m.cpu) & 0xfn).toBe(0xfn);
    loadMachineStatus(m.cpu, m.mem, 8);
    expect(storeMachineStatus(m.cpu) & 0xfn).toBe(9n);
    clearTaskSwitched(m.cpu);
    expect(storeMachineStatus(m.cpu) & 0xfn).toBe(1n);
  });
  it('belongs to CPL 0', () => {
    const m = new FlatMachine().long(3);
    expect(m.fault(() => readControl(m.cpu, 0))).toEqual(GP0);
    expect(m.fault(() => clearTaskSwitched(m.cpu))).toEqual(GP0);
    expect(m.fault(() => readControl(m.cpu, 1))).toEqual([VECTOR.ud, undefined]);
  });
});

describe('CR3, CR4, CR8', () => {
  it('CR3 flushes all but global pages and refuses bits beyond 40', () => {
    const m = new FlatMachine().long();
    writeControl(m.cpu, m.mem, 3, 0xff_ffff_f018n);
    expect(m.mem.spaces).toEqual([[0, false]]);
    expect(m.fault(() => writeControl(m.cpu, m.mem, 3, 1n << 40n))).toEqual(GP0);
    expect(m.fault(() => writeControl(m.cpu, m.mem, 3, 1n << 63n))).toEqual(GP0);
  });
  it('PCIDE wants long mode and PCID 0; then bit 63 of CR3 means: no flush (SDM vol. 3, 4.10.1)', () => {
    const m = new FlatMachine().long();
    const pcide = BigInt(CR4.pae | CR4.pcide);
    writeControl(m.cpu, m.mem, 3, 0x1008n);
    expect(m.fault(() => writeControl(m.cpu, m.mem, 4, pcide))).toEqual(GP0);
    writeControl(m.cpu, m.mem, 3, 0x1000n);
    writeControl(m.cpu, m.mem, 4, pcide);
    m.mem.spaces.length = 0;
    writeControl(m.cpu, m.mem, 3, (1n << 63n) | 0x1000n);
    expect([m.mem.spaces, readControl(m.cpu, 3)]).toEqual([[[0, true]], 0x1000n]);
    writeControl(m.cpu, m.mem, 3, 0x2001n);
    expect([m.mem.spaces.at(-1), readControl(m.cpu, 3)]).toEqual([[1, false], 0x2001n]);
    const legacy = new FlatMachine().protected32();
    expect(legacy.fault(() => writeControl(legacy.cpu, legacy.mem, 4, pcide))).toEqual(GP0);
  });
  it('CR4 takes what CPUID advertises and nothing else', () => {
    const m = new FlatMachine().long();
    const all = BigInt(CR4_WRITABLE & ~CR4.pcide);
    writeControl(m.cpu, m.mem, 4, all);
    expect(readControl(m.cpu, 4)).toBe(all);
    for (const bit of [12n, 13n, 14n, 19n, 22n, 23n, 32n])
      expect(m.fault(() => writeControl(m.cpu, m.mem, 4, all | (1n << bit)))).toEqual(GP0);
  });
  it('CR8 has four bits', () => {
    const m = new FlatMachine().long();
    writeControl(m.cpu, m.mem, 8, 15n);
    expect(readControl(m.cpu, 8)).toBe(15n);
    expect(m.fault(() => writeControl(m.cpu, m.mem, 8, 16n))).toEqual(GP0);
  });
  it('PAE paging loads four checked entries with CR3 (SDM vol. 3, 4.4.1)', () => {
    const m = new FlatMachine().protected32();
    writeControl(m.cpu, m.mem, 4, BigInt(CR4.pae));
    for (let i = 0; i < 4; i++) m.put64(0x6020 + i * 8, BigInt(i * 0x1000 + 1));
    writeControl(m.cpu, m.mem, 3, 0x6020n);
    writeControl(m.cpu, m.mem, 0, BigInt(m.cpu.cr0) | PG);
    expect([0, 1, 2, 3].map((i) => m.cpu.get64(SYSTEM_STATE.pdpte + i * 8))).toEqual([1n, 0x1001n, 0x2001n, 0x3001n]);
    m.put64(0x6040, 3n);
    expect(m.fault(() => writeControl(m.cpu, m.mem, 3, 0x6040n))).toEqual(GP0);
    m.put64(0x6040, 1n | (1n << 40n));
    expect(m.fault(() => writeControl(m.cpu, m.mem, 3, 0x6040n))).toEqual(GP0);
    expect([readControl(m.cpu, 3), m.cpu.get64(SYSTEM_STATE.pdpte)]).toEqual([0x6020n, 1n]);
  });
});

describe('XCR0 (SDM vol. 1, 13.3)', () => {
  it('takes x87, with or without SSE, and AVX with both', () => {
    const m = new FlatMachine().long();
    expect(m.fault(() => readExtendedControl(m.cpu, 0))).toEqual([VECTOR.ud, undefined]);
    m.cpu.set64(STATE.cr4, BigInt(CR4.pae | CR4.osxsave));
    expect(readExtendedControl(m.cpu, 0)).toBe(1n);
    writeExtendedControl(m.cpu, 0, 3n);
    expect(readExtendedControl(m.cpu, 0)).toBe(3n);
    writeExtendedControl(m.cpu, 0, 7n);
    expect(readExtendedControl(m.cpu, 0)).toBe(7n);
    for (const value of [0n, 2n, 5n, 15n]) expect(m.fault(() => writeExtendedControl(m.cpu, 0, value))).toEqual(GP0);
    expect(m.fault(() => writeExtendedControl(m.cpu, 1, 1n))).toEqual(GP0);
  });
});

describe('debug registers (SDM vol. 3, 17.2)', () => {
  it('keeps the fixed bits of DR6 and DR7, and 64-bit addresses', () => {
    const m = new FlatMachine().long();
    writeDebug(m.cpu, 0, 0xffff_8000_0000_0001n);
    writeDebug(m.cpu, 6, 0n);
    writeDebug(m.cpu, 7, 0xffff_dfffn);
    expect([0, 6, 7].map((i) => readDebug(m.cpu, i))).toEqual([0xffff_8000_0000_0001n, 0xffff_0ff0n, 0xffff_07ffn]);
    expect(m.fault(() => writeDebug(m.cpu, 7, 1n << 32n))).toEqual(GP0);
  });
  it('DR4 is DR6 unless CR4.DE', () => {
    const m = new FlatMachine().long();
    expect(readDebug(m.cpu, 4)).toBe(0xffff_0ff0n);
    m.cpu.set64(STATE.cr4, BigInt(CR4.pae | CR4.de));
    expect(m.fault(() => readDebug(m.cpu, 4))).toEqual([VECTOR.ud, undefined]);
  });
  it('general detect: #DB with DR6.BD', () => {
    const m = new FlatMachine().long();
    writeDebug(m.cpu, 7, 0x2000n);
    expect(m.fault(() => readDebug(m.cpu, 0))).toEqual([VECTOR.db, undefined]);
    expect(m.cpu.get32(STATE.dr + 48) & 0x2000).toBe(0x2000);
  });
});

describe('EFER through MSRs', () => {
  it('reads LMA back and refuses a change of LME under paging', () => {
    const m = new FlatMachine().long();
    expect(readMsr(m.cpu, 0xc000_0080, clock)).toBe(BigInt(EFER.sce | EFER.lme | EFER.lma | EFER.nxe));
    expect(writeMsr(m.cpu, m.mem, 0xc000_0080, BigInt(EFER.sce | EFER.lme), clock)).toBe('ok');
    expect(m.cpu.efer).toBe(EFER.sce | EFER.lme | EFER.lma);
    expect(m.mem.flushes).toEqual([true]);
    expect(writeMsr(m.cpu, m.mem, 0xc000_0080, 1n, clock)).toBe('gp');
    expect(writeMsr(m.cpu, m.mem, 0xc000_0080, BigInt(EFER.lme | 2), clock)).toBe('gp');
  });
});
