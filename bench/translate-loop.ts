// MIPS of hot loops on the interpreter and as a translated region, in turns: tsc -p bench && node bench/dist/bench/translate-loop.js [--ms n] [--runs n]
import { parseArgs } from 'node:util';
import { STATE } from '../src/cpu/state.ts';
import { AT, LongModeEngine } from '../src/cpu/translator/fixtures/long-mode-engine.ts';
import { machineCode } from '../src/cpu/translator/fixtures/machine-code.ts';
import { allocateRegistersWell } from '../src/node/register-allocation.ts';
import { EXIT } from '../src/vcpu/contract.ts';
import { table } from './report.ts';
import { median } from './statistics.ts';

const { values } = parseArgs({ options: { ms: { type: 'string', default: '200' }, runs: { type: 'string', default: '5' } } });
const [ms, runs] = [Number(values.ms), Number(values.runs)];
const SLICE = 5_000_000;

interface HotLoop {
  readonly name: string;
  readonly code: Uint8Array;
  /** Where the loop's head is. */
  readonly head: number;
}

const LOOPS: readonly HotLoop[] = [
  {
    name: 'ALU on registers',
    head: 0x6,
    code: machineCode(`
    41 bf ff ff ff 7f ; 00 mov r15d,0x7fffffff
    48 01 d8 ; 06 add rax,rbx
    48 31 c2 ; 09 xor rdx,rax
    29 d1 ; 0c sub ecx,edx
    8d 74 41 03 ; 0e lea esi,[rcx+rax*2+0x3]
    81 e6 ff 00 00 00 ; 12 and esi,0xff
    48 0f af fa ; 18 imul rdi,rdx
    48 c1 e7 03 ; 1c shl rdi,0x3
    48 09 f3 ; 20 or rbx,rsi
    49 83 c0 01 ; 23 add r8,0x1
    41 ff cf ; 27 dec r15d
    75 da ; 2a jne 0x6
    f4 ; 2c hlt
  `),
  },
  {
    name: 'loads and stores',
    head: 0xb,
    code: machineCode(`
    41 bf ff ff ff 7f ; 00 mov r15d,0x7fffffff
    bd 00 00 02 00 ; 06 mov ebp,0x20000
    48 8b 45 00 ; 0b mov rax,q[rbp+0x0]
    48 03 45 08 ; 0f add rax,q[rbp+0x8]
    48 89 45 10 ; 13 mov q[rbp+0x10],rax
    89 45 18 ; 17 mov d[rbp+0x18],eax
    0f b6 4d 03 ; 1a movzx ecx,b[rbp+0x3]
    48 8b 54 cd 00 ; 1e mov rdx,q[rbp+rcx*8+0x0]
    88 4c 0d 21 ; 23 mov b[rbp+rcx*1+0x21],cl
    01 55 28 ; 27 add d[rbp+0x28],edx
    83 7d 30 05 ; 2a cmp d[rbp+0x30],0x5
    41 ff cf ; 2e dec r15d
    75 d8 ; 31 jne 0xb
    f4 ; 33 hlt
  `),
  },
  {
    name: 'unpredictable branches inside',
    head: 0x0,
    code: machineCode(`
    48 89 c3 ; 00 mov rbx,rax
    69 c0 6d 4e c6 41 ; 03 imul eax,eax,0x41c64e6d
    05 39 30 00 00 ; 09 add eax,0x3039
    a9 00 00 01 00 ; 0e test eax,0x10000
    74 0d ; 13 je 0x22
    48 ff c1 ; 15 inc rcx
    a9 00 00 02 00 ; 18 test eax,0x20000
    75 10 ; 1d jne 0x2f
    48 ff ca ; 1f dec rdx
    48 83 c6 03 ; 22 add rsi,0x3
    38 d8 ; 26 cmp al,bl
    76 08 ; 28 jbe 0x32
    48 29 c7 ; 2a sub rdi,rax
    eb 03 ; 2d jmp 0x32
    48 31 fe ; 2f xor rsi,rdi
    7a 03 ; 32 jp 0x37
    49 f7 d0 ; 34 not r8
    49 ff cf ; 37 dec r15
    75 c4 ; 3a jne 0x0
    f4 ; 3c hlt
  `),
  },
  {
    name: 'copy and sum an array',
    head: 0xa,
    code: machineCode(`
    bd 00 00 02 00 ; 00 mov ebp,0x20000
    bf 00 40 02 00 ; 05 mov edi,0x24000
    48 8b 44 cd 00 ; 0a mov rax,q[rbp+rcx*8+0x0]
    48 01 c2 ; 0f add rdx,rax
    48 89 04 cf ; 12 mov q[rdi+rcx*8],rax
    48 ff c1 ; 16 inc rcx
    81 e1 ff 03 00 00 ; 19 and ecx,0x3ff
    49 ff cf ; 1f dec r15
    75 e6 ; 22 jne 0xa
    f4 ; 24 hlt
  `),
  },
  {
    name: 'products of doubles',
    head: 0x3e,
    code: machineCode(`
    bd 00 00 02 00 ; 00 mov ebp,0x20000
    b8 03 00 00 00 ; 05 mov eax,0x3
    f2 0f 2a c0 ; 0a cvtsi2sd xmm0,eax
    b8 07 00 00 00 ; 0e mov eax,0x7
    f2 0f 2a c8 ; 13 cvtsi2sd xmm1,eax
    f2 0f 5e c1 ; 17 divsd xmm0,xmm1
    b9 f8 0f 00 00 ; 1b mov ecx,0xff8
    f2 0f 11 44 0d 00 ; 20 movsd q[rbp+rcx],xmm0
    f2 0f 11 84 0d 00 20 00 00 ; 26 movsd q[rbp+rcx+0x2000],xmm0
    83 e9 08 ; 2f sub ecx,0x8
    79 ec ; 32 jns 0x20
    66 0f 28 c8 ; 34 movapd xmm1,xmm0
    31 c9 ; 38 xor ecx,ecx
    0f 1f 40 00 ; 3a nop
    f2 0f 10 44 0d 00 ; 3e movsd xmm0,q[rbp+rcx]
    f2 0f 59 c1 ; 44 mulsd xmm0,xmm1
    f2 0f 58 84 0d 00 20 00 00 ; 48 addsd xmm0,q[rbp+rcx+0x2000]
    f2 0f 11 84 0d 00 20 00 00 ; 51 movsd q[rbp+rcx+0x2000],xmm0
    83 c1 08 ; 5a add ecx,0x8
    81 e1 f8 0f 00 00 ; 5d and ecx,0xff8
    49 ff cf ; 63 dec r15
    75 d6 ; 66 jne 0x3e
    f4 ; 68 hlt
  `),
  },
  {
    name: 'doubles compared, divided, converted',
    head: 0x1b,
    code: machineCode(`
    b8 03 00 00 00 ; 00 mov eax,0x3
    f2 0f 2a c0 ; 05 cvtsi2sd xmm0,eax
    b8 07 00 00 00 ; 09 mov eax,0x7
    f2 0f 2a c8 ; 0e cvtsi2sd xmm1,eax
    f2 0f 5e c1 ; 12 divsd xmm0,xmm1
    be 01 00 00 00 ; 16 mov esi,0x1
    f2 48 0f 2a d6 ; 1b cvtsi2sd xmm2,rsi
    f2 0f 59 d0 ; 20 mulsd xmm2,xmm0
    f2 0f 51 da ; 24 sqrtsd xmm3,xmm2
    f2 0f 5e da ; 28 divsd xmm3,xmm2
    66 0f 2e d8 ; 2c ucomisd xmm3,xmm0
    77 05 ; 30 ja 0x37
    f2 48 0f 2c c2 ; 32 cvttsd2si rax,xmm2
    66 0f 58 e3 ; 37 addpd xmm4,xmm3
    66 0f 59 e0 ; 3b mulpd xmm4,xmm0
    48 01 c2 ; 3f add rdx,rax
    48 83 c6 01 ; 42 add rsi,1
    81 e6 ff ff 00 00 ; 46 and esi,0xffff
    48 83 ce 01 ; 4c or rsi,1
    49 ff cf ; 50 dec r15
    75 c6 ; 53 jne 0x1b
    f4 ; 55 hlt
  `),
  },
  {
    name: 'SSE integers',
    head: 0x5,
    code: machineCode(`
    bd 00 00 02 00 ; 00 mov ebp,0x20000
    f3 0f 6f 44 0d 00 ; 05 movdqu xmm0,x[rbp+rcx*1+0x0]
    66 0f fe c1 ; 0b paddd xmm0,xmm1
    66 0f ef d0 ; 0f pxor xmm2,xmm0
    f3 0f 7f 94 0d 00 20 00 00 ; 13 movdqu x[rbp+rcx*1+0x2000],xmm2
    83 c1 10 ; 1c add ecx,0x10
    81 e1 f0 0f 00 00 ; 1f and ecx,0xff0
    49 ff cf ; 25 dec r15
    75 db ; 28 jne 0x5
    f4 ; 2a hlt
  `),
  },
  {
    name: 'x87',
    head: 0x19,
    code: machineCode(`
    41 bf ff ff ff 7f ; 00 mov r15d,0x7fffffff
    bd 00 00 02 00 ; 06 mov ebp,0x20000
    db e3 ; 0b fninit
    d9 eb ; 0d fldpi
    dd 5d 00 ; 0f fstp q[rbp+0x0]
    d9 ec ; 12 fldlg2
    dd 5d 08 ; 14 fstp q[rbp+0x8]
    d9 ee ; 17 fldz
    dd 45 00 ; 19 fld q[rbp+0x0]
    dc 4d 08 ; 1c fmul q[rbp+0x8]
    de c1 ; 1f faddp st1,st0
    48 89 c8 ; 21 mov rax,rcx
    48 ff c1 ; 24 inc rcx
    41 ff cf ; 27 dec r15d
    75 ed ; 2a jne 0x19
    f4 ; 2c hlt
  `),
  },
];

