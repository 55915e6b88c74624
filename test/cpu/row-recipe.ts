// Random encodings of one row of the instruction table, with states in which they are likely to do something.
import { sizeOf } from '../../src/cpu/x86/decoder.ts';
import type { Row } from '../../src/cpu/x86/row.ts';
import { DATA_BASE, DATA_SIZE, STACK16_ESP_HIGH } from '../native/address-map.ts';
import type { CpuImage, CpuMode } from '../native/cpu-image.ts';
import type { CaseRecipe } from '../native/fuzz-cpu.ts';
import type { Random } from '../native/random.ts';

const MAP_BYTES: readonly (readonly number[])[] = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
/** 16-bit addressing: registers by ModRM.rm. */
const BASE16: readonly (readonly number[])[] = [[3, 6], [3, 7], [5, 6], [5, 7], [6], [7], [5], [3]];
const STRING = /^(movs|cmps|stos|lods|scas)b?$/;
const isString = (row: Row): boolean => STRING.test(row.mnemonic) && row.map === 0;

/** A case of `row` in `mode`, or undefined when the row does not exist there. */
export function recipeFor(row: Row, mode: CpuMode, random: Random): CaseRecipe | undefined {
  if (row.modes === (mode === 64 ? 'i64' : 'o64')) return undefined;
  const bytes: number[] = [];
  const pointers: number[] = [];
  const p66 = row.prefix === '66' || ((row.prefix === 'any' || row.prefix === 'f2' || row.prefix === 'f3') && random.oneIn(4));
  if (p66) bytes.push(0x66);
  const p67 = random.oneIn(16);
  if (p67) bytes.push(0x67);
  if (row.prefix === 'f3' || row.prefix === 'f2') bytes.push(row.prefix === 'f3' ? 0xf3 : 0xf2);
  else if (isString(row) && random.oneIn(2)) bytes.push(random.oneIn(3) ? 0xf2 : 0xf3);
  if (random.oneIn(32)) bytes.push(random.pick([0x26, 0x2e, 0x36, 0x3e]));
  const needsModrm = row.hasModrm;
  const memoryOnly = row.operands.some((o) => o.source === 'M');
  const registerOnly = row.operands.some((o) => o.source === 'R' || o.source === 'U' || o.source === 'N');
  const memory = needsModrm && row.modrm === undefined && !registerOnly && (memoryOnly || random.oneIn(2));
  if (row.lock && memory && random.oneIn(4)) bytes.push(0xf0);
  const rex = mode === 64 && random.oneIn(2) ? 0x40 | random.below(16) : 0;
  if (rex) bytes.push(rex);
  bytes.push(...(MAP_BYTES[row.map] as readonly number[]), row.opcode);
  const asize = mode === 64 ? (p67 ? 4 : 8) : (mode === 32) !== p67 ? 4 : 2;
  if (needsModrm) modrm(row, memory, asize, rex, mode, random, bytes, pointers);
  const osize = operandSize(row, mode, p66, rex);
  for (const spec of row.operands) {
    if (spec.source === 'I' || spec.source === 'J') {
      const size = sizeOf(spec, osize);
      if (spec.source === 'J') {
        // Short distances: what is reached is INT3, or the code again.
        bytes.push(random.below(64));
        for (let i = 1; i < size; i++) bytes.push(0);
      } else if (random.oneIn(2)) for (let i = 0; i < size; i++) bytes.push(random.u32() & 0xff);
      else {
        const small = random.below(70);
        for (let i = 0; i < size; i++) bytes.push(i === 0 ? small : 0);
      }
    } else if (spec.source === 'O') {
      const at = (mode === 16 ? 0 : DATA_BASE) + random.below(DATA_SIZE);
      for (let i = 0; i < asize; i++) bytes.push(i < 4 ? (at >>> (i * 8)) & 0xff : 0);
    }
  }
  if (isString(row)) pointers.push(6, 7);
  if (row.mnemonic === 'xlat') pointers.push(3);
  if (row.mnemonic === 'enter' || row.mnemonic === 'leave') pointers.push(5);
  return {
    name: `${row.mnemonic} ${MAP_BYTES[row.map]!.map((b) => b.toString(16)).join('')}${row.opcode.toString(16)}${row.extension === undefined ? '' : `/${row.extension}`}`,
    mode,
    code: Uint8Array.from(bytes),
    // A branch may land just behind the code.
    ...(row.operands.some((o) => o.source === 'J') && { end: 'trap' as const }),
    adjust: (state, r) => point(state, pointers, isString(row), mode, r),
  };
}

