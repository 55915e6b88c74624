// Loads of data segment registers and reads of control registers against the code in system/ that they stand for.
import fc from 'fast-check';
import { beforeAll, expect, it } from 'vitest';
import { GuestFault } from '../../src/cpu/cpu.ts';
import { CR4, FLAG, SEGMENT, STATE, VECTOR } from '../../src/cpu/state.ts';
import { readControl } from '../../src/cpu/system/control-registers.ts';
import { SIZE, segment } from '../../src/cpu/system/fixtures/flat-machine.ts';
import { loadDataSegment } from '../../src/cpu/system/segmentation.ts';
import { GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, type BenchMode, SELECTOR as S } from './bench-machine.ts';
import { mostly, oneOf } from './both-ways.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});

const state = () => [...m.cpu.u8.slice(STATE.seg, STATE.gdtr)].concat(m.cpu.get32(STATE.codeMode), m.cpu.get32(STATE.mmuIndex));
/** Vector and error code of a guest fault, or what `work` leaves. */
function faultOr<T>(work: () => T): T | { vector: number; error: number | undefined } {
  try {
    return work();
  } catch (fault) {
    if (!(fault instanceof GuestFault)) throw fault;
    return { vector: fault.vector, error: fault.errorCode };
  }
}
/** Runs about so many instructions: the fault that they end with, or what they leave. */
function ran<T>(budget: number, after: () => T): T | { vector: number; error: number | undefined } {
  const stop = m.run(budget);
  // The handler's HLT is one more.
  const end = stop.vector < 0 && m.engine.rip >= BigInt(AT.handlers) && m.engine.rip < BigInt(AT.kernelStack) ? m.run(1) : stop;
  return end.vector >= 0 ? { vector: end.vector, error: end.error } : after();
}

const WAYS = [
  { name: 'ES', which: SEGMENT.es, mov: '8ec0', pop: '07' },
  { name: 'DS', which: SEGMENT.ds, mov: '8ed8', pop: '1f' },
  { name: 'SS', which: SEGMENT.ss, mov: '8ed0', pop: '17' },
  { name: 'FS', which: SEGMENT.fs, mov: '8ee0', pop: '0fa1' },
  { name: 'GS', which: SEGMENT.gs, mov: '8ee8', pop: '0fa9' },
];

it('MOV and POP load what loadDataSegment does', () => {
  const load = fc.record({
    way: oneOf(...WAYS),
    popped: oneOf(true, false),
    mode: oneOf<BenchMode>('flat', 'paged', 'pae', 'long', 'compat', 'real'),
    level: oneOf<0 | 3>(0, 0, 0, 3),
    selector: mostly(
      oneOf<number>(S.free, S.free, S.free | 3, S.data, S.userData),
      oneOf<number>(0, 1, 3, S.code, S.userCode, S.conforming, S.data16, S.tss, S.ldt, S.data | 4, 0xfff8),
    ),
    access: mostly(oneOf(0x93, 0xf3, 0x91), fc.integer({ min: 0, max: 0xff })),
    base: oneOf(0, 0x1234_5678, 0xff00_0000),
    limit: oneOf(0xfffff, 0x12345),
    size: oneOf(SIZE.g | SIZE.d, SIZE.d, SIZE.g, 0),
    ac: mostly(oneOf(false), oneOf(true)),
    cr4: oneOf(0, CR4.smap),
  });
  fc.assert(
    fc.property(load, ({ way, popped, mode, level, selector, access, base, limit, size, ac, cr4 }) => {
      // 64-bit mode has no POP ES, POP SS and POP DS.
      const pop = popped && !(mode === 'long' && way.pop.length === 2);
      const begin = () => {
        m.start(mode, { level: mode === 'real' ? 0 : level, cr4, flags: ac ? FLAG.ac : 0 });
        m.describe(S.free, segment(base, limit, access, size));
        m.code(pop ? way.pop : way.mov);
        m.set([GPR.rax, BigInt(selector)]);
        const rsp = (mode !== 'real' && level === 3 ? AT.userStack : AT.kernelStack) - 0x20;
        m.put64(rsp, BigInt(selector));
        m.set([GPR.rsp, BigInt(rsp)]);
        m.cpu.updateMode();
      };
      begin();
      const expected = faultOr(() => {
        loadDataSegment(m.cpu, m.engine.mmu, way.which, selector);
        m.cpu.updateMode();
        return state();
      });
      const marked = m.ram[AT.gdt + S.free + 5];
      begin();
      expect(ran(1, state)).toEqual(expected);
      expect(m.ram[AT.gdt + S.free + 5]).toBe(marked);
    }),
    { numRuns: 400 },
  );
});

it('MOV reads what readControl does', () => {
  const read = fc.record({
    register: fc.integer({ min: 0, max: 15 }),
    level: oneOf<0 | 3>(0, 0, 3),
    mode: oneOf<BenchMode>('long', 'pae'),
  });
  fc.assert(
    fc.property(read, ({ register, level, mode }) => {
      fc.pre(register < 8 || mode === 'long');
      m.start(mode, { level });
      m.cpu.set64(STATE.cr2, mode === 'long' ? 0xffff_8000_1234_5678n : 0x8765_4321n);
      m.taskPriority = 7;
      m.set([GPR.rax, 0x1111_2222_3333_4444n]);
      const rex = register >= 8 ? '44' : '';
      m.code(`${rex}0f20${(0xc0 | ((register & 7) << 3)).toString(16)}f4`);
      const expected = faultOr(() => (register === 8 && level === 0 ? 7n : readControl(m.cpu, register)));
      const found = ran(2, () => m.gpr(GPR.rax));
      // Which registers exist is looked at first.
      expect(found).toEqual(
        typeof expected === 'object' ? { ...expected, error: expected.vector === VECTOR.gp ? 0 : undefined } : expected,
      );
    }),
  );
});
