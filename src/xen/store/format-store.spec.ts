// The expected texts were printed by xenstore-ls of Xen 4.17 from the same tree.
import { expect, it } from 'vitest';
import { formatStore, quoteValue } from './format-store.ts';
import { XenStore } from './store.ts';
import { StoreClient } from './store-client.ts';

function example(): XenStore {
  const store = new XenStore();
  const client = new StoreClient(store);
  store.addDomain(7);
  client.remove('/tool');
  client.write('/a', 'short');
  client.write('/a/b', 'x'.repeat(80));
  client.write('/a/bytes', Uint8Array.of(1, 9, 10, 13, 92, 34, 200, 127, 0, 65));
  client.write(`/a/${'n'.repeat(90)}`, 'v');
  client.write('/c', '');
  client.setPermissions('/c', 'n0,b7');
  return store;
}

it('indents and cuts to 80 columns', () => {
  expect(formatStore(example())).toBe(`a = "short"
 b = "${'x'.repeat(70)}\\..."
 bytes = "\\001\\t\\n\\r\\\\"\\xc8\\x7f\\000A"
 ${'n'.repeat(71)} = "\\..."
c = ""
`);
});

it('shows permissions in a column', () => {
  expect(formatStore(example(), { permissions: true })).toBe(`a = "short"  . . . . . . . . . . . . . . . . . . . . . . . .  (n0)
 b = "${'x'.repeat(70)}\\..."  (n0)
 bytes = "\\001\\t\\n\\r\\\\"\\xc8\\x7f\\000A"  . . . . . . . . . . .  (n0)
 ${'n'.repeat(71)} = "\\..."  (n0)
c = "" . . . . . . . . . . . . . . . . . . . . . . . . . . .  (n0,b7)
`);
});

it('shows whole paths and values', () => {
  const lines = formatStore(example(), { flat: true, permissions: true }).split('\n');
  expect(lines[1]).toBe(`/a/b = "${'x'.repeat(80)}"   (n0)`);
  expect(lines[4]).toBe('/c = ""   (n0,b7)');
});

it('begins where it is told to', () => {
  expect(formatStore(example(), { path: '/a' }).split('\n')[1]).toBe('bytes = "\\001\\t\\n\\r\\\\"\\xc8\\x7f\\000A"');
  expect(() => formatStore(example(), { path: '/none' })).toThrow(RangeError);
});

it('quotes what is not printable', () => {
  expect(quoteValue(Uint8Array.from([0, 7, 8, 31, 32, 126, 127, 255]))).toBe('\\000\\007\\x08\\x1f ~\\x7f\\xff');
});