function operandSize(row: Row, mode: CpuMode, p66: boolean, rex: number): 2 | 4 | 8 {
  const prefix = row.prefix === '66' ? false : p66;
  if (mode !== 64) return (mode === 32) !== prefix ? 4 : 2;
  if (rex & 8 || row.width === 'f64') return 8;
  if (row.width === 'd64') return prefix ? 2 : 8;
  return prefix ? 2 : 4;
}

function modrm(row: Row, memory: boolean, asize: number, rex: number, mode: CpuMode, random: Random, bytes: number[], pointers: number[]): void {
  if (row.modrm !== undefined) {
    bytes.push(row.modrm);
    return;
  }
  const reg = row.extension ?? random.below(8);
  const rm = random.below(8);
  if (!memory) {
    bytes.push(0xc0 | (reg << 3) | rm);
    return;
  }
  const mod = random.below(3);
  const displacement = (size: number) => {
    const value = random.below(33) - 16;
    for (let i = 0; i < size; i++) bytes.push((value >> (i * 8)) & 0xff);
  };
  const absolute = (size: number) => {
    const at = (mode === 16 ? 0 : DATA_BASE) + random.below(DATA_SIZE);
    for (let i = 0; i < size; i++) bytes.push((at >>> (i * 8)) & 0xff);
  };
  bytes.push((mod << 6) | (reg << 3) | rm);
  if (asize === 2) {
    if (mod === 0 && rm === 6) return absolute(2);
    pointers.push(...(BASE16[rm] as readonly number[]));
    if (mod !== 0) displacement(mod);
    return;
  }
  if (rm === 4) {
    const index = random.below(8);
    const base = random.below(8);
    bytes.push((random.below(4) << 6) | (index << 3) | base);
    if (mod === 0 && base === 5) return absolute(4);
    pointers.push(base | (rex & 1 ? 8 : 0));
    const real = index | (rex & 2 ? 8 : 0);
    if (real !== 4) pointers.push(~real);
  } else if (rm === 5 && mod === 0) {
    if (mode === 64) {
      const at = DATA_BASE - 0x1000_0808 + random.below(DATA_SIZE);
      for (let i = 0; i < 4; i++) bytes.push((at >>> (i * 8)) & 0xff);
    } else absolute(4);
    return;
  } else pointers.push(rm | (rex & 1 ? 8 : 0));
  if (mod !== 0) displacement(mod === 1 ? 1 : 4);
}

/** Points base registers into the data window (mostly) and makes indices (~n) small. */
function point(state: CpuImage, pointers: readonly number[], string: boolean, mode: CpuMode, random: Random): void {
  const base = mode === 16 ? 0 : DATA_BASE;
  const set = (n: number, low: number) => {
    state.gpr32[n * 2] = mode === 16 && n === 4 ? low | STACK16_ESP_HIGH : low;
    state.gpr32[n * 2 + 1] = 0;
  };
  for (const n of pointers) {
    if (n < 0) set(~n, random.below(16));
    else if (!random.oneIn(16)) set(n, base + (random.oneIn(4) ? random.below(DATA_SIZE) : (64 + random.below(DATA_SIZE - 128)) & ~7));
  }
  if (string && !random.oneIn(8)) set(1, random.oneIn(8) ? random.below(5000) : random.below(40));
}
