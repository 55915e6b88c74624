// Every MMX and SSE instruction, in register and memory form, on random states, against what an Intel CPU did:
// golden/simd.txt holds one hash of all resulting registers, flags, bytes and faults for each form. `RECORD_GOLDEN=1`
// records it anew on the CPU at hand; test/native says which register differs.
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { DATA_BASE } from '../../../test/native/address-map.ts';
import { ARITHMETIC_FLAGS, CpuImage, type CpuResult, FXSAVE } from '../../../test/native/cpu-image.ts';
import { EngineEmulator } from '../../../test/native/engine-emulator.ts';
import { NativeCpu } from '../../../test/native/oracle.ts';
import { Random } from '../../../test/native/random.ts';
import { StateGenerator } from '../../../test/native/state.ts';
import type { Row } from '../x86/row.ts';
import { MMX_ROWS } from '../x86/table/mmx.ts';
import { SSE_FLOAT_ROWS } from '../x86/table/sse-float.ts';
import { SSE_INTEGER_ROWS } from '../x86/table/sse-integer.ts';
import { SSE_MOVE_ROWS } from '../x86/table/sse-move.ts';
import { SSE_STRING_ROWS } from '../x86/table/sse-string.ts';

const GOLDEN = new URL('./golden/simd.txt', import.meta.url);
const ROWS = [...MMX_ROWS, ...SSE_MOVE_ROWS, ...SSE_INTEGER_ROWS, ...SSE_FLOAT_ROWS, ...SSE_STRING_ROWS];
const CASES_PER_FORM = 24;
const RSI = 6;
const RDI = 7;

interface Form {
  readonly name: string;
  readonly row: Row;
  readonly memory: boolean;
}

function formsOf(row: Row): Form[] {
  const sources = row.operands.map(({ source, size }) => `${source}${size}`);
  const name = [row.prefix, row.map, row.opcode.toString(16), row.extension ?? '', row.mnemonic, sources.join()].join(' ');
  const has = (letters: string) => sources.some((source) => letters.includes(source[0] as string));
  const register = !has('M');
  const memory = has('M') || (has('EWQ') && !has('RUN'));
  return [
    ...(register ? [{ name: `${name} register`, row, memory: false }] : []),
    ...(memory ? [{ name: `${name} memory`, row, memory: true }] : []),
  ];
}

function encode({ row, memory }: Form, random: Random): Uint8Array {
  const bytes: number[] = row.prefix === 'any' || row.prefix === 'none' ? [] : [Number.parseInt(row.prefix, 16)];
  if (random.oneIn(2)) bytes.push(0x40 | (random.below(16) & (memory ? 0xc : 0xf)));
  bytes.push(0x0f);
  if (row.map > 1) bytes.push(row.map === 2 ? 0x38 : 0x3a);
  bytes.push(row.opcode);
  const reg = row.extension ?? random.below(8);
  if (row.hasModrm) bytes.push((memory ? RSI : 0xc0 | random.below(8)) | (reg << 3));
  if (row.operands.some(({ source }) => source === 'I')) bytes.push(random.oneIn(2) ? random.below(256) : random.below(16));
  return Uint8Array.from(bytes);
}

/** FNV-1a. */
class Hash {
  value = 0x811c_9dc5;
  add(bytes: Uint8Array): void {
    for (const byte of bytes) this.value = Math.imul(this.value ^ byte, 0x0100_0193) >>> 0;
  }
  number(value: number | bigint): void {
    this.add(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer));
  }
}

function addResult(hash: Hash, result: CpuResult, offset: number): void {
  const { image } = result;
  hash.number(result.outcome === 'fault' ? (result.fault?.vector ?? 0) : 255);
  for (const value of image.gpr) hash.number(value);
  hash.number(image.rflags & ARITHMETIC_FLAGS);
  for (const value of [image.mxcsr, image.fsw, image.ftw]) hash.number(value);
  for (let i = 0; i < 8; i++) hash.add(image.fxsave.subarray(FXSAVE.st + 16 * i, FXSAVE.st + 16 * i + 10));
  hash.add(image.fxsave.subarray(FXSAVE.xmm, FXSAVE.end));
  hash.add(image.data.subarray(offset, offset + 32));
}

type Run = (code: Uint8Array, state: CpuImage) => CpuResult;

/** One line for each form: its name and the hash of what `run` makes of its cases. */
function record(run: Run): string[] {
  const random = new Random(20_240_601);
  const states = new StateGenerator(random, { unmaskOneIn: 8 });
  const state = new CpuImage();
  return ROWS.flatMap(formsOf).map((form) => {
    const hash = new Hash();
    for (let i = 0; i < CASES_PER_FORM; i++) {
      const code = encode(form, random);
      states.fill(state, 64);
      const offset = 64 + 16 * random.below(256) + (random.oneIn(4) ? random.below(16) : 0);
      state.gpr[RSI] = state.gpr[RDI] = BigInt(DATA_BASE + offset);
      addResult(hash, run(code, state), offset);
    }
    return `${form.name}: ${hash.value.toString(16).padStart(8, '0')}`;
  });
}

test('MMX and SSE do what an Intel CPU did', () => {
  if (process.env.RECORD_GOLDEN === '1') {
    const native = NativeCpu.open();
    if (!(native instanceof NativeCpu)) throw new Error(native.unavailable);
    const lines = record((code, state) => {
      let found: CpuResult | undefined;
      native.runBatch([{ code, state, end: 'jump' }], (_, result) => {
        found = { ...result, image: result.image.clone() };
      });
      return found as CpuResult;
    });
    native.close();
    writeFileSync(GOLDEN, `${lines.join('\n')}\n`);
  }
  const emulator = new EngineEmulator();
  const lines = record((code, state) => emulator.run(code, state));
  expect(lines).toEqual(readFileSync(GOLDEN, 'utf8').trimEnd().split('\n'));
}, 120_000);
