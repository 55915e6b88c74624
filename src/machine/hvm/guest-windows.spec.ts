import { expect, it } from 'vitest';
import { type Gfn, type HostAddress, PAGE_SIZE } from '../../abi/types.ts';
import { GuestMemory, P2M_BYTES, P2M_FRAMES } from '../../memory/guest-memory.ts';
import { GuestWindows } from './guest-windows.ts';

const VIDEO = 0x1_0000 + P2M_BYTES;

function make() {
  const memory = new GuestMemory(new SharedArrayBuffer(VIDEO + 0x1_0000), 0x1_0000 as HostAddress);
  const windows = new GuestWindows(memory);
  const window = { bytes: memory.u8.subarray(VIDEO, VIDEO + 0x4000), writable: true };
  return { memory, window, windows };
}

it('shows a window and takes it away', () => {
  const { memory, window, windows } = make();
  const off = windows.show(window, 0x1000, 0xf000_0000, 0x2000);
  memory.writeU32(0xf000_0ffc as never, 0x1234_5678);
  expect(memory.view.getUint32(VIDEO + 0x1ffc, true)).toBe(0x1234_5678);
  expect(memory.isRam(0xf0002 as Gfn)).toBe(false);
  off?.();
  expect(memory.isRam(0xf0000 as Gfn)).toBe(false);
});

it('shows nothing over RAM, off pages, or beyond the end', () => {
  const { memory, window, windows } = make();
  memory.map(0xf0001 as Gfn, 0x1000 as HostAddress);
  expect(windows.show(window, 0, 0xf000_0000, 0x2000)).toBeUndefined();
  expect(windows.show(window, 0, 0xf000_0800, 0x1000)).toBeUndefined();
  expect(windows.show(window, 0, (P2M_FRAMES - 1) * PAGE_SIZE, 0x2000)).toBeUndefined();
  expect(memory.isRam(0xf0000 as Gfn)).toBe(false);
});

it('leaves alone what the guest has mapped over it', () => {
  const { memory, window, windows } = make();
  const off = windows.show(window, 0, 0xf000_0000, 0x1000);
  memory.map(0xf0000 as Gfn, 0x1000 as HostAddress);
  off?.();
  expect(memory.isRam(0xf0000 as Gfn)).toBe(true);
});
