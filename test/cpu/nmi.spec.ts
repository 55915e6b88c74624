// Non-maskable interrupts: never masked by IF, one at a time until IRET. SDM vol. 3, 6.7.
import { beforeAll, describe, expect, it } from 'vitest';
import { FLAG, VECTOR } from '../../src/cpu/state.ts';
import { EXIT } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, type BenchMode } from './bench-machine.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const HERE = (mode: BenchMode): bigint => (mode === 'real' ? 0n : BigInt(AT.code));

describe('NMI', () => {
  it.each(['real', 'flat', 'paged', 'long', 'compat'] as const)('%s: comes with IF = 0', (mode) => {
    m.start(mode).code('90 f4');
    m.engine.nmi();
    expect(m.run()).toMatchObject({ vector: VECTOR.nmi, rip: HERE(mode), error: undefined });
  });
  it('a second one waits for IRET, then comes at once', () => {
    for (const mode of ['real', 'flat', 'long'] as const) {
      m.start(mode).code('90 f4');
      m.engine.nmi();
      expect(m.run().vector).toBe(VECTOR.nmi);
      m.engine.nmi();
      // The handler goes on: over the error code it has not, IRET, and here we are again.
      expect(m.run()).toMatchObject({ vector: VECTOR.nmi, rip: HERE(mode) });
    }
  });
  it('inside the handler nothing happens before the IRET', () => {
    m.start('long').code('90 f4').code('eb00 eb00 48cf', AT.data); // jmp +0; jmp +0; iretq
    m.vector(VECTOR.nmi, { target: AT.data });
    m.engine.nmi();
    m.run(1);
    m.engine.nmi();
    expect(m.run(1)).toMatchObject({ exit: EXIT.budget, rip: BigInt(AT.data + 4) });
    // Back, and in the handler once more.
    m.run(1);
    expect(m.run(1)).toMatchObject({ rip: BigInt(AT.data + 2) });
  });
  it('an IRET that faults unblocks as well', () => {
    m.start('long').code('90 f4').code('6a00 6a00 6a00 6a00 6a00 48cf', AT.data); // a frame of zeros: CS is null
    m.vector(VECTOR.nmi, { target: AT.data, ist: 1 });
    m.engine.nmi();
    expect(m.run().vector).toBe(VECTOR.gp);
    m.engine.nmi();
    m.vector(VECTOR.nmi);
    expect(m.run().vector).toBe(VECTOR.nmi);
  });
  it('several at once are one', () => {
    m.start('long').code('90 f4');
    for (let i = 0; i < 3; i++) m.engine.nmi();
    expect(m.vectors()).toEqual([VECTOR.nmi]);
  });
  it('wakes from HLT', () => {
    m.start('long').code('f4 90 f4');
    expect(m.run().exit).toBe(EXIT.hlt);
    m.engine.nmi();
    expect(m.run()).toMatchObject({ vector: VECTOR.nmi, rip: BigInt(AT.code + 1) });
  });
  it('goes before a maskable interrupt', () => {
    m.start('long', { flags: FLAG.if }).code('90 f4');
    m.engine.requestInterruptWindow();
    m.engine.nmi();
    expect(m.run().vector).toBe(VECTOR.nmi);
  });
  it('does not come between an I/O exit and its answer', () => {
    m.start('long').code('e460 f4'); // in al,60
    expect(m.run().exit).toBe(EXIT.pio);
    m.engine.nmi();
    m.engine.exit.dataLow = 0x77;
    expect(m.run()).toMatchObject({ vector: VECTOR.nmi, rip: BigInt(AT.code + 2) });
    expect(m.gpr(0)).toBe(0x77n);
  });
});
