import { describe, expect, it } from 'vitest';
import { GPR } from '../../vcpu/contract.ts';
import { GuestFault } from '../cpu.ts';
import { CR4, FLAG, SEGMENT, SHADOW, STATE, VECTOR } from '../state.ts';
import { combine, deliver } from './exceptions.ts';
import { AT, FlatMachine, gate, SELECTOR, segment } from './fixtures/flat-machine.ts';
import { nmiBlocked } from './system-state.ts';

const INTERRUPT64 = 0x8e;
const TRAP = 0x8f;
const HANDLER = 0xffff_ffff_8123_4567n;
const high = (offset: bigint) => offset >> 32n;

describe('64-bit delivery (SDM vol. 3, 6.14)', () => {
  const bench = (level: 0 | 3, access = INTERRUPT64, ist = 0, vector = 0x20) => {
    const m = new FlatMachine().long(level);
    m.vector(vector, gate(SELECTOR.kernelCode64, HANDLER, access, ist), high(HANDLER));
    return m;
  };

  it('switches from CPL 3 to RSP0 and pushes SS, RSP, RFLAGS, CS, RIP', () => {
    const m = bench(3);
    m.cpu.set32(STATE.shadow, SHADOW.sti);
    expect(deliver(m.cpu, m.mem, { vector: 0x20, kind: 'interrupt' })).toBe('delivered');
    const top = AT.kernelStack;
    expect([1, 2, 3, 4, 5].map((i) => m.get64(top - i * 8))).toEqual([
      BigInt(SELECTOR.userData),
      BigInt(AT.userStack),
      0x202n,
      BigInt(SELECTOR.userCode64),
      0x5000n,
    ]);
    expect(m.cpu.gpr(GPR.rsp)).toBe(BigInt(top - 40));
    expect(m.cpu.rip).toBe(HANDLER);
    expect(m.cpu.cpl).toBe(0);
    expect(m.cpu.selector(SEGMENT.cs)).toBe(SELECTOR.kernelCode64);
    expect(m.cpu.selector(SEGMENT.ss)).toBe(0);
    expect(m.cpu.rflags & FLAG.if).toBe(0);
    expect(m.cpu.get32(STATE.shadow)).toBe(0);
    expect(m.cpu.get32(STATE.mmuIndex)).not.toBe(2);
  });

  it('aligns RSP to 16 bytes at the same level and keeps SS (6.14.2)', () => {
    const m = bench(0);
    m.cpu.setGpr(GPR.rsp, 0x7ff9n);
    deliver(m.cpu, m.mem, { vector: 0x20, kind: 'interrupt' });
    expect(m.get64(0x7ff0 - 16)).toBe(0x7ff9n);
    expect(m.cpu.gpr(GPR.rsp)).toBe(0x7ff0n - 40n);
    expect(m.cpu.selector(SEGMENT.ss)).toBe(SELECTOR.kernelData);
  });

  it('takes the IST stack even at CPL 0 (6.14.5)', () => {
    const m = bench(0, INTERRUPT64, 1, 2);
    deliver(m.cpu, m.mem, { vector: 2, kind: 'nmi' });
    expect(m.cpu.gpr(GPR.rsp)).toBe(BigInt(AT.ist1 - 40));
    expect(nmiBlocked(m.cpu)).toBe(true);
  });

  it('pushes the error code and RF for a fault, and CR2 for a page fault (17.3.1.1)', () => {
    const m = bench(0, INTERRUPT64, 0, VECTOR.pf);
    m.cpu.set64(STATE.faultAddress, 0xdead_b000n);
    deliver(m.cpu, m.mem, { vector: VECTOR.pf, errorCode: 2, kind: 'exception' });
    const rsp = Number(m.cpu.gpr(GPR.rsp));
    expect(m.get64(rsp)).toBe(2n);
    expect(m.get64(rsp + 24)).toBe(BigInt(FLAG.rf | FLAG.if | 2));
    expect(m.cpu.rflags & FLAG.rf).toBe(0);
    expect(m.cpu.get64(STATE.cr2)).toBe(0xdead_b000n);
  });

  it('leaves IF alone through a trap gate and pushes the next RIP of INT n', () => {
    const m = bench(3, TRAP | 0x60);
    deliver(m.cpu, m.mem, { vector: 0x20, kind: 'software', next: 0x5002n });
    expect(m.cpu.rflags & FLAG.if).toBe(FLAG.if);
    expect(m.get64(Number(m.cpu.gpr(GPR.rsp)))).toBe(0x5002n);
  });

  it('refuses INT n through a gate of DPL 0 with #GP(vector * 8 + 2), EXT clear (6.13)', () => {
    const m = bench(3);
    m.vector(VECTOR.gp, gate(SELECTOR.kernelCode64, HANDLER, INTERRUPT64), high(HANDLER));
    deliver(m.cpu, m.mem, { vector: 0x20, kind: 'software', next: 0x5002n });
    const rsp = Number(m.cpu.gpr(GPR.rsp));
    expect(m.get64(rsp)).toBe(0x102n);
    expect(m.get64(rsp + 8)).toBe(0x5000n);
  });

  it('sets EXT when an interrupt finds no present gate: #NP', () => {
    const m = bench(3, 0x0e);
    m.vector(VECTOR.np, gate(SELECTOR.kernelCode64, HANDLER, INTERRUPT64), high(HANDLER));
    deliver(m.cpu, m.mem, { vector: 0x20, kind: 'interrupt' });
    expect(m.get64(Number(m.cpu.gpr(GPR.rsp)))).toBe(0x103n);
  });

  it('refuses a handler that is not 64-bit code: #GP(selector)', () => {
    const m = bench(3);
    m.vector(0x20, gate(SELECTOR.kernelCode, HANDLER, INTERRUPT64), high(HANDLER));
    m.vector(VECTOR.gp, gate(SELECTOR.kernelCode64, HANDLER, INTERRUPT64), high(HANDLER));
    deliver(m.cpu, m.mem, { vector: 0x20, kind: 'interrupt' });
    expect(m.get64(Number(m.cpu.gpr(GPR.rsp)))).toBe(BigInt(SELECTOR.kernelCode | 1));
  });
});

