import { describe, expect, it } from 'vitest';
import { parseMemorySize } from './memory-size.ts';

describe('parseMemorySize', () => {
  it.each([
    ['256MiB', 256 * 2 ** 20],
    ['512M', 512 * 2 ** 20],
    ['1GiB', 2 ** 30],
    ['1.5g', 1.5 * 2 ** 30],
    ['65536k', 2 ** 26],
  ])('reads %s', (text, bytes) => {
    expect(parseMemorySize(text)).toBe(bytes);
  });

  it.each([
    ['256', "'256' is no size of memory; write it as 256MiB"],
    ['2GB', "'2GB' is no size of memory; write it as 2GiB"],
    ['', "'' is no size of memory; write it as 256MiB or 1GiB"],
    ['-1MiB', "'-1MiB' is no size of memory; write it as 256MiB or 1GiB"],
    ['lots', "'lots' is no size of memory; write it as 256MiB or 1GiB"],
    ['0.0001K', "'0.0001K' is no size of memory; write it as 256MiB or 1GiB"],
  ])('refuses %j', (text, message) => {
    expect(() => parseMemorySize(text)).toThrow(message);
  });
});
