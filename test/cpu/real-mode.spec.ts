// Real-address mode, and the way out of it. SDM vol. 3, 20.1 and 9.9.
import { beforeAll, describe, expect, it } from 'vitest';
import { FLAG, SEGMENT, STATE, VECTOR } from '../../src/cpu/state.ts';
import { EXIT, GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, le, SELECTOR as S } from './bench-machine.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax, rbx, rsp, rbp, rsi } = GPR;
const { gp, ss: SS, de, br, ud } = VECTOR;
const CS = AT.code >> 4;

describe('addresses', () => {
  it('segment times 16 plus offset', () => {
    m.start('real').code('b80020 8ed8 a13412 f4'); // mov ax,2000; mov ds,ax; mov ax,[1234]
    m.view.setUint16(0x21234, 0xbeef, true);
    m.run();
    expect(m.gpr(rax)).toBe(0xbeefn);
  });
  it('the sum of base and index wraps at 64 KiB', () => {
    m.start('real').code('8a00 f4').set([rbx, 0xffffn], [rsi, 2n]); // mov al,[bx+si]
    m.ram[1] = 0x42;
    m.run();
    expect(m.gpr(rax)).toBe(0x42n);
  });
  it('with a base of FFFF0 the second megabyte is reached: A20 is on', () => {
    m.start('real').code('a01000 f4');
    m.load(SEGMENT.ds, 0xffff, 0x93, 0xffff, 0xffff0n);
    expect(m.run()).toMatchObject({ exit: EXIT.mmio });
    expect(m.engine.exit.gpa).toBe(0x10_0000);
  });
  it.each([
    ['a word at FFFF', 'a1ffff', gp],
    ['a byte at FFFF', 'a0ffff', undefined],
    ['a 32-bit address beyond FFFF', '67668b06', gp],
    ['a word at FFFF through BP', '8b4600', SS],
  ] as const)('%s', (_name, code, vector) => {
    m.start('real').code(`${code} f4`).set([rsi, 0x10000n], [rbp, 0xffffn]);
    const stop = m.run();
    if (vector === undefined) expect(stop.exit).toBe(EXIT.hlt);
    else expect(stop).toMatchObject({ vector, rip: 0n, cs: CS });
  });
  it('SP wraps from 0 to FFFE', () => {
    m.start('real').code('50 f4').set([rsp, 0x1_0000n], [rax, 0x1234n]);
    m.load(SEGMENT.ss, 0x2000, 0x93, 0xffff, 0x20000n);
    m.run();
    expect([m.gpr(rsp), m.view.getUint16(0x2fffe, true)]).toEqual([0x1_fffen, 0x1234]);
  });
  it('limits left over from protected mode stay', () => {
    m.start('real').code('67668b06 f4').set([rsi, 0x2_0000n]);
    m.load(SEGMENT.ds, 0, 0xc093, 0xffff_ffff, 0n);
    m.view.setUint32(0x20000, 0x1234_5678, true);
    m.run();
    expect(m.gpr(rax)).toBe(0x1234_5678n);
    // A new selector changes only the base.
    m.start('real').code('b80010 8ed8 67668b06 f4').set([rsi, 0x1_0000n]);
    m.load(SEGMENT.ds, 0, 0xc093, 0xffff_ffff, 0n);
    m.view.setUint32(0x20000, 0x1234_5678, true);
    m.run();
    expect(m.gpr(rax)).toBe(0x1234_5678n);
  });
  it('IP runs to FFFF and no further', () => {
    m.start('real')
      .code('b8ffff ffe0')
      .code('90', AT.code + 0xffff); // mov ax,ffff; jmp ax
    expect(m.run()).toMatchObject({ vector: gp, cs: CS });
  });
  it.each(['10ff', '1001', '1fff'])('code runs across page borders of a segment at %s0', (paragraph) => {
    const selector = Number.parseInt(paragraph, 16);
    // mov ax,1; 11 x nop; mov ax,1234; call +2; ud2; inc ax; ret
    m.start('real').code(`b80100 ${'90'.repeat(11)} b83412 e80200 0f0b 40 c3`, selector << 4);
    m.load(SEGMENT.cs, selector, 0x9b, 0xffff, BigInt(selector << 4));
    expect(m.run()).toMatchObject({ vector: ud, rip: 0x14n, cs: selector });
    expect(m.gpr(rax)).toBe(0x1235n);
  });
  it('near jumps keep IP in 16 bits', () => {
    m.start('real')
      .code('e9fdef 0000 f4')
      .code('e90210', AT.code + 0xf000); // jmp f000; there: jmp 10005
    expect(m.run()).toMatchObject({ exit: EXIT.hlt, rip: 6n });
  });
});

describe('operands', () => {
  it('prefixes give 32-bit operands and addresses', () => {
    m.start('real').code('66b878563412 6601c0 67668906 f4').set([rsi, 0x2000n]); // mov eax,imm; add eax,eax; mov [esi],eax
    m.run();
    expect([m.gpr(rax), m.view.getUint32(0x2000, true)]).toEqual([0x2468_acf0n, 0x2468_acf0]);
  });
  it('16-bit results leave the rest of the register', () => {
    m.start('real').code('b8ffff 83c001 f4').set([rax, 0x1122_3344_5566_7788n]);
    m.run();
    expect(m.gpr(rax)).toBe(0x1122_3344_5566_0000n);
  });
  it('PUSHA, POPA, ENTER, LEAVE', () => {
    m.start('real').code('60 61 c8040000 c9 f4').set([rbp, 0x5555n]);
    m.run();
    expect([m.gpr(rsp), m.gpr(rbp)]).toEqual([BigInt(AT.kernelStack), 0x5555n]);
  });
});

