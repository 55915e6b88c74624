import { expect, it } from 'vitest';
import { instructionSet } from '../instruction-set.ts';
import { CODE_MODE } from '../state.ts';
import { meansOf } from './means.ts';
import { RegionReader } from './region.ts';

const { decoder, variants } = instructionSet();
const means = meansOf();

/** How a region does the instruction with these bytes. */
function meansFor(hex: string, mode: number): string {
  const page = new Uint8Array(4096).fill(0xf4);
  page.set(hex.match(/../g)?.map((byte) => Number.parseInt(byte, 16)) ?? []);
  const source = { page: (number: number) => (number === 0 ? page : undefined), known: () => true, targets: () => [] };
  const first = new RegionReader(source, decoder, variants, mode).read(0)?.blocks[0]?.instructions[0];
  if (first === undefined) throw new Error(`${hex} is no instruction`);
  return means(first);
}

it.each([
  ['SYSCALL', '0f05', CODE_MODE.code64, 'inline'],
  ['SYSRET', '480f07', CODE_MODE.code64, 'inline'],
  ['IRETQ', '48cf', CODE_MODE.code64, 'inline'],
  ['IRET of 16 bits', '66cf', CODE_MODE.code64, 'leave'],
  ['MOV from CR2', '0f20d0', CODE_MODE.code64, 'inline'],
  ['MOV to CR3', '0f22d8', CODE_MODE.code64, 'leave'],
  ['WRMSR', '0f30', CODE_MODE.code64, 'leave'],
  ['XSAVEOPT', '480fae36', CODE_MODE.code64, 'handler'],
  ['SYSENTER', '0f34', CODE_MODE.code32, 'inline'],
  ['SYSEXIT', '0f35', CODE_MODE.code32, 'inline'],
  ['IRETD', 'cf', CODE_MODE.code32, 'inline'],
  ['MOV to DS', '8ed8', CODE_MODE.code32, 'inline'],
  ['POP FS', '0fa1', CODE_MODE.code32, 'inline'],
  ['MOV to SS', '8ed0', CODE_MODE.code32, 'leave'],
  ['POP SS', '17', CODE_MODE.code32, 'leave'],
] as const)('%s', (_, hex, mode, expected) => {
  expect(meansFor(hex, mode)).toBe(expected);
});
