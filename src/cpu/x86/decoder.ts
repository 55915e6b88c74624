// From bytes to a row and its operands. One decoder for both tiers, the disassembler and the tests.
// SDM vol. 2, chapter 2 (prefixes, ModRM, SIB, displacement, immediate) and appendix A.
import { CODE_MODE, SEGMENT } from '../state.ts';
import type { OperandSpec, Row } from './row.ts';

export const DECODE = {
  ok: 0,
  /** No such instruction in this mode: #UD. */
  invalid: 1,
  /** The bytes end inside the instruction. */
  truncated: 2,
  /** More than 15 bytes: #GP(0). */
  tooLong: 3,
} as const;
export type DecodeStatus = (typeof DECODE)[keyof typeof DECODE];

/** Base "register" of RIP-relative addressing. */
export const BASE_RIP = 16;
export const NO_REGISTER = -1;

/** A decoded instruction; one object is filled again and again. */
export class Instruction {
  row: Row | undefined;
  length = 0;
  /** Effective operand and address size in bytes. */
  osize: 2 | 4 | 8 = 4;
  asize: 2 | 4 | 8 = 4;
  lock = false;
  /** 0 none, 1 F3, 2 F2 (the last one present). */
  rep = 0;
  /** Any REX prefix: byte registers 4..7 are SPL, BPL, SIL, DIL. */
  rex = 0;
  /** ModRM names memory. */
  memory = false;
  /** ModRM.reg and ModRM.rm with their REX bits. */
  reg = 0;
  rm = 0;
  modrm = 0;
  /** Memory operand: register numbers (NO_REGISTER, BASE_RIP), shift, displacement, segment. */
  base = NO_REGISTER;
  index = NO_REGISTER;
  scale = 0;
  displacement = 0;
  /** High half of the displacement: 0 or −1, or the rest of a 64-bit absolute offset. */
  displacementHigh = 0;
  segment: number = SEGMENT.ds;
  segmentOverride = false;
  /** First immediate (or relative target), low and high 32 bits, sign-extended; and the second one. */
  immediate = 0;
  immediateHigh = 0;
  immediate2 = 0;
  /** Low 3 bits of the opcode with REX.B. */
  opcodeRegister = 0;
  /** VEX.vvvv; the register in the last immediate byte; the index register of a vector of addresses. */
  vvvv = 0;
  register4 = 0;
  vectorIndex = 0;
}

const SEGMENT_PREFIX: Readonly<Record<number, number>> = {
  0x26: SEGMENT.es,
  0x2e: SEGMENT.cs,
  0x36: SEGMENT.ss,
  0x3e: SEGMENT.ds,
  0x64: SEGMENT.fs,
  0x65: SEGMENT.gs,
};
/** 16-bit addressing: base and index by rm. SDM vol. 2, table 2-1. */
const BASE16 = [3, 3, 5, 5, 6, 7, 5, 3] as const;
const INDEX16 = [6, 7, 6, 7, NO_REGISTER, NO_REGISTER, NO_REGISTER, NO_REGISTER] as const;

/** Opcode maps without VEX prefix. */
const VEX_MAPS = 4;

export class Decoder {
  /** Maps of opcodes without VEX prefix, then the same four with one. */
  readonly #maps: readonly (readonly Row[])[][];
  readonly #needsModrm: readonly Uint8Array[];

  constructor(rows: readonly Row[]) {
    const maps: Row[][][] = Array.from({ length: 2 * VEX_MAPS }, () => Array.from({ length: 256 }, () => []));
    for (const row of rows) maps[row.map + (row.vex === undefined ? 0 : VEX_MAPS)]?.[row.opcode]?.push(row);
    this.#maps = maps;
    this.#needsModrm = maps.map((map) => Uint8Array.from(map, (list) => (list.some((row) => row.hasModrm) ? 1 : 0)));
  }

