// SDM vol. 2, section 4.1: the examples one meets in string libraries, and the edges of its tables.
import { beforeEach, expect, test } from 'vitest';
import type { HostAddress } from '../../abi/types.ts';
import { GuestMemory, P2M_BYTES } from '../../memory/guest-memory.ts';
import { Cpu } from '../cpu.ts';
import { FLAG, VCPU_BYTES } from '../state.ts';
import { pcmpxstrx, STRING_LENGTH, STRING_SLOT } from './pcmpxstrx.ts';

const IMM = {
  words: 1,
  signed: 2,
  any: 0,
  ranges: 4,
  each: 8,
  ordered: 12,
  negative: 0x10,
  maskedNegative: 0x30,
  most: 0x40,
} as const;
let cpu: Cpu;
beforeEach(() => {
  cpu = new Cpu(new GuestMemory(new SharedArrayBuffer(P2M_BYTES + VCPU_BYTES), 0 as HostAddress), P2M_BYTES as HostAddress);
});

interface Answer {
  readonly index: number;
  readonly flags: number;
  readonly mask: bigint;
}
function compare(first: string, second: string, immediate: number, lengths?: readonly [bigint, bigint]): Answer {
  const put = (at: number, value: string) => {
    cpu.u8.fill(0, at, at + 16);
    for (let i = 0; i < value.length; i++)
      if (immediate & 1) cpu.view.setUint16(at + 2 * i, value.charCodeAt(i), true);
      else cpu.u8[at + i] = value.charCodeAt(i);
  };
  put(STRING_SLOT.first, first);
  put(STRING_SLOT.second, second);
  cpu.set32(STRING_SLOT.immediate, immediate);
  if (lengths !== undefined) {
    cpu.set64(STRING_SLOT.firstLength, BigInt.asUintN(64, lengths[0]));
    cpu.set64(STRING_SLOT.secondLength, BigInt.asUintN(64, lengths[1]));
  }
  expect(pcmpxstrx(cpu, lengths === undefined ? STRING_LENGTH.implicit : STRING_LENGTH.explicit)).toBe(0);
  const mask = (cpu.get64(STRING_SLOT.mask + 8) << 64n) | cpu.get64(STRING_SLOT.mask);
  return { index: cpu.get32(STRING_SLOT.index), flags: cpu.get32(STRING_SLOT.flags), mask };
}

test('equal any finds the first of a set (strpbrk)', () => {
  expect(compare('xyz', 'a long z, x', IMM.any)).toEqual({
    index: 7,
    flags: FLAG.cf | FLAG.zf | FLAG.sf,
    mask: 0b100_1000_0000n,
  });
});
test('equal any finds the last one when asked', () => {
  expect(compare('xyz', 'a long z, x', IMM.any | IMM.most).index).toBe(10);
});
test('ranges finds the first character in one (strspn of digits)', () => {
  expect(compare('09AF', 'xyz7', IMM.ranges).index).toBe(3);
});
test('equal each, negated within the strings, finds the first difference (strcmp)', () => {
  expect(compare('abcdef', 'abcxef', IMM.each | IMM.maskedNegative)).toMatchObject({
    index: 3,
    flags: FLAG.cf | FLAG.zf | FLAG.sf,
  });
});
test('equal strings differ nowhere: the index is the number of elements', () => {
  expect(compare('same', 'same', IMM.each | IMM.negative)).toEqual({ index: 16, flags: FLAG.zf | FLAG.sf, mask: 0n });
});
test('beyond both ends elements count as equal, and masked negation leaves them', () => {
  expect(compare('same', 'same', IMM.each | IMM.maskedNegative)).toMatchObject({ index: 4, mask: 0xfff0n });
});
test('equal ordered finds a substring, also one that starts at the end (strstr)', () => {
  expect(compare('needle', 'a needle', IMM.ordered).index).toBe(2);
  expect(compare('end', '0123456789abcden', IMM.ordered).index).toBe(14);
});
test('words are compared as words', () => {
  expect(compare('Ω', 'abcΩ', IMM.any | IMM.words)).toMatchObject({ index: 3, mask: 8n });
});
test('signed bytes order below zero', () => {
  expect(compare('\u0080\u00ff', 'a\u0090', IMM.ranges | IMM.signed).index).toBe(1);
});
test('the mask may be spread over the elements', () => {
  expect(compare('b', 'abb', IMM.any | IMM.most).mask).toBe(0xffff00n);
  expect(compare('b', 'abb', IMM.any | IMM.most | IMM.words).mask).toBe(0xffff_ffff_0000n);
});
test('explicit lengths count by magnitude and saturate; null bytes are ordinary', () => {
  const answer = compare('\0', 'ab\0d', IMM.any, [-1n, 1n << 40n]);
  expect(answer).toMatchObject({ index: 2, flags: FLAG.cf | FLAG.sf });
});
test('an empty needle is found everywhere, an empty set nowhere', () => {
  expect(compare('', 'abc', IMM.ordered)).toMatchObject({ index: 0, mask: 0xffffn });
  expect(compare('', 'abc', IMM.any)).toMatchObject({ index: 16, mask: 0n });
});
test('plain negation reaches beyond the end, masked negation does not', () => {
  expect(compare('a', 'ab', IMM.any | IMM.negative).mask).toBe(0xfffen);
  expect(compare('a', 'ab', IMM.any | IMM.maskedNegative).mask).toBe(2n);
});
