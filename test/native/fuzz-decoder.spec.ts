import { Code, Decoder, DecoderOptions } from 'iced-x86';
import { describe, expect, it } from 'vitest';
import type { Decode } from './fuzz-decoder.ts';
import { compareDecoders, describeMismatch } from './fuzz-decoder.ts';
import { fillInstruction, STRING_LENGTH } from './instruction-bytes.ts';
import { nativeLengths } from './native-length.ts';
import { NativeCpu } from './oracle.ts';
import { Random } from './random.ts';

/** A decoder for one form: 01 /r with registers, without prefixes. */
const addOnly: Decode = (bytes, mode) => {
  const [opcode, modrm] = bytes;
  if (opcode !== 0x01 || modrm === undefined || modrm < 0xc0) return { invalid: true, length: 0 };
  const names =
    mode === 16 ? ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'] : ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];
  return { length: 2, registers: [names[modrm & 7]!, names[(modrm >> 3) & 7]!], memory: null, immediates: [] };
};
/** Reads the length from iced-x86, memory operands not. */
const lengthOnly: Decode = (bytes, mode) => lengthAs(DecoderOptions.None)(bytes, mode);
const lengthAs =
  (options: DecoderOptions): Decode =>
  (bytes, mode) => {
    const decoder = new Decoder(mode, bytes, options);
    const instruction = decoder.decode();
    const answer = instruction.isInvalid ? { invalid: true, length: 0 } : { length: instruction.length };
    instruction.free();
    decoder.free();
    return answer;
  };

describe('compareDecoders', () => {
  it.each([16, 32, 64] as const)('agrees with a decoder that is right about lengths, in %i-bit mode', (mode) => {
    const report = compareDecoders({ seed: 7, mode, count: 5000, decode: lengthOnly });
    expect(report.mismatches.map(describeMismatch)).toEqual([]);
    expect(report.agreed + report.bothInvalid).toBe(5000);
    expect(report.agreed).toBeGreaterThan(3000);
    expect(report.bothInvalid).toBeGreaterThan(100);
  });

  it('lists what the decoder does not know, and agrees on the one form it knows', () => {
    const report = compareDecoders({ seed: 7, mode: 32, count: 20_000, decode: addOnly, implemented: () => false });
    expect(report.mismatches.map(describeMismatch)).toEqual([]);
    expect(report.agreed).toBeGreaterThan(5);
    expect(report.unimplemented.get('Mov_rm32_r32')).toBeGreaterThan(5);
  });

  it.each([
    ['length', (answer) => ({ ...answer, length: 3 })],
    ['registers', (answer) => ({ ...answer, registers: [...answer.registers!].map((name) => name.replace('eax', 'ecx')) })],
    ['memory', (answer) => ({ ...answer, memory: { base: 'eax', index: undefined, scale: 1, displacement: 0n, segment: 'ds' } })],
    ['immediates', (answer) => ({ ...answer, immediates: [1n] })],
    ['branch', (answer) => ({ ...answer, branch: 5n })],
    ['rejects', () => ({ invalid: true, length: 0 })],
  ] as const satisfies readonly (readonly [string, (answer: ReturnType<Decode>) => ReturnType<Decode>])[])(
    'finds a wrong answer: %s',
    (kind, spoil) => {
      const report = compareDecoders({
        seed: 7,
        mode: 32,
        count: 20_000,
        implemented: (form) => form === Code[Code.Add_rm32_r32],
        decode: (bytes, mode) => {
          const answer = addOnly(bytes, mode);
          return answer.invalid === true ? answer : spoil(answer);
        },
      });
      expect(report.mismatches.filter((mismatch) => mismatch.kind === kind)[0]).toMatchObject({ form: 'Add_rm32_r32' });
    },
  );
});

const cpu = NativeCpu.open();
describe.skipIf(!(cpu instanceof NativeCpu))('lengths on the native CPU', () => {
  it.each([16, 32, 64] as const)('are those of iced-x86, in %i-bit mode', (mode) => {
    const native = cpu as NativeCpu;
    const lengthOf = lengthAs(native.vendor === 'amd' ? DecoderOptions.AMD : DecoderOptions.None);
    const random = new Random(mode);
    const strings = Array.from({ length: 200 }, () => new Uint8Array(STRING_LENGTH));
    for (const bytes of strings) fillInstruction(random, bytes, 0, mode);
    const lengths = nativeLengths(native, strings, mode);
    const wrong = strings.flatMap((bytes, i) => {
      const iced = lengthOf(bytes, mode);
      const { length, vector } = lengths[i]!;
      // Nothing is known about the length of what is no instruction, here or there.
      if (iced.invalid === true || vector === 6 || length === iced.length) return [];
      return [`${Buffer.from(bytes).toString('hex')}: native ${length} (vector ${vector}), iced-x86 ${iced.length}`];
    });
    expect(wrong).toEqual([]);
  });
});
