// What the translator makes of a few regions, as text: `UPDATE_GOLDEN=1 npx vitest run src/cpu/translator/golden.spec.ts` writes
// it anew, and the difference is to be read.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { functionText } from '../../wasm/fixtures/function-text.ts';
import { instructionSet } from '../instruction-set.ts';
import { SPECIAL_COUNT } from '../interpreter/record.ts';
import { ATTR, CODE_MODE, SEG, STATE, TLB } from '../state.ts';
import { FLAT_FORMS, type SegmentForm } from './assumed-segments.ts';
import { machineCode } from './fixtures/machine-code.ts';
import { meansOf } from './means.ts';
import { RegionReader } from './region.ts';
import { translateRegion } from './translate-region.ts';

/** Where things lie here: far from each other, and from any small number. */
const BASE = 0x100_0000;
const TABLES = 0x200_0000;
const RECORDS = 0x300_0000;
const REGISTERS = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
const SLOTS = new Map<number, string>([
  ...Object.entries(STATE).map(([name, at]) => [at, name] as const),
  ...REGISTERS.map((name, i) => [STATE.gpr + 8 * i, name] as const),
  ...Array.from({ length: 16 }, (_, i) => [STATE.xmm + 16 * i, `xmm${i}`] as const),
  ...['es', 'cs', 'ss', 'ds', 'fs', 'gs'].flatMap((name, i) => [
    [STATE.seg + i * SEG.sizeof + SEG.base, `${name}.base`] as const,
    [STATE.seg + i * SEG.sizeof + SEG.limit, `${name}.limit`] as const,
    [STATE.seg + i * SEG.sizeof, `${name}.word`] as const,
  ]),
]);

const REGIONS: Readonly<Record<string, string>> = {
  'count-down': `
    ff c9 ; 00 dec ecx
    75 fc ; 02 jne 0x0
    f4 ; 04 hlt
  `,
  'partial-registers': `
    00 dc ; 00 add ah,bl
    66 89 c2 ; 02 mov dx,ax
    89 d6 ; 05 mov esi,edx
    73 f7 ; 07 jae 0x0
    f4 ; 09 hlt
  `,
  'load-and-store': `
    48 8b 44 ce 10 ; 00 mov rax,q[rsi+rcx*8+0x10]
    88 07 ; 05 mov b[rdi],al
    f4 ; 07 hlt
  `,
  'read-modify-write': `
    f0 01 06 ; 00 lock add d[rsi],eax
    01 47 04 ; 03 add d[rdi+4],eax
    f4 ; 06 hlt
  `,
  'segment-and-position': `
    65 48 8b 04 25 28 00 00 00 ; 00 mov rax,gs:[0x28]
    48 8d 1d 10 00 00 00 ; 09 lea rbx,[rip+0x10]
    f4 ; 10 hlt
  `,
  'if-and-else': `
    48 39 d8 ; 00 cmp rax,rbx
    7e 05 ; 03 jle 0xa
    48 01 d8 ; 05 add rax,rbx
    eb 03 ; 08 jmp 0xd
    48 29 d8 ; 0a sub rax,rbx
    48 ff c1 ; 0d inc rcx
    f4 ; 10 hlt
  `,
  'call-and-return': `
    e8 04 00 00 00 ; 00 call 0x9
    48 ff c1 ; 05 inc rcx
    f4 ; 08 hlt
    48 01 d8 ; 09 add rax,rbx
    c3 ; 0c ret
  `,
  recursion: `
    ff c9 ; 00 dec ecx
    74 05 ; 02 je 0x9
    e8 f7 ff ff ff ; 04 call 0x0
    c3 ; 09 ret
  `,
  'way-into-a-loop': `
    a8 01 ; 00 test al,1
    75 03 ; 02 jne 0x7
    48 ff c0 ; 04 inc rax
    ff c9 ; 07 dec ecx
    75 f9 ; 09 jne 0x4
    f4 ; 0b hlt
  `,
  'handler-in-between': `
    48 ff c6 ; 00 inc rsi
    0f a2 ; 03 cpuid
    48 01 c6 ; 05 add rsi,rax
    f4 ; 08 hlt
  `,
  vectors: `
    f3 0f 6f 06 ; 00 movdqu xmm0,x[rsi]
    66 0f fe c1 ; 04 paddd xmm0,xmm1
    66 0f ef d0 ; 08 pxor xmm2,xmm0
    f4 ; 0c hlt
  `,
  'next-page': `
    e9 fb 0f 00 00 ; 00 jmp 0x1000
  `,
};

