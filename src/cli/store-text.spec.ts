import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatEntry, type ListStyle, quoteValue, type StoreEntry } from '../xen/store/format-store.ts';
import { unquoteValue } from './store-text.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const storeLines = (entries: readonly StoreEntry[], style: ListStyle): string[] =>
  entries.map((entry) => formatEntry(entry, style));

describe('escapes', () => {
  it.each([
    ['plain "text"', 'plain "text"'],
    ['tab\there', 'tab\\there'],
    ['a\nb\r\\', 'a\\nb\\r\\\\'],
    ['\x00\x07\x08\x7f', '\\000\\007\\x08\\x7f'],
    ['é', '\\xc3\\xa9'],
  ])('%j is written %s', (value, text) => {
    expect(quoteValue(bytes(value))).toBe(text);
  });

  it.each([
    ['\\x41\\x4', 'A\x04'],
    ['\\101\\1', 'A\x01'],
    ['\\q\\"', 'q"'],
    ['é\\n', 'é\n'],
    ['', ''],
  ])('%s means %j', (text, value) => {
    expect(unquoteValue(text)).toEqual(bytes(value));
  });

  it('bring any bytes back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (any) => {
        const text = quoteValue(any);
        expect(text).toMatch(/^[ -~]*$/);
        expect(unquoteValue(text)).toEqual(any);
      }),
    );
  });

  it('do not end in the middle', () => {
    expect(() => unquoteValue('a\\')).toThrow(/ends in a backslash/);
  });
});

describe('the lines of a tree', () => {
  const entries = [
    { path: '/data', value: bytes(''), permissions: ['n0', 'r1'] },
    { path: '/data/greeting', value: bytes('hello'), permissions: ['n1'] },
    { path: '/long', value: bytes('x'.repeat(100)), permissions: ['n0'] },
  ];
  const style = { top: '/local', flat: false, permissions: false, width: 80 };

  it('are indented by a blank a level, and values that are too long are cut', () => {
    expect(storeLines(entries, style)).toEqual([
      'data = ""',
      ' greeting = "hello"',
      // 80 columns: the name, the value, and eight that stand around a value.
      `long = "${'x'.repeat(68)}\\..."`,
    ]);
  });

  it('are whole paths and whole values when flat', () => {
    expect(storeLines(entries, { ...style, flat: true })).toEqual([
      '/local/data = ""',
      '/local/data/greeting = "hello"',
      `/local/long = "${'x'.repeat(100)}"`,
    ]);
    expect(storeLines(entries.slice(0, 1), { ...style, top: '/', flat: true })).toEqual(['/data = ""']);
  });

  it('have permissions behind dots', () => {
    const lines = storeLines(entries, { ...style, permissions: true });
    expect(lines[0]).toBe(`data = "" ${' .'.repeat(25)}  (n0,r1)`);
    expect(lines[1]).toMatch(/^ greeting = "hello" [ .]{40} {2}\(n1\)$/);
    expect(lines[2]).toMatch(/x\\\.\.\." {2}\(n0\)$/);
    expect(storeLines(entries, { ...style, flat: true, permissions: true })[1]).toBe('/local/data/greeting = "hello"   (n1)');
  });
});
