import { describe, expect, it } from 'vitest';
import { CR4, SEGMENT, STATE, VECTOR } from '../state.ts';
import { AT, FlatMachine, SELECTOR, SIZE, segment } from './fixtures/flat-machine.ts';
import { checkSegment } from './segment-check.ts';
import { loadDataSegment } from './segmentation.ts';
import { accessRights, isReadableSegment, isWritableSegment, segmentLimit } from './selector-queries.ts';
import { loadLdt, loadTable, loadTaskRegister, storeTable, storeTaskRegister } from './table-registers.ts';

const { ss, ds, es, fs, cs, ldtr, tr } = SEGMENT;

describe('loading data segments (SDM vol. 3, 5.6)', () => {
  it('takes base, limit with granularity and attributes, and sets the accessed bit in memory', () => {
    const m = new FlatMachine().protected32();
    m.describe(SELECTOR.free, segment(0x12345678, 0x1f, 0x92, SIZE.g | SIZE.d));
    loadDataSegment(m.cpu, m.mem, ds, SELECTOR.free);
    expect([m.cpu.segBase(ds), m.cpu.limit(ds), m.cpu.attributes(ds)]).toEqual([0x12345678n, 0x1ffff, 0xc093]);
    expect(m.ram.getUint8(AT.gdt + SELECTOR.free + 5)).toBe(0x93);
  });

  it.each([
    ['beyond the table', 0x100, undefined, [VECTOR.gp, 0x100]],
    ['execute-only code', SELECTOR.free, segment(0, 0xfffff, 0x98, 0), [VECTOR.gp, SELECTOR.free]],
    ['a system descriptor', SELECTOR.free, segment(0, 0xfffff, 0x82, 0), [VECTOR.gp, SELECTOR.free]],
    ['not present', SELECTOR.free, segment(0, 0xfffff, 0x12, 0), [VECTOR.np, SELECTOR.free]],
    ['RPL above DPL', SELECTOR.free | 3, segment(0, 0xfffff, 0x92, 0), [VECTOR.gp, SELECTOR.free]],
    ['conforming code, whatever the RPL', SELECTOR.free | 3, segment(0, 0xfffff, 0x9e, 0), undefined],
    ['null', 3, undefined, undefined],
  ] as const)('%s', (_name, selector, descriptor, result) => {
    const m = new FlatMachine().protected32();
    if (descriptor !== undefined) m.describe(selector, descriptor);
    expect(m.fault(() => loadDataSegment(m.cpu, m.mem, es, selector))).toEqual(result);
  });

  it.each([
    ['null', 0, [VECTOR.gp, 0]],
    ['code', SELECTOR.kernelCode, [VECTOR.gp, SELECTOR.kernelCode]],
    ['RPL other than CPL', SELECTOR.userData, [VECTOR.gp, SELECTOR.userData & ~3]],
    ['not present', SELECTOR.free, [VECTOR.ss, SELECTOR.free]],
    ['writable data of CPL', SELECTOR.kernelData16, undefined],
  ] as const)('SS: %s', (_name, selector, result) => {
    const m = new FlatMachine().protected32();
    m.describe(SELECTOR.free, segment(0, 0xfffff, 0x12, 0));
    expect(m.fault(() => loadDataSegment(m.cpu, m.mem, ss, selector))).toEqual(result);
  });

  it('allows a null SS in 64-bit mode below CPL 3 only, with RPL = CPL', () => {
    const m = new FlatMachine().long(0);
    expect(m.fault(() => loadDataSegment(m.cpu, m.mem, ss, 0))).toBeUndefined();
    expect(m.fault(() => loadDataSegment(m.cpu, m.mem, ss, 1))).toEqual([VECTOR.gp, 0]);
    const user = new FlatMachine().long(3);
    expect(user.fault(() => loadDataSegment(user.cpu, user.mem, ss, 3))).toEqual([VECTOR.gp, 0]);
  });

  it('keeps the limit of protected mode after a load in real mode', () => {
    const m = new FlatMachine().real();
    m.cpu.setSegment(fs, 0, 0xc093, 0xffff_ffff, 0n);
    loadDataSegment(m.cpu, m.mem, fs, 0x1234);
    expect([m.cpu.segBase(fs), m.cpu.limit(fs)]).toEqual([0x12340n, 0xffff_ffff]);
  });

  it('switches the width of the stack pointer with SS.B', () => {
    const m = new FlatMachine().protected32();
    loadDataSegment(m.cpu, m.mem, ss, SELECTOR.kernelData16);
    expect(m.cpu.get64(STATE.stackMask)).toBe(0xffffn);
  });
});