describe('interrupts and exceptions (20.1.4)', () => {
  it('INT n pushes FLAGS, CS, IP and clears IF, TF', () => {
    m.start('real', { flags: FLAG.if | FLAG.cf }).code('90 cd21');
    expect(m.run()).toMatchObject({ vector: 0x21, rip: 3n, cs: CS, flags: FLAG.if | FLAG.cf | 2 });
    expect([m.cpu.rflags & (FLAG.if | FLAG.cf), m.gpr(rsp)]).toEqual([FLAG.cf, BigInt(AT.kernelStack - 6)]);
  });
  it.each([
    ['DIV by zero', '31c9 f7f1', de, 2],
    ['UD2', '0f0b', ud, 0],
    ['BOUND', '62060020', br, 0],
    ['INT3', 'cc', VECTOR.bp, 1],
    ['INTO', 'ce', VECTOR.of, 1],
    ['LLDT', '0f00d0', ud, 0],
    ['MOV to CR5', '0f22e8', ud, 0],
  ] as const)('%s: no error code', (_name, code, vector, at) => {
    m.start('real', { flags: FLAG.of }).code(code).set([rax, 5n]);
    expect(m.run()).toMatchObject({ vector, rip: BigInt(at), cs: CS });
    expect(m.gpr(rsp)).toBe(BigInt(AT.kernelStack - 6));
  });
  it('a vector beyond the limit of IDTR is #GP, then #DF, then the end', () => {
    m.start('real').code('cd21');
    m.cpu.u16[(STATE.idtr + 8) >> 1] = 0x21 * 4 + 2;
    expect(m.run()).toMatchObject({ vector: gp, rip: 0n });
  });
  it('the table may lie elsewhere', () => {
    m.start('real').code('0f011e0030 cd21'); // lidt [3000]
    m.view.setUint16(0x3000, 0x3ff, true);
    m.view.setUint32(0x3002, AT.data, true);
    m.view.setUint32(AT.data + 0x21 * 4, AT.handlers + 0x50 * 16, true);
    expect(m.run().vector).toBe(0x50);
  });
  it('external interrupts, HLT, IRET', () => {
    m.start('real', { flags: FLAG.if }).code('f4 ffc0 f4');
    m.run();
    m.engine.interrupt(8);
    expect(m.run()).toMatchObject({ vector: 8, rip: 1n });
    m.run();
    expect(m.gpr(rax)).toBe(1n);
  });
});

describe('to protected mode, to long mode, and back', () => {
  it('real, 32-bit, paging, compatibility, 64-bit', () => {
    // The tables of `long` are what the program needs; it starts in real mode among them.
    m.start('long');
    const root = m.tables.root;
    m.engine.reset();
    m.mode = 'real';
    m.load(SEGMENT.cs, CS, 0x9b, 0xffff, BigInt(AT.code));
    m.cpu.rip = 0n;
    m.view.setUint16(AT.data, 0xff, true);
    m.view.setUint32(AT.data + 2, AT.gdt, true);
    m.code(
      [
        'b80020 8ed8 66 0f01160000', // mov ax,2000; mov ds,ax; lgdt [0]
        '0f20c0 0c01 0f22c0', // mov eax,cr0; or al,1; mov cr0,eax
        `66ea${le(AT.code + 0x100)}0800`, // jmp far 8:100
      ].join(''),
    );
    m.code(
      [
        '66b81000 8ed8 8ed0', // mov ax,10; mov ds,ax; mov ss,ax
        `bc${le(AT.kernelStack)}`, // mov esp
        '0f20e0 83c820 0f22e0', // CR4.PAE
        `b8${le(root)} 0f22d8`, // CR3
        `b9${le(0xc0000080)} 0f32 80cc01 0f30`, // EFER.LME
        '0f20c0 0d00000080 0f22c0', // CR0.PG: compatibility mode
        `ea${le(AT.code + 0x200)}2800`, // jmp far 28:200
      ].join(''),
      AT.code + 0x100,
    );
    m.code('48b8efcdab9078563412 48ffc0 f4', AT.code + 0x200); // mov rax,imm64; inc rax
    expect(m.run()).toMatchObject({ exit: EXIT.hlt, cs: S.code64, rip: BigInt(AT.code + 0x20e) });
    expect([m.gpr(rax), m.engine.longMode]).toEqual([0x1234_5678_90ab_cdf0n, true]);
  });
  it('protected mode off again: segments keep what they have until reloaded', () => {
    // mov eax,cr0; and al,fe; mov cr0,eax; CS is still 32-bit: mov ax,[esi]; jmp far 1000:100; back in 16 bits: mov bx,ax
    m.start('flat')
      .code(`0f20c0 24fe 0f22c0 668b06 ea${le(0x100)}0010`)
      .code('89c3 f4', AT.code + 0x100)
      .set([rsi, BigInt(AT.data)]);
    m.view.setUint16(AT.data, 0x4321, true);
    expect(m.run()).toMatchObject({ exit: EXIT.hlt, cs: 0x1000 });
    expect(m.gpr(rbx) & 0xffffn).toBe(0x4321n);
  });
});
