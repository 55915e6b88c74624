// EFLAGS.TF: a trap after each instruction, and where there is none. SDM vol. 3, 17.3.1.4 and 17.4.3.
import { beforeAll, describe, expect, it } from 'vitest';
import { CR4, FLAG, STATE, VECTOR } from '../../src/cpu/state.ts';
import { SYSTEM_STATE } from '../../src/cpu/system/system-state.ts';
import { EXIT, GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, DONE, le, type Stop } from './bench-machine.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax, rcx, rdx, rsp, rsi, rdi, r11 } = GPR;
const { db, ud, pf, bp } = VECTOR;
const { tf: TF, rf: RF } = FLAG;
const DR6 = STATE.dr + 48;
const BS = 0x4000;

const offset = (stop: Stop): number => Number(stop.rip) - (m.mode === 'real' ? 0 : AT.code);
/** Offsets that the #DB handler found, until the code is done. */
const steps = (): number[] => {
  const stops = m.stops(20);
  for (const stop of stops) expect(stop.vector).toBe(db);
  return stops.map(offset);
};

describe('single step', () => {
  it.each(['real', 'flat', 'paged', 'long', 'compat'] as const)(
    '%s: after each instruction, with DR6.BS and TF off in the handler',
    (mode) => {
      m.start(mode, { flags: TF }).code('90 31c0 eb01 cc 90 cd80'); // nop; xor eax,eax; jmp +1; int3; nop
      const first = m.run();
      expect([first.vector, offset(first), first.flags & (TF | RF)]).toEqual([db, 1, TF]);
      expect(m.cpu.get32(DR6) & BS).toBe(BS);
      expect(m.cpu.rflags & TF).toBe(0);
      expect(steps()).toEqual([3, 6, 7]);
    },
  );
  it('from level 3 too', () => {
    m.start('long', { level: 3, flags: TF }).code('90 90 cd80');
    expect(steps()).toEqual([1, 2]);
  });
  it('POPF that sets TF is not trapped, the next instruction is', () => {
    m.start('long').code('9c 804c240101 9d 90 90 cd80'); // pushf; or byte [rsp+1],1; popf; nop; nop
    expect(steps()).toEqual([8, 9]);
  });
  it('POPF that clears TF is the last one trapped', () => {
    m.start('long', { flags: TF }).code('9c 80642401fe 9d 90 90 cd80');
    expect(steps()).toEqual([1, 6, 7]);
  });
  it('REP: after each iteration, with RF set while some are left', () => {
    m.start('long', { flags: TF })
      .code('f3a4 90 cd80')
      .set([rcx, 3n], [rsi, BigInt(AT.data)], [rdi, BigInt(AT.data + 0x100)]);
    const stops = m.stops();
    expect(stops.map((stop) => [offset(stop), (stop.flags & RF) !== 0])).toEqual([
      [0, true],
      [0, true],
      [2, false],
      [3, false],
    ]);
  });
  it.each(['f3ab', 'f3ac', 'f3a6', 'f2ae', 'f36e'])('REP %s: iteration by iteration', (code) => {
    m.start('flat', { flags: TF })
      .code(`${code} cd80`)
      .set([rcx, 3n], [rsi, BigInt(AT.data)], [rdi, BigInt(AT.data + 0x100)], [rax, 1n]);
    const seen: number[] = [];
    for (;;) {
      const stop = m.run();
      if (stop.exit === EXIT.pio) continue;
      if (stop.vector === DONE) break;
      expect(stop.vector).toBe(db);
      seen.push(Number(m.gpr(rcx)));
    }
    expect(seen).toEqual([2, 1, 0]);
  });
  it('REP with a count of 0 is one step', () => {
    m.start('long', { flags: TF }).code('f3a4 cd80').set([rcx, 0n]);
    expect(steps()).toEqual([2]);
  });
  it.each([
    ['INT n', 'cd30', 0x30],
    ['INT3', 'cc', bp],
  ] as const)('%s is not trapped, its handler is not stepped, and the step goes on behind it', (_name, code, vector) => {
    for (const mode of ['real', 'flat', 'long'] as const) {
      m.start(mode, { flags: TF }).code(`${code} 90 90 cd80`);
      const first = m.run();
      expect(first.vector).toBe(vector);
      expect(first.flags & TF).toBe(TF);
      const length = code.length / 2;
      expect(steps()).toEqual([length + 1, length + 2]);
    }
  });
  it('INT1 is its own #DB, without BS', () => {
    m.start('long', { flags: TF }).code('f1 cd80');
    expect(steps()).toEqual([1]);
    expect(m.cpu.get32(DR6) & BS).toBe(0);
  });
  it('a fault is not followed by a trap', () => {
    m.start('long', { flags: TF }).code('0f0b');
    const stop = m.run();
    expect([stop.vector, stop.flags & TF]).toEqual([ud, TF]);
    expect(m.cpu.get32(DR6) & BS).toBe(0);
  });
  it('the trap comes before the page fault of the next fetch', () => {
    m.start('long', { flags: TF }).code('ffe0').set([rax, 0x40_0000n]);
    expect(m.run()).toMatchObject({ vector: db, rip: 0x40_0000n });
    expect(m.run()).toMatchObject({ vector: pf, rip: 0x40_0000n });
  });
  it('IRET that restores TF steps from the instruction it returns to', () => {
    m.start('long')
      .code('6a10 50 6802010000 6a28 6811000100 48cf 90 90 cd80')
      .set([rax, BigInt(AT.kernelStack)]);
    expect(steps()).toEqual([0x12, 0x13]);
  });
  it('SYSCALL with TF masked is not trapped; unmasked it is, at its target', () => {
    for (const [mask, expected] of [
      [TF, [1]],
      [0, [0x100]],
    ] as const) {
      m.start('long', { level: 3, flags: TF })
        .code('90 0f05')
        .code('f4', AT.code + 0x100);
      m.cpu.set64(STATE.star, 0x28n << 32n);
      m.cpu.set64(STATE.lstar, BigInt(AT.code + 0x100));
      m.cpu.set64(STATE.fmask, BigInt(mask));
      const stops = m.stops(3).map(offset);
      expect(stops.slice(0, 2)).toEqual(mask === TF ? expected : [1, ...expected]);
      if (mask === TF) expect(m.gpr(r11) & BigInt(TF)).toBe(BigInt(TF));
    }
  });
  it('HLT is trapped and does not halt', () => {
    m.start('long', { flags: TF }).code('f4 90 f4');
    expect(m.run()).toMatchObject({ vector: db, rip: BigInt(AT.code + 1) });
  });
  it('CLI, STI, MOV to CR and friends are trapped once each', () => {
    m.start('long', { flags: TF }).code('fa fb 0f20c0 0f22c0 0fa2 90 cd80');
    expect(steps()).toEqual([1, 2, 5, 8, 10, 11]);
  });
});