describe('checkSegment (SDM vol. 3, 5.3 to 5.5)', () => {
  const check = (attributes: number, limit: number, offset: number, size: number, write: boolean, which: number = ds) => {
    const m = new FlatMachine().protected32();
    m.cpu.setSegment(which, 8, attributes, limit, 0x1000n);
    let linear: number | undefined;
    return m.fault(() => (linear = checkSegment(m.cpu, which, offset, size, write))) ?? linear;
  };
  const GP0 = [VECTOR.gp, 0];

  it.each([
    ['last byte at the limit', 0x93, 0xffff, 0xfffc, 4, true, 0x10ffc],
    ['one byte beyond', 0x93, 0xffff, 0xfffd, 4, true, GP0],
    ['read-only: read', 0x91, 0xffff, 0, 4, false, 0x1000],
    ['read-only: write', 0x91, 0xffff, 0, 4, true, GP0],
    ['readable code: read', 0x9b, 0xffff, 0, 4, false, 0x1000],
    ['execute-only: read', 0x99, 0xffff, 0, 4, false, GP0],
    ['code: write', 0x9b, 0xffff, 0, 4, true, GP0],
    ['null', 0, 0, 0, 1, false, GP0],
    ['expand-down: at the limit', 0x97, 0x1000, 0x1000, 1, true, GP0],
    ['expand-down: above the limit', 0x97, 0x1000, 0x1001, 1, true, 0x2001],
    ['expand-down 16-bit: above 64 KiB', 0x97, 0x1000, 0xffff, 2, true, GP0],
    ['expand-down 32-bit: above 64 KiB', 0x4097, 0x1000, 0xffff, 2, true, 0x10fff],
    ['linear addresses wrap', 0xc093, 0xffff_ffff, 0xffff_ff00, 4, true, 0xf00],
  ] as const)('%s', (_name, attributes, limit, offset, size, write, result) => {
    expect(check(attributes, limit, offset, size, write)).toEqual(result);
  });

  it('raises #SS(0) for the stack segment', () => {
    expect(check(0x93, 0xfff, 0x1000, 2, false, ss)).toEqual([VECTOR.ss, 0]);
  });

  it('ignores the type in real mode', () => {
    const m = new FlatMachine().real();
    expect(checkSegment(m.cpu, cs, 0x10, 2, true)).toBe(0x10);
  });
});

describe('LAR, LSL, VERR, VERW (SDM vol. 2)', () => {
  it('answers for visible segments', () => {
    const m = new FlatMachine().protected32(3);
    expect(accessRights(m.cpu, m.mem, SELECTOR.userData)).toBe(0xcff200);
    expect(segmentLimit(m.cpu, m.mem, SELECTOR.userCode)).toBe(0xffff_ffff);
    expect([isReadableSegment(m.cpu, m.mem, SELECTOR.userCode), isWritableSegment(m.cpu, m.mem, SELECTOR.userCode)]).toEqual([
      true,
      false,
    ]);
  });
  it('hides inner segments, null, and what lies beyond the table', () => {
    const m = new FlatMachine().protected32(3);
    for (const selector of [SELECTOR.kernelData, 0, 0x1000]) expect(accessRights(m.cpu, m.mem, selector)).toBeUndefined();
    expect(isWritableSegment(m.cpu, m.mem, SELECTOR.kernelData)).toBe(false);
  });
  it('knows call gates for LAR only', () => {
    const m = new FlatMachine().protected32();
    m.describe(SELECTOR.gate, segment(0, 0, 0x8c, 0));
    expect([accessRights(m.cpu, m.mem, SELECTOR.gate), segmentLimit(m.cpu, m.mem, SELECTOR.gate)]).toEqual([0x8c00, undefined]);
  });
  it('is #UD in real mode', () => {
    const m = new FlatMachine().real();
    expect(m.fault(() => accessRights(m.cpu, m.mem, 8))).toEqual([VECTOR.ud, undefined]);
  });
});

