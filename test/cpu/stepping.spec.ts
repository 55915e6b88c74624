// However the engine runs code, it gives the same: at full speed, one instruction at a time (debug registers that never match
// make it step), and with a cache of decoded code that is much too small.
import { beforeAll, expect, it } from 'vitest';
import { CR4, STATE } from '../../src/cpu/state.ts';
import { AT, BenchMachine, le } from './bench-machine.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});

/** Calls, strings both ways, page-crossing data and code, LOCK, SSE, flags, stack frames, branches near and far. */
const PROGRAM = [
  '41bf14000000', // mov r15d,20
  'e87a000000', // l: call sub
  '488d342500000200 488dbe00010000 b925000000 fc f3a4', // lea rsi,[20000]; lea rdi,[rsi+100]; mov ecx,37; cld; rep movsb
  '488b0425fd0f0200 4c013c25fd0f0200', // mov rax,[20ffd]; add [20ffd],r15
  'f0480fc1042500020200', // lock xadd [20200],rax
  '50 9c 9d 5b', // push rax; pushf; popf; pop rbx
  '486bdb3d 66480f6ec3 660ffec8 0f110c25f80f0200', // imul rbx,rbx,3d; movq xmm0,rbx; paddd xmm1,xmm0; movups [20ff8],xmm1
  'fd b909000000 488d3c2508100200 f3ab fc', // std; mov ecx,9; lea rdi,[21008]; rep stosd; cld
  '480fbdd3 41f6c703 7407', // bsr rdx,rbx; test r15b,3; jz +7
  '4892 c8100001 c9', // xchg rax,rdx; enter 16,1; leave
  'e9810f0000', // jmp 10ffd
  'fb 90 fa', // back: sti; nop; cli
  '41ffcf 7582 f4', // dec r15d; jnz l; hlt
  'b905000000 48c1c803 4811c2 e2f7 c3', // sub: mov ecx,5; ror rax,3; adc rdx,rax; loop; ret
].join('');
const FAR = '41b978563412 4c01ca 4831da 4183ff0a e96af0ffff'; // 10ffd: mov r9d,12345678; add rdx,r9; xor rdx,rbx; cmp r15d,10; jmp back

function outcome(m: BenchMachine, stepping: boolean) {
  m.start('long', { cr4: CR4.osfxsr })
    .code(PROGRAM)
    .code(FAR, AT.code + 0xffd);
  for (let i = 0; i < 64; i++) m.ram[AT.data + i] = i * 37;
  // DR7.L0: an instruction that is never reached.
  if (stepping) m.cpu.set64(STATE.dr + 56, 0x401n);
  const stop = m.run();
  expect(stop.exit).toBe(1);
  const state = m.cpu.u8.slice(0, STATE.zero);
  return { stop, state, xmm: m.cpu.u8.slice(STATE.xmm, STATE.xmm + 32), ram: m.ram.slice(0x8000, AT.tables) };
}

it('the same registers, flags and memory', () => {
  const free = outcome(m, false);
  const stepped = outcome(m, true);
  expect(free.stop).toEqual(stepped.stop);
  expect(free.state).toEqual(stepped.state);
  expect(free.xmm).toEqual(stepped.xmm);
  expect(Buffer.compare(free.ram, stepped.ram)).toBe(0);
  expect(m.gpr(15)).toBe(0n);
});

it('the same when decoded code is thrown away all the time', () => {
  const small = new BenchMachine(195 << 10);
  const before = small.engine.code.flushes;
  const [free, cramped] = [outcome(m, false), outcome(small, false)];
  expect(small.engine.code.flushes - before).toBeGreaterThan(10);
  expect(cramped.stop).toEqual(free.stop);
  expect(cramped.state).toEqual(free.state);
  expect(Buffer.compare(cramped.ram, free.ram)).toBe(0);
});

it('an instruction outside strings counts as one, run or stepped', () => {
  const counts = [false, true].map((stepping) => {
    m.start('long').code(`b9${le(100)} ffc0 50 5b e2fa f4`); // mov ecx,100; l: inc eax; push rax; pop rbx; loop l; hlt
    if (stepping) m.cpu.set64(STATE.dr + 56, 0x401n);
    const before = m.engine.retired;
    m.run();
    return m.engine.retired - before;
  });
  expect(counts).toEqual([402, 402]);
});
