import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { undoBcjX86 } from './bcj-x86.ts';
import { unpackXz } from './xz.ts';

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const undone = (code: Uint8Array, startOffset?: number): Uint8Array => {
  undoBcjX86(code, startOffset);
  return code;
};

describe('the x86 branch filter, undone', () => {
  it('makes the operand of CALL and JMP relative to the next instruction', () => {
    expect(undone(bytes(0x90, 0xe8, 0x26, 0, 0, 0, 0xe9, 0x10, 0, 0, 0))).toEqual(
      bytes(0x90, 0xe8, 0x20, 0, 0, 0, 0xe9, 0x05, 0, 0, 0),
    );
  });
  it('counts from the start offset', () => {
    expect(undone(bytes(0xe8, 0x05, 0x10, 0, 0), 0x1000)).toEqual(bytes(0xe8, 0, 0, 0, 0));
  });
  it('extends the sign of bit 24', () => {
    expect(undone(bytes(0xe8, 4, 0, 0, 0))).toEqual(bytes(0xe8, 0xff, 0xff, 0xff, 0xff));
  });
  it('leaves a target that is far away', () => {
    expect(undone(bytes(0xe8, 1, 2, 3, 4))).toEqual(bytes(0xe8, 1, 2, 3, 4));
  });
  it('leaves an instruction that the end cuts off', () => {
    expect(undone(bytes(0xe8, 0x10, 0, 0))).toEqual(bytes(0xe8, 0x10, 0, 0));
  });
  it('leaves a candidate within the operands of two others', () => {
    expect(undone(bytes(0xe8, 0xe8, 0xe8, 1, 1, 1, 0))).toEqual(bytes(0xe8, 0xe8, 0xe8, 1, 1, 1, 0));
  });
  it('converts a candidate within the operand of another whose top byte is neither 00 nor FF', () => {
    expect(undone(bytes(0xe8, 1, 0xe8, 0x27, 5, 9, 0))).toEqual(bytes(0xe8, 1, 0xe8, 0x20, 5, 9, 0));
  });
  it('leaves it when that byte is 00, since two others kept the outer one from being converted', () => {
    expect(undone(bytes(0xe8, 0xe8, 1, 0xe8, 1, 0xe8, 1, 0, 1, 0))).toEqual(bytes(0xe8, 0xe8, 1, 0xe8, 1, 0xe8, 1, 0, 1, 0));
  });
  it('converts twice when that byte becomes 00', () => {
    // 090106 - 7 = 0900ff: 00 is where the other one's top byte lies, so 09ff00 - 7 = 09fef9.
    expect(undone(bytes(0xe8, 1, 0xe8, 0x06, 1, 9, 0))).toEqual(bytes(0xe8, 1, 0xe8, 0xf9, 0xfe, 9, 0));
  });
});

// The packer of xz-utils is the oracle: whatever it makes of data dense in what the rules are about must come back.
const packed = (data: Uint8Array, start: number): Uint8Array =>
  new Uint8Array(
    spawnSync('xz', ['-c', '--check=crc32', `--x86=start=${start}`, '--lzma2=preset=0'], { input: data, maxBuffer: 2 ** 26 })
      .stdout,
  );
const hasXz = spawnSync('xz', ['--version']).status === 0;
if (!hasXz) console.warn('xz-utils is not installed: the x86 branch filter is not compared with it');

describe.skipIf(!hasXz)('against xz --x86', () => {
  const dense = fc.oneof(
    fc.constantFrom(0xe8, 0xe9, 0x00, 0xff),
    fc.constantFrom(0xe8, 0xe9, 0x00, 0xff, 0x01, 0xfe),
    fc.nat(255),
  );
  // Many short cases in a row: one process packs them all.
  const cases = fc.array(fc.array(dense, { minLength: 1, maxLength: 40 }), { minLength: 200, maxLength: 400 });
  const startOffset = fc.constantFrom(0, 1, 0x1000, 0xff_fff0, 0x100_0000, 0x7fff_ff00, 0xffff_ff00);
  it('gives back dense data', () => {
    fc.assert(
      fc.property(cases, startOffset, (rows, start) => {
        const data = Uint8Array.from(rows.flat());
        const unpacked = Buffer.concat([...unpackXz(packed(data, start), 'the file', 2 ** 26)].map((chunk) => chunk.slice()));
        expect(Buffer.compare(unpacked, data)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});