describe('double and triple faults (SDM vol. 3, 6.15, table 6-5)', () => {
  const exception = (vector: number) => ({ vector, kind: 'exception' as const });
  it.each([
    [VECTOR.ud, VECTOR.gp, VECTOR.gp],
    [VECTOR.gp, VECTOR.np, VECTOR.df],
    [VECTOR.gp, VECTOR.pf, VECTOR.pf],
    [VECTOR.pf, VECTOR.gp, VECTOR.df],
    [VECTOR.pf, VECTOR.pf, VECTOR.df],
    [VECTOR.pf, VECTOR.db, VECTOR.db],
    [VECTOR.df, VECTOR.gp, undefined],
    [VECTOR.df, VECTOR.pf, undefined],
  ])('%i then %i gives %s', (first, second, result) => {
    expect(combine(exception(first), exception(second))?.vector).toBe(result);
  });

  it('treats INT 13 as benign', () => {
    expect(combine({ vector: 13, kind: 'software' }, exception(VECTOR.gp))?.vector).toBe(VECTOR.gp);
  });

  it('reports shutdown when there is no IDT, and leaves the registers alone', () => {
    const m = new FlatMachine().long(3);
    m.cpu.u16[(STATE.idtr + 8) >> 1] = 0;
    expect(deliver(m.cpu, m.mem, exception(VECTOR.ud))).toBe('shutdown');
    expect([m.cpu.rip, m.cpu.cpl, m.cpu.gpr(GPR.rsp)]).toEqual([0x5000n, 3, BigInt(AT.userStack)]);
  });

  it('reports shutdown for a stack outside memory, where the machine would have to answer', () => {
    const m = new FlatMachine().long(0);
    m.vector(VECTOR.ud, gate(SELECTOR.kernelCode64, HANDLER, INTERRUPT64), high(HANDLER));
    m.mem.write = () => {
      throw new GuestFault(0xfffe);
    };
    expect(deliver(m.cpu, m.mem, exception(VECTOR.ud))).toBe('shutdown');
  });

  it('delivers #DF on its IST when the kernel stack is not mapped', () => {
    const m = new FlatMachine().long(0);
    m.cpu.setGpr(GPR.rsp, 0x40000n);
    m.vector(VECTOR.ud, gate(SELECTOR.kernelCode64, HANDLER, INTERRUPT64), high(HANDLER));
    m.vector(VECTOR.pf, gate(SELECTOR.kernelCode64, HANDLER, INTERRUPT64), high(HANDLER));
    m.vector(VECTOR.df, gate(SELECTOR.kernelCode64, 0x7777n, INTERRUPT64, 1));
    expect(deliver(m.cpu, m.mem, exception(VECTOR.ud))).toBe('delivered');
    expect(m.cpu.rip).toBe(0x7777n);
    expect(m.get64(Number(m.cpu.gpr(GPR.rsp)))).toBe(0n);
    expect(m.cpu.get64(STATE.cr2)).toBe(0x3fff8n);
  });
});