interface LegacyRegion {
  readonly mode: number;
  /** Default: flat. */
  readonly segments?: readonly SegmentForm[];
  readonly source: string;
}

const REAL_MODE: SegmentForm = { attributes: ATTR.present | ATTR.s | ATTR.rw, unlimited: false, atZero: false };
/** Regions of 16- and 32-bit code. */
const LEGACY: Readonly<Record<string, LegacyRegion>> = {
  'flat-32-bit': {
    mode: CODE_MODE.code32,
    source: `
      8b 44 8e 10 ; 00 mov eax,d[esi+ecx*4+0x10]
      65 89 07 ; 04 mov gs:[edi],eax
      50 ; 07 push eax
      e8 01 00 00 00 ; 08 call 0xe
      f4 ; 0d hlt
      c3 ; 0e ret
    `,
  },
  'real-mode': {
    mode: CODE_MODE.code16,
    segments: Array.from({ length: 6 }, () => REAL_MODE),
    source: `
      8b 40 10 ; 00 mov ax,w[bx+si+0x10]
      26 88 05 ; 03 mov es:[di],al
      50 ; 06 push ax
      e2 f7 ; 07 loop 0x0
      f4 ; 09 hlt
    `,
  },
};

/** The region that begins at 0 of a page; the page after it holds INC RAX; HLT. */
function translated(source: string, mode: number = CODE_MODE.code64, segments: readonly SegmentForm[] = FLAT_FORMS): string {
  const pages = [0, 1].map(() => new Uint8Array(4096).fill(0xf4));
  const code = machineCode(source);
  (pages[0] as Uint8Array).set(code);
  (pages[1] as Uint8Array).set([0x48, 0xff, 0xc0]);
  const { decoder, variants } = instructionSet();
  const known = (place: number) => place < code.length || place === 4096;
  const reader = new RegionReader({ page: (n) => pages[n], known, targets: () => [] }, decoder, variants, mode);
  const region = reader.read(0);
  if (region === undefined) throw new Error('no region');
  const module = translateRegion(region, {
    base: BASE,
    mmuIndex: 0,
    fetchTlb: TABLES,
    memoryPages: 1,
    pages: { entryTable: (page) => TABLES + 0x1_0000 * (page + 1), record: ({ place }) => RECORDS + 32 * place },
    segments,
    means: meansOf(),
    computeNumber: () => 0,
  });
  new WebAssembly.Module(module);
  const lines = functionText(module, (address) => SLOTS.get(address - BASE));
  const named = lines.map((line) =>
    line
      .replaceAll(`0x${(BASE + TLB.at).toString(16)}`, 'readTlb')
      .replaceAll(`0x${(BASE + TLB.at + TLB.bytes).toString(16)}`, 'writeTlb')
      .replaceAll(`0x${(BASE + TLB.at + 8).toString(16)}`, 'readTlb + 0x8')
      .replaceAll(`0x${(BASE + TLB.at + TLB.bytes + 8).toString(16)}`, 'writeTlb + 0x8')
      .replaceAll(`0x${TABLES.toString(16)}`, 'fetchTlb')
      // Handlers' numbers change with each instruction that is added.
      .replace(/handler\((\w+),/, (_, index) => `handler(${variants.handlers[Number(index) - SPECIAL_COUNT]?.semantics.name},`),
  );
  return `${source.trim().replace(/^ +/gm, '')}\n\n${named.join('\n')}\n`;
}

describe('the translation of', () => {
  it.each([...Object.keys(REGIONS), ...Object.keys(LEGACY)])('%s is as it was', (name) => {
    const file = fileURLToPath(new URL(`golden/${name}.txt`, import.meta.url));
    const legacy = LEGACY[name];
    const text =
      legacy === undefined ? translated(REGIONS[name] as string) : translated(legacy.source, legacy.mode, legacy.segments);
    if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, text);
    expect(text).toBe(readFileSync(file, 'utf8'));
  });
});
