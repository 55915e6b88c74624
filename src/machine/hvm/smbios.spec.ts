import { expect, it } from 'vitest';
import { buildSmbios } from './smbios.ts';

const AT = 0xfc00_0100;
const MIB = 1 << 20;

/** Its structures by type, as software walks them (DSP0134, 6.1): formatted parts and strings. */
function walk(bytes: Uint8Array) {
  const view = new DataView(bytes.buffer);
  let at = view.getUint32(0x18, true) - AT;
  const end = at + view.getUint16(0x16, true);
  const found = new Map<number, { view: DataView; handle: number; strings: string[] }>();
  let count = 0;
  while (at < end) {
    const [type, length] = [bytes[at] as number, bytes[at + 1] as number];
    let after = at + length;
    while (bytes[after] !== 0 || bytes[after + 1] !== 0) after++;
    const strings = Buffer.from(bytes.subarray(at + length, after))
      .toString('latin1')
      .split('\0');
    found.set(type, { view: new DataView(bytes.buffer, at, length), handle: view.getUint16(at + 2, true), strings });
    at = after + 2;
    count++;
  }
  expect(at).toBe(end);
  expect(count).toBe(view.getUint16(0x1c, true));
  return found;
}

const sum = (bytes: Uint8Array): number => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);

it('tells of the system and of its memory in structures that lead to each other', () => {
  const uuid = Uint8Array.from({ length: 16 }, (_, i) => i);
  const bytes = buildSmbios({ at: AT, uuid, ramBytes: 768 * MIB, xenVersion: '4.20.0' });
  expect(sum(bytes.subarray(0, 31))).toBe(0);
  expect(sum(bytes.subarray(0x10, 31))).toBe(0);
  const found = walk(bytes);
  expect([...found.keys()]).toEqual([0, 1, 3, 11, 16, 17, 19, 20, 32, 127]);
  expect(found.get(1)?.strings).toEqual(['Xen', 'HVM domU', '4.20.0', '00010203-0405-0607-0809-0a0b0c0d0e0f']);
  const [array, device, arrayAddress, deviceAddress] = [16, 17, 19, 20].map((type) => found.get(type));
  expect(array?.view.getUint32(7, true)).toBe(768 * 1024);
  expect(array?.view.getUint16(13, true)).toBe(1);
  expect(device?.view.getUint16(4, true)).toBe(array?.handle);
  expect(device?.view.getUint16(12, true)).toBe(768);
  expect(device?.strings).toEqual(['DIMM 0']);
  for (const range of [arrayAddress, deviceAddress])
    expect([range?.view.getUint32(4, true), range?.view.getUint32(8, true)]).toEqual([0, 768 * 1024 - 1]);
  expect(arrayAddress?.view.getUint16(12, true)).toBe(array?.handle);
  expect(deviceAddress?.view.getUint16(12, true)).toBe(device?.handle);
  expect(deviceAddress?.view.getUint16(14, true)).toBe(arrayAddress?.handle);
});