describe('LLDT, LTR, LGDT (SDM vol. 2A)', () => {
  it('loads a 16-byte LDT descriptor in long mode and finds segments in it', () => {
    const m = new FlatMachine().long();
    m.describe(SELECTOR.ldt, segment(AT.ldt, 0x0f, 0x82, 0), 0n);
    loadLdt(m.cpu, m.mem, SELECTOR.ldt);
    m.put64(AT.ldt + 8, segment(0x7000, 0xff, 0x92, 0));
    loadDataSegment(m.cpu, m.mem, ds, 0x0c);
    expect([m.cpu.segBase(ldtr), m.cpu.segBase(ds)]).toEqual([BigInt(AT.ldt), 0x7000n]);
    expect(m.fault(() => loadDataSegment(m.cpu, m.mem, ds, 0x14))).toEqual([VECTOR.gp, 0x14]);
  });

  it('takes the upper half of the base from the second eight bytes', () => {
    const m = new FlatMachine().long();
    m.describe(SELECTOR.tss, segment(0x12345678, 0x67, 0x89, 0), 0xffff_8000n);
    loadTaskRegister(m.cpu, m.mem, SELECTOR.tss);
    expect([m.cpu.segBase(tr), m.cpu.attributes(tr)]).toEqual([0xffff_8000_1234_5678n, 0x8b]);
    expect(m.ram.getUint8(AT.gdt + SELECTOR.tss + 5)).toBe(0x8b);
  });

  it.each([
    ['busy', 0x8b, SELECTOR.tss, [VECTOR.gp, SELECTOR.tss]],
    ['not present', 0x09, SELECTOR.tss, [VECTOR.np, SELECTOR.tss]],
    ['null', 0x89, 0, [VECTOR.gp, 0]],
    ['in the LDT', 0x89, SELECTOR.tss | 4, [VECTOR.gp, SELECTOR.tss | 4]],
  ] as const)('LTR: %s', (_name, access, selector, result) => {
    const m = new FlatMachine().protected32();
    m.describe(SELECTOR.tss, segment(AT.tss, 0x67, access, 0));
    expect(m.fault(() => loadTaskRegister(m.cpu, m.mem, selector))).toEqual(result);
  });

  it('LGDT keeps 24 bits of the base with a 16-bit operand and wants a canonical one in 64-bit mode', () => {
    const m = new FlatMachine().real();
    loadTable(m.cpu, 'gdtr', 0x27, 0x1234_5678n, 2);
    expect(storeTable(m.cpu, 'gdtr')).toEqual({ limit: 0x27, base: 0x34_5678n });
    const long = new FlatMachine().long();
    expect(long.fault(() => loadTable(long.cpu, 'idtr', 0, 1n << 47n, 8))).toEqual([VECTOR.gp, 0]);
  });

  it('UMIP keeps the tables from CPL 3', () => {
    const m = new FlatMachine().long(3);
    expect(m.fault(() => storeTable(m.cpu, 'idtr'))).toBeUndefined();
    m.cpu.set64(STATE.cr4, BigInt(CR4.pae | CR4.umip));
    expect(m.fault(() => storeTable(m.cpu, 'idtr'))).toEqual([VECTOR.gp, 0]);
    expect(m.fault(() => storeTaskRegister(m.cpu))).toEqual([VECTOR.gp, 0]);
  });
});
