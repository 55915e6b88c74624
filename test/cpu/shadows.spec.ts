// Where interrupts, NMIs and traps must wait one instruction: after STI, MOV SS, POP SS. SDM vol. 3, 6.8.1 and 6.8.3.
import { beforeAll, describe, expect, it } from 'vitest';
import { FLAG, VECTOR } from '../../src/cpu/state.ts';
import { EXIT, GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, type BenchMode, SELECTOR } from './bench-machine.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax } = GPR;
const start = (mode: BenchMode, code: string, flags = 0) =>
  m
    .start(mode, { flags })
    .code(code)
    .set([rax, BigInt(mode === 'real' ? 0 : SELECTOR.data)]);
/** Bytes of code run before an interrupt can be taken. */
function interruptAfter(): number {
  m.engine.requestInterruptWindow();
  const stop = m.run();
  expect(stop.exit).toBe(EXIT.interruptWindow);
  return Number(stop.rip) - (m.mode === 'real' ? 0 : AT.code);
}
const MODES: readonly BenchMode[] = ['real', 'flat', 'long'];

describe('interrupts', () => {
  it.each(MODES)('%s: STI lets one more instruction run', (mode) => {
    start(mode, 'fb 90 90 f4');
    expect(interruptAfter()).toBe(2);
  });
  it.each(MODES)('%s: STI with IF already set has no shadow', (mode) => {
    start(mode, 'fb 90 90 f4', FLAG.if);
    expect(m.run(1).exit).toBe(EXIT.budget);
    expect(m.engine.canInterrupt).toBe(true);
    expect(interruptAfter()).toBe(1);
  });
  it.each(MODES)('%s: MOV SS lets one more instruction run', (mode) => {
    start(mode, '8ed0 90 90 f4', FLAG.if);
    m.run(1);
    expect(m.engine.canInterrupt).toBe(false);
    expect(interruptAfter()).toBe(3);
  });
  it.each(['real', 'flat'] as const)('%s: POP SS lets one more instruction run', (mode) => {
    start(mode, '16 17 90 90 f4', FLAG.if);
    m.run(2);
    expect(m.engine.canInterrupt).toBe(false);
    expect(interruptAfter()).toBe(3);
  });
  it('MOV DS has no shadow', () => {
    start('flat', '8ed8 90 f4', FLAG.if);
    m.run(1);
    expect(m.engine.canInterrupt).toBe(true);
  });
  it('a second MOV SS does not lengthen the shadow', () => {
    start('flat', '8ed0 8ed0 8ed0 8ed0 90 f4', FLAG.if);
    m.run(1);
    expect(interruptAfter()).toBeLessThanOrEqual(6);
  });
  it('STI, CLI: no interrupt in between', () => {
    start('long', 'fb fa 90 90 fb 90 90 f4');
    expect(interruptAfter()).toBe(6);
  });
  it('STI, HLT halts, and the next interrupt wakes it at once', () => {
    start('long', 'fb f4 90 f4');
    expect(m.run()).toMatchObject({ exit: EXIT.hlt, rip: BigInt(AT.code + 2) });
    expect(m.engine.canInterrupt).toBe(true);
    m.engine.interrupt(0x40);
    expect(m.run()).toMatchObject({ vector: 0x40, rip: BigInt(AT.code + 2) });
  });
  it('the same with an interrupt that came before the HLT', () => {
    start('long', 'fb f4 90 f4');
    m.engine.requestInterruptWindow();
    expect(m.run()).toMatchObject({ exit: EXIT.hlt, rip: BigInt(AT.code + 2) });
    expect(m.run()).toMatchObject({ exit: EXIT.interruptWindow, rip: BigInt(AT.code + 2) });
  });
  it('a fault in the shadow ends it', () => {
    start('long', 'fb 0f0b');
    m.vector(VECTOR.ud, { access: 0x8f, target: AT.data });
    m.code('90 f4', AT.data);
    m.engine.requestInterruptWindow();
    expect(m.run()).toMatchObject({ exit: EXIT.interruptWindow, rip: BigInt(AT.data) });
  });
  it('an old shadow does not come back where the code loops', () => {
    start('long', 'fb 90 ebfd'); // sti; l: nop; jmp l
    m.run(101);
    expect(m.run(1).exit).toBe(EXIT.budget);
    expect(m.engine.canInterrupt || (m.run(1).exit === EXIT.budget && m.engine.canInterrupt)).toBe(true);
  });
  it('POPF and IRET open the window at once', () => {
    start('long', '9c 800c2400 804c240102 9d 90 f4'); // pushf; or [rsp+1],2; popf; nop
    expect(interruptAfter()).toBe(11);
    // IRETQ to the NOP with IF set.
    // mov rax,rsp; push 10; push rax; push 202; push 28; push 10013; iretq; nop
    start('long', '4889e0 6a10 50 6802020000 6a28 6814000100 48cf 90 f4');
    expect(interruptAfter()).toBe(0x14);
  });
});

describe('traps', () => {
  const TF = FLAG.tf;
  const rips = (): number[] => m.stops(10).map((stop) => Number(stop.rip) - AT.code);
  it('no single-step trap between MOV SS and the next instruction', () => {
    start('flat', '90 8ed0 90 90 cd80', TF);
    expect(rips()).toEqual([1, 4, 5]);
  });
  it('nor after POP SS', () => {
    start('flat', '16 17 90 90 cd80', TF);
    expect(rips()).toEqual([1, 3, 4]);
  });
  it('STI does not keep traps away', () => {
    start('long', 'fb 90 cd80', TF);
    expect(rips()).toEqual([1, 2]);
  });
});

describe('between two iterations of a repeated instruction', () => {
  it('RF is set in the frame, and the instruction goes on after it', () => {
    start('long', 'f3ac ebfe', FLAG.if); // rep lodsb, which pauses now and then; l: jmp l
    m.set([GPR.rcx, 5000n], [GPR.rsi, BigInt(AT.data)]);
    m.run(1);
    const left = m.gpr(GPR.rcx);
    expect(left).toBeGreaterThan(0n);
    m.engine.interrupt(0x40);
    const stop = m.run();
    expect([stop.vector, stop.rip, stop.flags & FLAG.rf, m.gpr(GPR.rcx)]).toEqual([0x40, BigInt(AT.code), FLAG.rf, left]);
    m.run(10_000);
    expect(m.gpr(GPR.rcx)).toBe(0n);
    m.engine.interrupt(0x40);
    expect(m.run().flags & FLAG.rf).toBe(0);
  });
});

describe('NMI', () => {
  it('waits for the instruction after MOV SS', () => {
    start('flat', '8ed0 90 90 f4');
    m.run(1);
    m.engine.nmi();
    expect(m.run()).toMatchObject({ vector: VECTOR.nmi, rip: BigInt(AT.code + 3) });
  });
});
