// Replays golden/x87.txt: the whole x87 state after single instructions, recorded on an Intel CPU.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { OUTCOME, X87 } from './x87.ts';
import { x87Operand } from './x87-operand.ts';
import { FSW, X87_LAYOUT } from './x87-state.ts';

interface Register {
  se: number;
  m: bigint;
}
const parse = (text: string): Register => {
  const [se, m] = text.split(':');
  return { se: Number.parseInt(se!, 16), m: BigInt(`0x${m!}`) };
};
const number = (text: string): number => Number.parseInt(text, 16);
const INTEGER_BIT = 1n << 63n;
/** The value's place among all encodings, so that neighbours differ by one. */
const place = ({ se, m }: Register): bigint => (BigInt(se & 0x7fff) << 63n) + (m & ~INTEGER_BIT);

/** The functions the CPU computes within an ulp; ours are rounded correctly, and C1 tells of the rounding. */
const TRANSCENDENTAL = new Set([0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xfb, 0xfe, 0xff]);
const integerValue = (n: number): Register => {
  const exponent = 31 - Math.clz32(n);
  return { se: 0x3fff + exponent, m: BigInt(n) << BigInt(63 - exponent) };
};

const fpu = new X87(new DataView(new ArrayBuffer(X87_LAYOUT.size)), 0);

/** What differs from the recorded line; empty when nothing does. */
function replay(opcode: number, modrm: number, line: string): string {
  const [inputs, outputs] = line.trim().split(' > ');
  const [fcw, fsw, tags, eflags, st0, st1, memory] = inputs!.split(' ');
  const [fswAfter, tagsAfter, eflagsAfter, stored, ...changes] = outputs!.split(' ');
  const { state } = fpu;
  state.fcw = number(fcw!);
  state.fsw = number(fsw!);
  const registers = [parse(st0!), parse(st1!), 3, 4, 5, 6, 7, 8].map((r) => (typeof r === 'number' ? integerValue(r) : r));
  for (const [i, { se, m }] of registers.entries()) fpu.putRaw(i, se, m);
  state.setFullTags(number(tags!));
  state.summarize();
  for (let i = 0; i < 16; i++) fpu.memory.setUint8(i, 0);
  if (memory !== '-') for (const [i, byte] of memory!.match(/../g)!.entries()) fpu.memory.setUint8(i, number(byte));
  fpu.eflags = number(eflags!);
  const top = state.top;
  const outcome = fpu.execute(opcode, modrm);

  const close = opcode === 0xd9 && TRANSCENDENTAL.has(modrm);
  const problems: string[] = [];
  const ignored = close ? FSW.C1 : 0;
  if ((state.fsw & ~ignored) !== (number(fswAfter!) & ~ignored)) problems.push(`fsw ${state.fsw.toString(16)}`);
  if (state.fullTags() !== number(tagsAfter!)) problems.push(`tags ${state.fullTags().toString(16)}`);
  if (eflagsAfter !== '-' && (!(outcome & OUTCOME.eflags) || (fpu.eflags & 0x8d5) !== number(eflagsAfter!)))
    problems.push('eflags');
  if (stored !== '-') {
    const { size } = x87Operand(opcode, modrm);
    const bytes = Array.from({ length: size }, (_, i) => (outcome & OUTCOME.store ? fpu.memory.getUint8(i) : 0));
    const text = bytes.map((b) => b.toString(16).padStart(2, '0')).join('');
    if (text !== stored) problems.push(`memory ${text}`);
  }
  const expected = Array.from({ length: 8 }, (_, i) => registers[(i + state.top - top) & 7]!);
  for (const change of changes) expected[Number(change[0])] = parse(change.slice(2));
  expected.forEach((want, i) => {
    const got = { se: state.signExponent(i), m: state.significand(i) };
    if (got.se === want.se && got.m === want.m) return;
    const distance = place(got) - place(want);
    if (!close || (got.se ^ want.se) & 0x8000 || distance > 1n || distance < -1n)
      problems.push(`st${i} ${got.se.toString(16)}:${got.m.toString(16)}`);
  });
  return problems.join(', ');
}

test('x87 instructions leave the state the hardware leaves', () => {
  const differences: string[] = [];
  let [opcode, modrm, cases] = [0, 0, 0];
  for (const line of readFileSync(new URL('golden/x87.txt', import.meta.url), 'utf8').split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    if (!line.startsWith(' ')) {
      [opcode, modrm] = line.split(' ').map(number) as [number, number];
      continue;
    }
    const difference = replay(opcode, modrm, line);
    if (difference !== '') differences.push(`${opcode.toString(16)} ${modrm.toString(16)}${line}: ${difference}`);
    cases++;
  }
  expect(differences).toEqual([]);
  expect(cases).toBeGreaterThan(2500);
});