describe('#DB (SDM vol. 3, 17.2)', () => {
  it('sets DR6 and clears DR7.GD; RF is pushed as it was', () => {
    const m = new FlatMachine().long(0);
    m.vector(VECTOR.db, gate(SELECTOR.kernelCode64, HANDLER, INTERRUPT64), high(HANDLER));
    m.cpu.set64(STATE.dr + 56, 0x2400n);
    m.cpu.rflags = FLAG.tf | 2;
    deliver(m.cpu, m.mem, { vector: VECTOR.db, kind: 'exception', next: 0x5001n, debugStatus: 1 << 14 });
    expect(m.cpu.get64(STATE.dr + 48)).toBe(0xffff_4ff0n);
    expect(m.cpu.get64(STATE.dr + 56)).toBe(0x400n);
    expect(m.get64(Number(m.cpu.gpr(GPR.rsp)) + 16)).toBe(BigInt(FLAG.tf | 2));
    expect(m.cpu.rflags & FLAG.tf).toBe(0);
  });
});

describe('32-bit protected delivery (SDM vol. 3, 6.12)', () => {
  const bench = (level: 0 | 3, access = 0x8e) => {
    const m = new FlatMachine().protected32(level);
    m.vector(0x20, gate(SELECTOR.kernelCode, 0x6000n, access));
    return m;
  };

  it('switches to SS0:ESP0 from CPL 3', () => {
    const m = bench(3);
    deliver(m.cpu, m.mem, { vector: 0x20, kind: 'interrupt' });
    const top = AT.kernelStack;
    expect([1, 2, 3, 4, 5].map((i) => m.get32(top - i * 4))).toEqual([
      SELECTOR.userData,
      AT.userStack,
      0x202,
      SELECTOR.userCode,
      0x5000,
    ]);
    expect([m.cpu.cpl, m.cpu.selector(SEGMENT.ss), m.cpu.gpr(GPR.rsp)]).toEqual([0, SELECTOR.kernelData, BigInt(top - 20)]);
  });

  it('pushes words through a 16-bit gate', () => {
    const m = bench(0, 0x86);
    deliver(m.cpu, m.mem, { vector: 0x20, kind: 'interrupt' });
    const top = AT.kernelStack;
    expect([1, 2, 3].map((i) => m.get16(top - i * 2))).toEqual([0x202, SELECTOR.kernelCode, 0x5000]);
  });

  it('raises #TS(SS) for an inner stack of the wrong level, with EXT', () => {
    const m = bench(3);
    m.tss32(AT.tss, { 8: SELECTOR.userData });
    m.vector(VECTOR.ts, gate(SELECTOR.conforming, 0x6100n, 0x8e));
    deliver(m.cpu, m.mem, { vector: 0x20, kind: 'interrupt' });
    expect([m.cpu.rip, m.get32(AT.userStack - 16)]).toEqual([0x6100n, (SELECTOR.userData & ~3) | 1]);
  });

  it('raises #SS(0) when the stack segment has no room at the same level', () => {
    const m = bench(0);
    m.cpu.setSegment(SEGMENT.ss, SELECTOR.kernelData, 0xc097, 0xffff, 0n);
    m.cpu.updateMode();
    m.describe(SELECTOR.tss2, segment(AT.tss2, 0x67, 0x89, 0));
    m.tss32(AT.tss2, { 32: 0x6000, 36: 2, 56: AT.ist1, 76: SELECTOR.kernelCode, 80: SELECTOR.kernelData });
    m.vector(VECTOR.ss, gate(SELECTOR.tss2, 0n, 0x85));
    deliver(m.cpu, m.mem, { vector: 0x20, kind: 'interrupt' });
    expect([m.cpu.rip, m.get32(AT.ist1 - 4)]).toEqual([0x6000n, 1]);
  });

  it('stays at CPL 3 through a conforming handler', () => {
    const m = bench(3);
    m.vector(0x20, gate(SELECTOR.conforming, 0x6000n, 0x8e));
    deliver(m.cpu, m.mem, { vector: 0x20, kind: 'interrupt' });
    expect([m.cpu.cpl, m.cpu.selector(SEGMENT.cs), m.cpu.gpr(GPR.rsp)]).toEqual([
      3,
      SELECTOR.conforming | 3,
      BigInt(AT.userStack - 12),
    ]);
  });
});