  /** Decodes the instruction at `bytes[at..end)`; `mode` is one of CODE_MODE. */
  decode(bytes: Uint8Array, at: number, end: number, mode: number, out: Instruction): DecodeStatus {
    const long = mode === CODE_MODE.code64;
    const limit = Math.min(end, at + 15);
    const short = (): DecodeStatus => (limit === at + 15 ? DECODE.tooLong : DECODE.truncated);
    let p = at;
    let p66 = false;
    let p67 = false;
    let segment = -1;
    out.lock = false;
    out.rep = 0;
    out.rex = 0;
    out.row = undefined;
    let byte = 0;
    for (;;) {
      if (p >= limit) return short();
      byte = bytes[p++] as number;
      if (byte === 0x66) p66 = true;
      else if (byte === 0x67) p67 = true;
      else if (byte === 0xf0) out.lock = true;
      else if (byte === 0xf3) out.rep = 1;
      else if (byte === 0xf2) out.rep = 2;
      else if (byte === 0x64 || byte === 0x65) segment = byte - 0x60;
      else if (byte === 0x26 || byte === 0x2e || byte === 0x36 || byte === 0x3e) {
        // In 64-bit mode these four are ignored, and do not cancel an earlier FS or GS.
        if (!long) segment = SEGMENT_PREFIX[byte] as number;
      } else if (long && (byte & 0xf0) === 0x40) {
        out.rex = byte;
        continue; // only a REX right before the opcode counts
      } else break;
      out.rex = 0;
    }
    let map = 0;
    let vex = -1;
    // Outside 64-bit mode these are LES and LDS unless their ModRM would name a register: SDM vol. 2, 2.3.5.
    if ((byte === 0xc4 || byte === 0xc5) && (long || (p < limit && (bytes[p] as number) >= 0xc0))) {
      if (p + (byte & 1 ? 1 : 2) >= limit) return short();
      if (out.rex !== 0 || p66 || out.rep !== 0 || out.lock) return DECODE.invalid;
      const first = bytes[p++] as number;
      const last = byte === 0xc5 ? first & 0x7f : (bytes[p++] as number);
      map = VEX_MAPS + (byte === 0xc5 ? 1 : first & 31);
      if (map >= 2 * VEX_MAPS) return DECODE.invalid;
      vex = last & 0x87;
      out.vvvv = (~last >> 3) & 15;
      const extensions = byte === 0xc5 ? (~first >> 5) & 4 : (~first >> 5) & 7;
      if (long) out.rex = 0x40 | extensions | ((last & 0x80) >> 4);
      byte = bytes[p++] as number;
    } else if (byte === 0x0f) {
      if (p >= limit) return short();
      byte = bytes[p++] as number;
      map = 1;
      if (byte === 0x38 || byte === 0x3a) {
        map = byte === 0x38 ? 2 : 3;
        if (p >= limit) return short();
        byte = bytes[p++] as number;
      }
    }
    const opcode = byte;
    const candidates = this.#maps[map]?.[opcode] as readonly Row[];
    if (candidates.length === 0) return DECODE.invalid;
    const rex = out.rex;
    let modrm = 0;
    if ((this.#needsModrm[map] as Uint8Array)[opcode]) {
      if (p >= limit) return short();
      modrm = bytes[p] as number; // consumed below, if the row has one
    }
    const row =
      vex < 0
        ? choose(candidates, modrm, out.rep === 1 ? 'f3' : out.rep === 2 ? 'f2' : p66 ? '66' : 'none', p66, long)
        : chooseVex(candidates, modrm, vex, out.vvvv, long);
    if (row === undefined) return DECODE.invalid;
    out.row = row;
    if (vex >= 0 && !long) out.vvvv &= 7;
    out.opcodeRegister = (opcode & 7) | (rex & 1 ? 8 : 0);
    out.asize = long ? (p67 ? 4 : 8) : (mode === CODE_MODE.code32) !== p67 ? 4 : 2;
    const operandSize = row.prefix === '66' ? false : p66;
    if (!long) out.osize = vex >= 0 || (mode === CODE_MODE.code32) !== operandSize ? 4 : 2;
    else if (rex & 8 || row.width === 'f64') out.osize = 8;
    else if (row.width === 'd64') out.osize = operandSize ? 2 : 8;
    else out.osize = operandSize ? 2 : 4;
    out.memory = false;
    out.modrm = modrm;
    out.segment = segment >= 0 ? segment : SEGMENT.ds;
    out.segmentOverride = segment >= 0;
    out.base = NO_REGISTER;
    out.index = NO_REGISTER;
    out.scale = 0;
    out.displacement = 0;
    out.displacementHigh = 0;
    if (row.hasModrm) {
      p++;
      const mod = modrm >> 6;
      out.reg = ((modrm >> 3) & 7) | (rex & 4 ? 8 : 0);
      out.rm = (modrm & 7) | (rex & 1 ? 8 : 0);
      // MOV to and from control and debug registers ignores mod: SDM vol. 2, MOV CRn.
      if (mod !== 3 && !row.operands.some((o) => o.source === 'C' || o.source === 'D')) {
        out.memory = true;
        const rm = modrm & 7;
        let size = mod === 1 ? 1 : mod === 2 ? (out.asize === 2 ? 2 : 4) : 0;
        if (out.asize === 2) {
          if (mod === 0 && rm === 6) size = 2;
          else {
            out.base = BASE16[rm] as number;
            out.index = INDEX16[rm] as number;
          }
        } else if (rm === 4) {
          if (p >= limit) return short();
          const sib = bytes[p++] as number;
          const index = ((sib >> 3) & 7) | (rex & 2 ? 8 : 0);
          if (vex >= 0 && row.operands.some((o) => o.source === 'K')) {
            out.vectorIndex = index;
            out.scale = sib >> 6;
          } else if (index !== 4) {
            out.index = index;
            out.scale = sib >> 6;
          }
          if ((sib & 7) === 5 && mod === 0) size = 4;
          else out.base = (sib & 7) | (rex & 1 ? 8 : 0);
        } else if (rm === 5 && mod === 0) {
          size = 4;
          if (long) out.base = BASE_RIP;
        } else out.base = out.rm;
        if (segment < 0 && (out.base === 4 || out.base === 5)) out.segment = SEGMENT.ss;
        if (p + size > limit) return short();
        if (size === 1) out.displacement = ((bytes[p] as number) << 24) >> 24;
        else if (size === 2) out.displacement = (((bytes[p] as number) | ((bytes[p + 1] as number) << 8)) << 16) >> 16;
        else if (size === 4) out.displacement = read32(bytes, p);
        out.displacementHigh = out.displacement < 0 ? -1 : 0;
        p += size;
      }
    }
    let immediates = 0;
    out.immediate = 0;
    out.immediateHigh = 0;
    out.immediate2 = 0;
    for (const spec of row.operands) {
      const { source } = spec;
      if (source === 'I' || source === 'J') {
        const size = sizeOf(spec, out.osize);
        if (p + size > limit) return short();
        let value = 0;
        if (size === 1) value = ((bytes[p] as number) << 24) >> 24;
        else if (size === 2) value = (((bytes[p] as number) | ((bytes[p + 1] as number) << 8)) << 16) >> 16;
        else value = read32(bytes, p);
        if (immediates++ === 0) {
          out.immediate = value;
          out.immediateHigh = size === 8 ? read32(bytes, p + 4) : value < 0 ? -1 : 0;
        } else out.immediate2 = value;
        p += size;
      } else if (source === 'L') {
        if (p >= limit) return short();
        out.register4 = ((bytes[p++] as number) >> 4) & (long ? 15 : 7);
      } else if (source === 'O') {
        if (p + out.asize > limit) return short();
        out.memory = true;
        if (out.asize === 2) out.displacement = (bytes[p] as number) | ((bytes[p + 1] as number) << 8);
        else out.displacement = read32(bytes, p);
        out.displacementHigh = out.asize === 8 ? read32(bytes, p + 4) : 0;
        p += out.asize;
      } else if (out.memory ? source === 'R' || source === 'U' || source === 'N' : source === 'M') {
        return DECODE.invalid;
      }
    }
    if (vex >= 0 && row.operands.some((o) => o.source === 'K')) {
      // Three different registers, and a SIB byte. SDM vol. 2, 2.3.12.
      const { reg, vvvv, vectorIndex } = out;
      if (out.asize === 2 || reg === vvvv || reg === vectorIndex || vvvv === vectorIndex) return DECODE.invalid;
    }
    // Last, as an instruction that is too long raises its own exception.
    if (out.lock && !(row.lock && out.memory)) return DECODE.invalid;
    out.length = p - at;
    return DECODE.ok;
  }
}

/** Bytes of an operand at an effective operand size. */
export function sizeOf(spec: OperandSpec, osize: 2 | 4 | 8): number {
  switch (spec.size) {
    case 'v':
      return osize;
    case 'z':
      return osize === 8 ? 4 : osize;
    case 'y':
      return osize === 8 ? 8 : 4;
    default:
      return spec.size;
  }
}

function choose(rows: readonly Row[], modrm: number, prefix: string, p66: boolean, long: boolean): Row | undefined {
  let ordinary: Row | undefined;
  let exact: Row | undefined;
  for (const row of rows) {
    if (row.extension !== undefined && row.extension !== ((modrm >> 3) & 7)) continue;
    if (row.modrm !== undefined && row.modrm !== modrm) continue;
    if (row.modes === (long ? 'i64' : 'o64')) continue;
    if (row.modrm === undefined && row.hasModrm && !fits(row, modrm)) continue;
    if (row.prefix === 'any') ordinary = row.noRepeat && (prefix === 'f3' || prefix === 'f2') ? ordinary : better(ordinary, row);
    else if (row.prefix === prefix) exact = better(exact, row);
    else if (row.prefix === '66' && p66 && prefix === '66') exact = better(exact, row);
  }
  return exact ?? ordinary;
}

const VEX_PREFIXES = ['none', '66', 'f3', 'f2'] as const;

/** `vex`: W, L and pp where the last byte of a prefix has them. A register that is not used must be 1111. SDM vol. 2, 2.3.5. */
function chooseVex(rows: readonly Row[], modrm: number, vex: number, vvvv: number, long: boolean): Row | undefined {
  for (const row of rows) {
    const form = row.vex;
    if (form === undefined || row.prefix !== VEX_PREFIXES[vex & 3]) continue;
    if (form.l !== undefined && form.l !== ((vex >> 2) & 1)) continue;
    if (form.w !== undefined && form.w !== vex >> 7) continue;
    if (row.extension !== undefined && row.extension !== ((modrm >> 3) & 7)) continue;
    if (row.modes === (long ? 'i64' : 'o64')) continue;
    if (row.hasModrm && !fits(row, modrm)) continue;
    if (vvvv !== 0 && !row.operands.some(({ source }) => source === 'B' || source === 'H')) continue;
    // A vector of addresses needs a SIB byte.
    if ((modrm & 7) !== 4 && row.operands.some(({ source }) => source === 'K')) continue;
    return row;
  }
  return undefined;
}

/** Among rows that all match, the one that names more of the ModRM byte. */
const better = (old: Row | undefined, row: Row): Row => (old === undefined || row.modrm !== undefined ? row : old);

function fits(row: Row, modrm: number): boolean {
  const memory = modrm < 0xc0;
  for (const { source } of row.operands) {
    if (source === 'C' || source === 'D') return true;
    if (source === 'M' && !memory) return false;
  }
  for (const { source } of row.operands) {
    if ((source === 'R' || source === 'U' || source === 'N') && memory) return false;
  }
  return true;
}

const read32 = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) |
  ((bytes[at + 1] as number) << 8) |
  ((bytes[at + 2] as number) << 16) |
  ((bytes[at + 3] as number) << 24);
