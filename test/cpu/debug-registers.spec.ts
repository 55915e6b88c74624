// DR0..DR7: breakpoints on instructions, data and ports. SDM vol. 3, 17.2 and 17.3.
import { beforeAll, describe, expect, it } from 'vitest';
import { CR4, FLAG, STATE, VECTOR } from '../../src/cpu/state.ts';
import { EXIT, GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, DONE, le, type Stop } from './bench-machine.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax, rcx, rsp, rsi, rdi } = GPR;
const { db, gp, ud } = VECTOR;
const { tf: TF, rf: RF } = FLAG;
const dr = (n: number): number => STATE.dr + n * 8;
const DATA = BigInt(AT.data);

const KIND = { execute: 0, write: 1, io: 2, readWrite: 3 } as const;
const LENGTH = { 1: 0, 2: 1, 4: 3, 8: 2 } as const;
interface Break {
  readonly n?: number;
  readonly at: bigint;
  readonly kind?: keyof typeof KIND;
  readonly length?: 1 | 2 | 4 | 8;
  readonly enabled?: boolean;
}
function arm(...breaks: readonly Break[]): void {
  let control = 0x400;
  for (const { n = 0, at, kind = 'execute', length = 1, enabled = true } of breaks) {
    m.cpu.set64(dr(n), at);
    control |= ((KIND[kind] | (LENGTH[length] << 2)) << (16 + 4 * n)) | (enabled ? 1 << (2 * n) : 0);
  }
  m.cpu.set64(dr(7), BigInt(control >>> 0));
}
const status = (): number => m.cpu.get32(dr(6)) & 0xe00f;
const offset = (stop: Stop): number => Number(stop.rip) - (m.mode === 'real' ? 0 : AT.code);
/** What a debugger does to go on from an instruction breakpoint: RF in the frame. */
function setResumeFlag(): void {
  const at = Number(m.gpr(rsp)) + (m.mode === 'long' ? 16 : 8);
  m.view.setUint32(at, m.view.getUint32(at, true) | RF, true);
}

describe('instruction breakpoints (17.3.1.1)', () => {
  it.each(['flat', 'paged', 'long'] as const)('%s: a fault before the instruction', (mode) => {
    m.start(mode).code('90 ffc0 90 cd80');
    arm({ at: BigInt(AT.code + 1) });
    const stop = m.run();
    expect([stop.vector, offset(stop), stop.flags & RF, status(), m.gpr(rax)]).toEqual([db, 1, 0, 1, 0n]);
    setResumeFlag();
    expect(m.run().vector).toBe(DONE);
    expect(m.gpr(rax)).toBe(1n);
  });
  it('real-address mode: linear address, not IP', () => {
    m.start('real').code('90 90 f4');
    arm({ at: BigInt(AT.code + 1) });
    expect(offset(m.run())).toBe(1);
  });
  it('without RF it breaks again at once', () => {
    m.start('long').code('90 90 f4');
    arm({ at: BigInt(AT.code + 1) });
    expect([m.run(), m.run(), m.run()].map(offset)).toEqual([1, 1, 1]);
  });
  it('RF covers one instruction: the next time round it breaks', () => {
    m.start('long').code('ffc0 ebfc'); // l: inc eax; jmp l
    arm({ at: BigInt(AT.code) });
    for (let i = 0; i < 3; i++) {
      expect(m.run()).toMatchObject({ vector: db, rip: BigInt(AT.code) });
      expect(m.gpr(rax)).toBe(BigInt(i));
      setResumeFlag();
    }
  });
  it('RF survives a fault of the instruction it covers', () => {
    m.start('long').code('8b06 cd80').set([rsi, 0x40_0000n]);
    arm({ at: BigInt(AT.code) });
    expect(m.run().vector).toBe(db);
    setResumeFlag();
    expect(m.run().vector).toBe(VECTOR.pf);
    m.tables.map(0x40_0000n, AT.data, 3n);
    expect(m.run().vector).toBe(DONE);
  });
  it('any of several, and the next after it', () => {
    m.start('long').code('90 90 90 cd80');
    arm({ n: 3, at: BigInt(AT.code + 2) }, { n: 1, at: BigInt(AT.code + 1) });
    m.run();
    expect(status()).toBe(2);
    setResumeFlag();
    m.run();
    expect(status()).toBe(8);
  });
  it('a disabled one shows in DR6 beside an enabled one, and does not break by itself', () => {
    m.start('long').code('90 90 cd80');
    arm({ n: 0, at: BigInt(AT.code), enabled: false }, { n: 2, at: BigInt(AT.code) });
    m.run();
    expect(status()).toBe(5);
    m.start('long').code('90 90 cd80');
    arm({ n: 0, at: BigInt(AT.code), enabled: false });
    expect(m.run().vector).toBe(DONE);
  });
  it('the middle of an instruction does not match', () => {
    m.start('long').code('b800000000 cd80');
    arm({ at: BigInt(AT.code + 1) });
    expect(m.run().vector).toBe(DONE);
  });
  it('it comes before the page fault of the fetch', () => {
    m.start('long').code('ffe0').set([rax, 0x40_0000n]);
    arm({ at: 0x40_0000n });
    expect(m.run()).toMatchObject({ vector: db, rip: 0x40_0000n });
  });
  it('MOV SS keeps it away from the next instruction', () => {
    m.start('flat').code('8ed0 90 90 cd80').set([rax, 0x10n]);
    arm({ at: BigInt(AT.code + 2) });
    expect(m.run().vector).toBe(DONE);
  });
  it('set by the program itself, with MOV', () => {
    // mov eax,at; mov dr0,rax; mov eax,401|2 (G0); mov dr7,rax; nop; nop
    m.start('long').code(`b8${le(AT.code + 17)} 0f23c0 b802040000 0f23f8 90 90 cd80`);
    expect(offset(m.run())).toBe(17);
  });
});