allocateRegistersWell();
const interpreter = new LongModeEngine(false);
const translator = new LongModeEngine();

/** Runs slices for about `ms`, answers millions of instructions a second. */
function rate({ engine }: LongModeEngine, name: string): number {
  const slice = () => {
    const before = engine.retired;
    if (engine.run(SLICE) !== EXIT.budget) throw new Error(`${name} left at ${engine.rip.toString(16)}`);
    return engine.retired - before;
  };
  // Until V8 has made its better code of it.
  for (const end = performance.now() + ms; performance.now() < end; ) slice();
  const start = performance.now();
  let count = 0;
  let now = start;
  do {
    count += slice();
    now = performance.now();
  } while (now - start < ms);
  return count / (now - start) / 1000;
}

function interpret({ name, code }: HotLoop): number {
  interpreter.load(code);
  return rate(interpreter, name);
}

function translate({ name, code, head }: HotLoop): { readonly mips: number; readonly bytes: number; readonly compileMs: number } {
  const { engine } = translator;
  translator.load(code);
  engine.run(head === 0x3e ? 5000 : 100); // into the loop; its first instructions are not part of it
  const { regions } = engine;
  if (regions === undefined) throw new Error('no translator');
  const before = { ...regions.counters };
  const linear = BigInt(AT.code + head);
  engine.cpu.set64(STATE.slowAddress, linear);
  if (!regions.translate(linear, engine.mmu.codeTable(), head)) throw new Error(`${name} was not translated`);
  const { moduleBytes, milliseconds } = regions.counters;
  const mips = rate(translator, name);
  return { mips, bytes: moduleBytes - before.moduleBytes, compileMs: milliseconds - before.milliseconds };
}

// The interpreter's own function tiers up.
for (let i = 0; i < 5; i++) for (const loop of LOOPS) interpret(loop);
const rows = LOOPS.map((loop) => {
  const interpreted: number[] = [];
  const compiled: ReturnType<typeof translate>[] = [];
  for (let run = 0; run < runs; run++) {
    interpreted.push(interpret(loop));
    compiled.push(translate(loop));
  }
  const [slow, fast] = [median(interpreted), median(compiled.map(({ mips }) => mips))];
  const compile = median(compiled.map(({ compileMs }) => compileMs));
  return [
    loop.name,
    slow.toFixed(0),
    fast.toFixed(0),
    (fast / slow).toFixed(1),
    String(compiled[0]?.bytes ?? 0),
    compile.toFixed(1),
  ];
});
console.log(table(['loop', 'interpreter', 'translated', 'ratio', 'bytes of module', 'translate + compile ms'], rows));
