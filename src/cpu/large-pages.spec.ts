import { describe, expect, it } from 'vitest';
import { LargePages } from './large-pages.ts';

const KERNEL = 0xffff_ffff;

describe('the large pages in the TLB', () => {
  it.each([
    [21, 0x8120_0000, 0x813f_f000, 0x8140_0000],
    [22, 0x0040_0000, 0x007f_f000, 0x0080_0000],
    [30, 0x4000_0000, 0x7fff_f000, 0x8000_0000],
  ])('are known by any address within their 2^%i bytes, and by none beyond', (bits, first, last, beyond) => {
    const pages = new LargePages();
    pages.add(last | 0, 0, bits);
    expect([first, last, beyond].map((low) => pages.mayHold(low, 0))).toEqual([true, true, false]);
  });
  it('tell addresses apart by their high half', () => {
    const pages = new LargePages();
    pages.add(0x8100_0000 | 0, KERNEL | 0, 21);
    expect([pages.mayHold(0x8100_0000, KERNEL), pages.mayHold(0x8100_0000, 0)]).toEqual([true, false]);
  });
  it('are none after a flush', () => {
    const pages = new LargePages();
    pages.add(0, 0, 21);
    pages.clear();
    expect(pages.mayHold(0, 0)).toBe(false);
  });
});