describe('data breakpoints (17.2.4, 17.2.5)', () => {
  const READ = '8b06'; // mov eax,[rsi]
  const WRITE = '8906'; // mov [rsi],eax
  it.each([
    ['write, on a write', 'write', WRITE, true],
    ['write, on a read', 'write', READ, false],
    ['write, on a read-modify-write', 'write', '0106', true],
    ['read-write, on a read', 'readWrite', READ, true],
    ['read-write, on a write', 'readWrite', WRITE, true],
    ['read-write, on a push', 'readWrite', '9c', false],
    ['write, on MOVSB', 'write', 'a4', false],
    ['read-write, on MOVSB from it', 'readWrite', 'a4', true],
    ['read-write, on an SSE load', 'readWrite', '0f1006', true],
    ['write, on an x87 store', 'write', 'dd1e', true],
    ['write, on FXSAVE', 'write', '0fae06', true],
    ['read-write, on LEA', 'readWrite', '8d06', false],
    ['write, on XCHG', 'write', '8706', true],
    ['write, on LOCK XADD', 'write', 'f00fc106', true],
  ] as const)('%s: a trap after the instruction', (_name, kind, code, expected) => {
    for (const mode of ['flat', 'long'] as const) {
      m.start(mode, { cr4: CR4.osfxsr })
        .code(`${code} 90 cd80`)
        .set([rsi, DATA + 16n], [rdi, DATA + 0x800n], [rax, 3n]);
      arm({ at: DATA + 16n, kind, length: 4 });
      const stop = m.run();
      if (!expected) {
        expect(stop.vector).toBe(DONE);
        continue;
      }
      expect([stop.vector, offset(stop), status(), stop.flags & RF]).toEqual([db, code.length / 2, 1, 0]);
      expect(m.run().vector).toBe(DONE);
    }
  });

  it.each([
    // breakpoint offset, length; access offset, bytes; hit
    [0, 1, 0, 1, true],
    [0, 1, 1, 1, false],
    [0, 2, 1, 1, true],
    [0, 2, 2, 1, false],
    [0, 4, 3, 4, true],
    [0, 4, 4, 4, false],
    [0, 8, 7, 1, true],
    [4, 4, 1, 4, true],
    [4, 4, 0, 4, false],
    [3, 4, 0, 1, true],
    [3, 4, 4, 1, false],
    [5, 2, 4, 1, true],
    [8, 8, 0, 8, false],
    [8, 8, 1, 8, true],
    [0xffc, 4, 0xff9, 8, true],
    [0x1000, 1, 0xff9, 8, true],
    [0xff9, 1, 0xffa, 8, false],
  ] as const)('at %i for %i bytes; access at %i of %i bytes: %s', (at, length, where, bytes, hit) => {
    m.start('long')
      .code(`${bytes === 8 ? '488906' : bytes === 4 ? '8906' : '8806'} cd80`)
      .set([rsi, DATA + BigInt(where)]);
    arm({ at: DATA + BigInt(at), kind: 'write', length });
    expect(m.run().vector).toBe(hit ? db : DONE);
  });

  it('fetching the bytes is no read', () => {
    m.start('long').code('90 90 cd80');
    arm({ at: BigInt(AT.code + 1), kind: 'readWrite' });
    expect(m.run().vector).toBe(DONE);
  });
  it('pushes of the program break, from level 3 too', () => {
    m.start('long', { level: 3 }).code('50 90 cd80');
    arm({ at: BigInt(AT.userStack - 8), kind: 'write', length: 8 });
    expect(offset(m.run())).toBe(1);
  });
  it('with TF both reasons show', () => {
    m.start('long', { flags: TF }).code(`${WRITE} cd80`).set([rsi, DATA]);
    arm({ n: 1, at: DATA, kind: 'write' });
    m.run();
    expect(status()).toBe(0x4002);
  });
  it('REP stops after the iteration that met it, and goes on', () => {
    m.start('long').code('f3aa 90 cd80').set([rcx, 8n], [rdi, DATA], [rax, 0x55n]);
    arm({ at: DATA + 2n, kind: 'write' });
    const stop = m.run();
    expect([stop.vector, offset(stop), m.gpr(rcx), stop.flags & RF]).toEqual([db, 0, 5n, RF]);
    expect(m.run().vector).toBe(DONE);
    expect(m.get64(AT.data)).toBe(0x5555_5555_5555_5555n);
  });
  it('a faulting access does not trap', () => {
    m.start('long').code(`${WRITE} cd80`).set([rsi, 0x40_0000n]);
    arm({ at: 0x40_0000n, kind: 'write' });
    expect(m.run().vector).toBe(VECTOR.pf);
    expect(status()).toBe(0);
  });
  it('DR6 keeps BS of an earlier trap until software clears it', () => {
    m.start('long').code(`${WRITE} cd80`).set([rsi, DATA]);
    m.cpu.set64(dr(6), 0xffff_4ff0n);
    arm({ at: DATA, kind: 'write' });
    m.run();
    expect(status()).toBe(0x4001);
  });
  it('met by MOV SS it waits for the next instruction, even INT n', () => {
    m.start('flat').code('8e16 cd30').set([rsi, DATA]);
    m.view.setUint16(AT.data, 0x10, true);
    arm({ at: DATA, kind: 'readWrite', length: 2 });
    const stop = m.run();
    expect(stop).toMatchObject({ vector: db, rip: BigInt(AT.handlers + 16 * 0x30) });
  });
  it('accesses run at full speed again when it is gone', () => {
    m.start('long').code(`${WRITE} cd80`).set([rsi, DATA]);
    arm({ at: DATA, kind: 'write' });
    m.run();
    m.rewind().code(`${WRITE} cd80`).set([rsi, DATA]);
    expect(m.run().vector).toBe(DONE);
  });
});