describe('virtual-8086 mode (SDM vol. 3, 20.3)', () => {
  it('saves the data segments on the CPL-0 stack and leaves them null', () => {
    const m = new FlatMachine().v86(3);
    m.vector(0x20, gate(SELECTOR.kernelCode, 0x6000n, 0x8e));
    deliver(m.cpu, m.mem, { vector: 0x20, kind: 'interrupt' });
    const top = AT.kernelStack;
    const frame = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((i) => m.get32(top - i * 4));
    expect(frame).toEqual([0x705, 0x704, 0x703, 0x700, 0x800, 0x1000, FLAG.vm | FLAG.if | (3 << 12) | 2, 0x100, 0x20]);
    expect(m.cpu.virtual8086).toBe(false);
    expect([SEGMENT.es, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs].map((s) => m.cpu.attributes(s))).toEqual([0, 0, 0, 0]);
  });

  it('raises #GP(0) for INT n below IOPL 3 without VME', () => {
    const m = new FlatMachine().v86(0);
    m.vector(0x20, gate(SELECTOR.kernelCode, 0x6000n, 0xee));
    m.vector(VECTOR.gp, gate(SELECTOR.kernelCode, 0x7000n, 0x8e));
    deliver(m.cpu, m.mem, { vector: 0x20, kind: 'software', next: 0x22n });
    expect([m.cpu.rip, m.get32(Number(m.cpu.gpr(GPR.rsp)))]).toEqual([0x7000n, 0]);
  });

  it('redirects INT n to the vector table with VME, with VIF in the place of IF (20.3.3)', () => {
    const m = new FlatMachine().v86(0);
    m.cpu.set64(STATE.cr4, BigInt(CR4.vme));
    m.cpu.setSegment(SEGMENT.tr, SELECTOR.tss, 0x8b, 0xff, BigInt(AT.tss));
    m.ram.setUint16(AT.tss + 0x66, 0x90, true);
    m.ram.setUint32(0x20 * 4, 0x0200_0030, true);
    m.cpu.rflags = FLAG.vm | FLAG.vif | 2;
    deliver(m.cpu, m.mem, { vector: 0x20, kind: 'software', next: 0x22n });
    expect([m.cpu.selector(SEGMENT.cs), m.cpu.rip, m.cpu.virtual8086]).toEqual([0x200, 0x30n, true]);
    const top = 0x8000 + 0x1000;
    expect([m.get16(top - 2), m.get16(top - 4), m.get16(top - 6)]).toEqual([FLAG.iopl | FLAG.if | 2, 0x100, 0x22]);
    expect(m.cpu.rflags & FLAG.vif).toBe(0);
  });
});

describe('real-address mode (SDM vol. 3, 20.1.4)', () => {
  it('pushes FLAGS, CS, IP and jumps through the vector table', () => {
    const m = new FlatMachine().real();
    m.ram.setUint32(8 * 4, 0xf000_1234, true);
    m.cpu.rflags = FLAG.if | FLAG.tf | 2;
    deliver(m.cpu, m.mem, { vector: 8, kind: 'interrupt' });
    expect([1, 2, 3].map((i) => m.get16(0x8000 - i * 2))).toEqual([FLAG.if | FLAG.tf | 2, 0, 0x500]);
    expect([m.cpu.segBase(SEGMENT.cs), m.cpu.rip, m.cpu.rflags]).toEqual([0xf0000n, 0x1234n, 2]);
  });

  it('shuts down when the table is too short even for #DF', () => {
    const m = new FlatMachine().real();
    m.cpu.u16[(STATE.idtr + 8) >> 1] = 0x1f;
    expect(deliver(m.cpu, m.mem, { vector: 0x20, kind: 'interrupt' })).toBe('shutdown');
  });
});

describe('task gates (SDM vol. 3, 6.12.2)', () => {
  it('runs the handler as a task and pushes the error code on its stack', () => {
    const m = new FlatMachine().protected32(0);
    m.describe(SELECTOR.tss2, segment(AT.tss2, 0x67, 0x89, 0));
    m.tss32(AT.tss2, {
      32: 0x6000,
      36: 2,
      56: AT.ist1,
      72: SELECTOR.kernelData,
      76: SELECTOR.kernelCode,
      80: SELECTOR.kernelData,
      84: SELECTOR.kernelData,
    });
    m.vector(VECTOR.df, gate(SELECTOR.tss2, 0n, 0x85));
    m.vector(VECTOR.gp, 0n);
    expect(deliver(m.cpu, m.mem, { vector: VECTOR.gp, errorCode: 0x10, kind: 'exception' })).toBe('delivered');
    expect([m.cpu.rip, m.cpu.selector(SEGMENT.tr), m.cpu.gpr(GPR.rsp)]).toEqual([0x6000n, SELECTOR.tss2, BigInt(AT.ist1 - 4)]);
    expect(m.get32(AT.ist1 - 4)).toBe(0);
    expect(m.cpu.rflags & FLAG.nt).toBe(FLAG.nt);
    expect(m.get16(AT.tss2)).toBe(SELECTOR.tss);
    expect(m.get32(AT.tss + 32)).toBe(0x5000);
  });
});