describe('instructions that the machine completes', () => {
  it('IN is trapped when the value is there', () => {
    m.start('long', { flags: TF }).code('e460 cd80'); // in al,60
    expect(m.run()).toMatchObject({ exit: EXIT.pio });
    m.engine.exit.dataLow = 0x5a;
    expect(m.run()).toMatchObject({ vector: db, rip: BigInt(AT.code + 2) });
    expect(m.gpr(rax) & 0xffn).toBe(0x5an);
  });
  it('VMCALL is trapped behind it, when answered', () => {
    m.start('long', { flags: TF }).code('0f01c1 cd80');
    expect(m.run()).toMatchObject({ exit: EXIT.hypercall });
    m.engine.completeHypercall(7, 0);
    expect(m.run()).toMatchObject({ vector: db, rip: BigInt(AT.code + 3) });
    expect(m.gpr(rax)).toBe(7n);
  });
  it('RDMSR that the machine answers, likewise; refused it is #GP alone', () => {
    for (const ok of [true, false]) {
      m.start('long', { flags: TF }).code('0f32 cd80').set([rcx, 0x1bn], [rdx, 0n]);
      expect(m.run()).toMatchObject({ exit: EXIT.msr });
      m.engine.exit.dataLow = 0x1234;
      m.engine.completeMsr(ok);
      expect(m.run()).toMatchObject(
        ok ? { vector: db, rip: BigInt(AT.code + 2) } : { vector: VECTOR.gp, error: 0, rip: BigInt(AT.code) },
      );
    }
  });
  it('a store to a device is trapped once', () => {
    m.start('long', { flags: TF }).code(`880425${le(AT.end - 0x1000)} 90 cd80`);
    m.memory.map(((AT.end >> 12) - 1) as never, 0 as never);
    expect(m.run()).toMatchObject({ exit: EXIT.mmio });
    expect(steps()).toEqual([7, 8]);
  });
});

describe('IA32_DEBUGCTL.BTF', () => {
  it('traps after taken branches only, once', () => {
    m.start('long', { flags: TF }).code('90 31c0 7502 7401 cc 90 90 eb00 cd80'); // nop; xor; jnz; jz +1; int3; nop; nop; jmp +0
    m.cpu.set64(SYSTEM_STATE.debugControl, 2n);
    expect(m.run()).toMatchObject({ vector: db, rip: BigInt(AT.code + 8) });
    expect(m.cpu.get64(SYSTEM_STATE.debugControl)).toBe(0n);
    expect(m.run()).toMatchObject({ vector: db, rip: BigInt(AT.code + 9) });
  });
  it('REP is no branch', () => {
    m.start('long', { flags: TF, cr4: CR4.osfxsr })
      .code('f3aa 90 cd80')
      .set([rcx, 3n], [rdi, BigInt(AT.data)], [rsp, BigInt(AT.kernelStack)]);
    m.cpu.set64(SYSTEM_STATE.debugControl, 2n);
    expect(m.run().vector).toBe(DONE);
  });
});