describe('I/O breakpoints (CR4.DE)', () => {
  it.each([
    [CR4.de, 0x60n, 'e660', true],
    [0, 0x60n, 'e660', false],
    [CR4.de, 0x61n, 'e660', false],
    [CR4.de, 0x62n, 'e760', true],
    [CR4.de, 0x60n, 'e460', true],
  ] as const)('CR4 %i, port %i, %s: %s', (cr4, port, code, hit) => {
    m.start('long', { cr4 }).code(`${code} cd80`);
    arm({ at: port, kind: 'io' });
    expect(m.run().exit).toBe(EXIT.pio);
    const stop = m.run();
    expect(stop.vector).toBe(hit ? db : DONE);
    if (hit) expect(offset(stop)).toBe(2);
  });
});

describe('MOV to and from debug registers', () => {
  it('DR4 and DR5 stand for DR6 and DR7 without CR4.DE', () => {
    m.start('long').code('0f21e0 f4'); // mov rax,dr4
    m.run();
    expect(m.gpr(rax)).toBe(0xffff_0ff0n);
    m.start('long', { cr4: CR4.de }).code('0f21e0 f4');
    expect(m.run().vector).toBe(ud);
  });
  it.each([6, 7])('bits 63:32 of DR%i must be 0', (n) => {
    m.start('long')
      .code(`0f23${(0xc0 | (n << 3)).toString(16)}`)
      .set([rax, 1n << 32n]);
    expect(m.run()).toMatchObject({ vector: gp, error: 0 });
  });
  it('needs level 0', () => {
    m.start('flat', { level: 3 }).code('0f21c0');
    expect(m.run()).toMatchObject({ vector: gp, error: 0 });
  });
  it('DR7.GD: any of them faults with DR6.BD; the handler may use them', () => {
    m.start('long').code('0f21c0 f4');
    m.cpu.set64(dr(7), 0x2400n);
    const stop = m.run();
    expect([stop.vector, offset(stop), status(), stop.flags & RF]).toEqual([db, 0, 0x2000, RF]);
    expect(m.cpu.get64(dr(7))).toBe(0x400n);
  });
});
