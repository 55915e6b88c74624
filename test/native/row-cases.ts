// Random cases for the rows of the instruction table: every encoding a row allows in every mode it exists in, with a state
// in which the instruction is likely to do something.
import { sizeOf } from '../../src/cpu/x86/decoder.ts';
import type { OperandSpec, Row, VexForm } from '../../src/cpu/x86/row.ts';
import {
  CODE_BASE,
  CODE_ENTRY,
  CONTROL_BASE,
  CONTROL_SIZE,
  DATA_BASE,
  DATA_SIZE,
  SELECTOR,
  STACK16_ESP_HIGH,
} from './address-map.ts';
import { type CpuImage, type CpuMode, FXSAVE, IMAGE } from './cpu-image.ts';
import type { CaseRecipe } from './fuzz-cpu.ts';
import type { Random } from './random.ts';
import { undefinedAfter } from './undefined-state.ts';

/** Rows the host cannot be asked about, by mnemonic, with the reason. */
export const NOT_COMPARABLE: ReadonlyMap<string, string> = new Map([
  ...['cpuid', 'xgetbv', 'rdpmc'].map((name) => [name, 'answers for the host'] as const),
  ...['rdtsc', 'rdtscp', 'rdrand'].map((name) => [name, 'answers anew each time'] as const),
  ...['sgdt', 'sidt', 'sldt', 'str', 'smsw'].map((name) => [name, 'emulated by the kernel below, with UMIP'] as const),
  ...['syscall', 'sysenter'].map((name) => [name, 'enters the kernel below'] as const),
  ['vmcall', 'enters the hypervisor below'],
  ['serialize', 'is not there on most hosts'],
  ...['xsave', 'xsaveopt', 'xrstor'].map((name) => [name, "has the host's state components"] as const),
]);

const MAP_BYTES: readonly (readonly number[])[] = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
const SEGMENT_PREFIXES = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
/** Base and index registers of 16-bit addressing by ModRM.rm. */
const BASE16: readonly (readonly number[])[] = [[3, 6], [3, 7], [5, 6], [5, 7], [6], [7], [5], [3]];
const STRING = /^(movs|cmps|stos|lods|scas|ins|outs)b?$/;
/** With F3 these are instructions that later CPUs have and the engine has not, or has in another row: TZCNT, LZCNT, RDPID, WBNOINVD, CLDEMOTE, RDSSP, UIRET…. */
const OTHER_WITH_REP = new Set([0x01, 0x09, 0x1c, 0x1e, 0xae, 0xb8, 0xbc, 0xbd, 0xc7]);
const VEX_PREFIXES: readonly string[] = ['none', '66', 'f3', 'f2'];
const RSP = 4;

/** Selectors for instructions that load or inspect one: all that exist, null ones, and some that do not. */
const SELECTORS = [
  ...Object.values(SELECTOR),
  0,
  1,
  2,
  3,
  0x08,
  0x10,
  0x18,
  0x40,
  0x50,
  0x1b,
  0x43,
  0x2a,
  0x28,
  0x30,
  0x37,
  0x3c,
  0x83,
  0x1003,
  0xfff7,
];
const CODE_SELECTORS = [SELECTOR.code64, SELECTOR.code32, SELECTOR.code16];

const hex2 = (value: number): string => value.toString(16).padStart(2, '0');

/** `add 01`, `group 80 /4`: as the opcode maps have it. */
export function rowName(row: Row): string {
  const vex = row.vex === undefined ? '' : `vex.${row.vex.l === undefined ? 'lig' : row.vex.l ? '256' : '128'}.`;
  const prefix = row.prefix === 'any' || row.prefix === 'none' ? '' : `${row.prefix} `;
  const escapeBytes = MAP_BYTES[row.map]?.map((byte) => `${hex2(byte)} `).join('') ?? '';
  const extension = row.extension === undefined ? '' : ` /${row.extension}`;
  const modrm = row.modrm === undefined ? '' : ` ${hex2(row.modrm)}`;
  return `${row.mnemonic} (${vex}${prefix}${escapeBytes}${hex2(row.opcode)}${extension}${modrm})`;
}

export const existsIn = (row: Row, mode: CpuMode): boolean => row.modes !== (mode === 64 ? 'i64' : 'o64');

/** What a register must hold for the case to make sense. */
type Role = 'pointer' | 'index';

/** One case under construction. */
class CaseBuilder {
  readonly row: Row;
  readonly mode: CpuMode;
  readonly random: Random;
  readonly bytes: number[] = [];
  readonly roles = new Map<number, Role>();
  osize: 2 | 4 | 8 = 4;
  asize: 2 | 4 | 8 = 8;
  rex = 0;
  repeated = false;
  /**
   * The access is locked. Then all parts of the address are multiples of 16: a locked access across two cache lines ("split
   * lock") makes Linux put the process to sleep, and in some virtual machines for ever.
   */
  locked = false;
  /** Where a RIP-relative displacement stands, to be patched when the length is known; −1: nowhere. */
  #relativeAt = -1;
  /** Where a branch distance stands, and its size. */
  #branchAt = -1;
  #branchSize = 0;
  memory = false;
  rm = 0;
  /** The register of a vector of addresses; −1: none. */
  vectorIndex = -1;

  readonly strict: boolean;

  constructor(row: Row, mode: CpuMode, random: Random, strict: boolean) {
    this.strict = strict;
    this.row = row;
    this.mode = mode;
    this.random = random;
  }

  build(): CaseRecipe {
    const { row, bytes, mode } = this;
    this.#chooseForm();
    if (row.vex === undefined) {
      this.#prefixes();
      bytes.push(...(MAP_BYTES[row.map] ?? []), row.opcode);
    } else this.#vexPrefix(row.vex);
    if (row.hasModrm) this.#modrm();
    for (const spec of row.operands) this.#immediate(spec);
    // A #DB behind the end of the code would be taken for the end.
    if (row.mnemonic === 'int1') bytes.push(0x90);
    this.#patchRelative();
    this.#patchBranch();
    const code = Uint8Array.from(bytes);
    const needsTrap = row.semantics.endsBlock || row.operands.some(({ source }) => source === 'J') || bytes.includes(0x2e);
    return {
      name: `${rowName(row)} in ${mode}-bit mode`,
      mode,
      code,
      ...(needsTrap && { end: 'trap' as const }),
      adjust: (state) => prepareState(this, code, state),
      undefinedFor: (before) => undefinedAfter({ row, code, width: this.#width, count: this.#count(before) }, this.strict),
      subject: {
        row,
        mode,
        code,
        osize: this.osize,
        asize: this.asize,
        rex: this.rex,
        memory: this.memory,
        rm: this.rm,
        count: (before) => this.#count(before),
      },
    };
  }

  get #isGather(): boolean {
    return this.row.operands.some(({ source }) => source === 'K');
  }
  /** Width of the first operand in bits. */
  get #width(): number {
    const [first] = this.row.operands;
    return first === undefined ? 0 : sizeOf(first, this.osize) * 8;
  }
  /** The count of a shift: 1, the last byte of the instruction, or CL. */
  #count(before: CpuImage): number {
    const last = this.row.operands.at(-1);
    if (last?.source === 'I') return this.bytes.at(-1) as number;
    return last?.source === 'one' ? 1 : (before.gpr32[2] as number) & 0xff;
  }

  #chooseForm(): void {
    const { row, random } = this;
    if (!row.hasModrm) return;
    if (row.modrm !== undefined) {
      this.memory = row.modrm < 0xc0;
      return;
    }
    const memoryOnly = row.operands.some(({ source }) => source === 'M');
    const registerOnly = row.operands.some(({ source }) => 'RUNCD'.includes(source) && source.length === 1);
    this.memory = registerOnly ? false : memoryOnly || random.oneIn(2);
  }

  #prefixes(): void {
    const { row, random, bytes, mode } = this;
    const ordinary = row.prefix === 'any';
    const p66 = row.prefix === '66' || ((ordinary || row.prefix === 'f2' || row.prefix === 'f3') && random.oneIn(4));
    const p67 = random.oneIn(8);
    if (p66) bytes.push(0x66);
    if (p67) bytes.push(0x67);
    const mayRepeat = ordinary && !(row.map === 1 && OTHER_WITH_REP.has(row.opcode)) && row.map < 2;
    if (row.prefix === 'f3') bytes.push(0xf3);
    else if (row.prefix === 'f2') bytes.push(0xf2);
    else if (mayRepeat && (isString(row) ? random.oneIn(2) : random.oneIn(24))) {
      bytes.push(random.oneIn(2) ? 0xf2 : 0xf3);
      this.repeated = true;
    }
    if (random.oneIn(12)) bytes.push(random.pick(SEGMENT_PREFIXES));
    if (row.lock && this.memory ? random.oneIn(4) : random.oneIn(100)) bytes.push(0xf0);
    this.locked = this.memory && row.lock && (row.mnemonic === 'xchg' || bytes.includes(0xf0));
    // The order of prefixes says nothing, and one too many makes #GP.
    if (bytes.length > 1 && random.oneIn(2)) bytes.reverse();
    if (random.oneIn(200)) for (let i = random.below(10); i >= 0; i--) bytes.unshift(0x3e);
    if (mode === 64) {
      // Not right before the opcode: ignored.
      if (bytes.length > 0 && random.oneIn(50)) bytes.unshift(0x40 | random.below(16));
      if (random.oneIn(2)) {
        this.rex = 0x40 | random.below(16);
        bytes.push(this.rex);
      }
    }
    this.asize = mode === 64 ? (p67 ? 4 : 8) : (mode === 32) !== p67 ? 4 : 2;
    const shrinks = row.prefix === '66' ? false : p66;
    if (mode !== 64) this.osize = (mode === 32) !== shrinks ? 4 : 2;
    else if (this.rex & 8 || row.width === 'f64') this.osize = 8;
    else if (row.width === 'd64') this.osize = shrinks ? 2 : 8;
    else this.osize = shrinks ? 2 : 4;
  }

  #vexPrefix(form: VexForm): void {
    const { row, random, bytes, mode } = this;
    // A vector of addresses needs more than 16 bits.
    const p67 =
      mode === 16 && this.#isGather ? !random.oneIn(16) : mode === 32 && this.#isGather ? random.oneIn(16) : random.oneIn(8);
    if (p67) bytes.push(0x67);
    if (random.oneIn(12)) bytes.push(random.pick(SEGMENT_PREFIXES));
    if (random.oneIn(200)) bytes.unshift(random.pick([0x66, 0xf2, 0xf3, 0xf0]));
    this.asize = mode === 64 ? (p67 ? 4 : 8) : (mode === 32) !== p67 ? 4 : 2;
    const w = form.w ?? (random.oneIn(2) ? 1 : 0);
    const l = form.l ?? (random.oneIn(2) ? 1 : 0);
    const extensions = mode === 64 ? random.below(8) : 0;
    this.rex = mode === 64 ? 0x40 | extensions | (w << 3) : 0;
    this.osize = mode === 64 && w === 1 ? 8 : 4;
    const named = row.operands.some(({ source }) => source === 'B' || source === 'H');
    const vvvv = named ? random.below(mode === 64 ? 16 : 8) : 0;
    const last = ((~vvvv & 15) << 3) | (l << 2) | VEX_PREFIXES.indexOf(row.prefix);
    if (row.map === 1 && w === 0 && (extensions & 3) === 0 && random.oneIn(2))
      bytes.push(0xc5, (extensions & 4 ? 0 : 0x80) | last);
    else bytes.push(0xc4, ((~extensions & 7) << 5) | row.map, (w << 7) | last);
    bytes.push(row.opcode);
  }

  #modrm(): void {
    const { row, random, bytes, rex, asize } = this;
    if (row.modrm !== undefined) {
      bytes.push(row.modrm);
      return;
    }
    const reg = row.extension ?? random.below(8);
    const rm = this.#isGather ? 4 : random.below(8);
    this.rm = rm | (rex & 1 ? 8 : 0);
    if (!this.memory) {
      bytes.push(
        (row.operands.some(({ source }) => source === 'C' || source === 'D') ? random.below(4) << 6 : 0xc0) | (reg << 3) | rm,
      );
      return;
    }
    const mod = random.below(3);
    bytes.push((mod << 6) | (reg << 3) | rm);
    const displacement = (size: number) =>
      this.#put(this.locked || random.oneIn(2) ? (random.below(9) - 4) * 16 : random.below(65) - 32, size);
    if (asize === 2) {
      if (mod === 0 && rm === 6) return this.#put(this.#windowAddress(), 2);
      for (const [i, register] of (BASE16[rm] ?? []).entries()) this.roles.set(register, i === 0 ? 'pointer' : 'index');
      if (mod !== 0) displacement(mod);
      return;
    }
    if (rm === 4) {
      const index = random.below(8);
      const base = random.below(8);
      bytes.push((random.below(4) << 6) | (index << 3) | base);
      const indexed = index | (rex & 2 ? 8 : 0);
      if (this.#isGather) this.vectorIndex = indexed;
      else if (indexed !== RSP) this.roles.set(indexed, 'index');
      if (base === 5 && mod === 0) return this.#put(this.#windowAddress(), 4);
      this.roles.set(base | (rex & 1 ? 8 : 0), 'pointer');
    } else if (rm === 5 && mod === 0) {
      if (this.mode !== 64) return this.#put(this.#windowAddress(), 4);
      this.#relativeAt = bytes.length;
      this.#put(0, 4);
      return;
    } else this.roles.set(this.rm, 'pointer');
    if (mod !== 0) displacement(mod === 1 ? 1 : 4);
  }

  #immediate(spec: OperandSpec): void {
    const { random, bytes } = this;
    const { source } = spec;
    if (source === 'O') {
      const at = this.#windowAddress();
      const wild = random.oneIn(16);
      for (let i = 0; i < this.asize; i++) bytes.push(i < 4 ? (at >>> (i * 8)) & 0xff : wild ? random.below(256) : 0);
      return;
    }
    if (source !== 'I' && source !== 'J' && source !== 'L') return;
    const size = source === 'L' ? 1 : sizeOf(spec, this.osize);
    if (source === 'J') {
      this.#branchAt = bytes.length;
      this.#branchSize = size;
      this.#put(0, size);
    } else if (this.row.opcode === 0xea || this.row.opcode === 0x9a) {
      // Direct far transfers: an offset in the code page, then a selector.
      this.#put(spec.size === 2 ? 0 : this.#codeAddress(), size);
    } else if (random.oneIn(2)) for (let i = 0; i < size; i++) bytes.push(random.below(256));
    else this.#put(random.below(random.oneIn(2) ? 9 : 70), size);
  }

  #put(value: number, size: number): void {
    for (let i = 0; i < size; i++) this.bytes.push((value >> (i * 8)) & 0xff);
  }

  /** An offset that stands for the data window with the segments `prepareState` most often chooses. */
  #windowAddress(): number {
    const offset = !this.locked && this.random.oneIn(8) ? this.random.below(DATA_SIZE) : this.random.below(DATA_SIZE / 16) * 16;
    return (this.mode === 16 || this.asize === 2 ? 0 : DATA_BASE) + offset;
  }

  #codeAddress(): number {
    return (this.mode === 16 ? 0 : CODE_BASE) + this.random.below(0x1000);
  }

  #patchRelative(): void {
    if (this.#relativeAt < 0) return;
    const distance = this.#windowAddress() - (CODE_ENTRY + this.bytes.length);
    for (let i = 0; i < 4; i++) this.bytes[this.#relativeAt + i] = (distance >> (i * 8)) & 0xff;
  }

  /** A distance that leads outside of the code: into the filling of the page, now and then out of it. */
  #patchBranch(): void {
    if (this.#branchAt < 0) return;
    const { random, bytes } = this;
    const size = this.#branchSize;
    const reach = size === 1 ? 0x80 : random.oneIn(16) ? 0x8000 : 0x700;
    let distance = random.below(2 * reach) - reach;
    if (distance < 0 && distance >= -bytes.length) distance += bytes.length + reach / 4;
    for (let i = 0; i < size; i++) bytes[this.#branchAt + i] = (distance >> (i * 8)) & 0xff;
  }
}

const isString = (row: Row): boolean => row.map === 0 && STRING.test(row.mnemonic);

/**
 * A random case of `row` in `mode`, in which it must exist. `strict`: flags that the manual leaves undefined are compared too.
 */
export function caseOf(row: Row, mode: CpuMode, random: Random, strict: boolean): CaseRecipe {
  return new CaseBuilder(row, mode, random, strict).build();
}

function setLow(state: CpuImage, register: number, low: number): void {
  state.gpr32[register * 2] = low;
  state.gpr32[register * 2 + 1] = 0;
}

/** Makes the random state one in which the case mostly reaches memory that is there. */
function prepareState(what: CaseBuilder, code: Uint8Array, state: CpuImage): void {
  const { random, mode, row } = what;
  if (mode !== 16) chooseSegments(state, mode, random, what);
  const window = (segment: number): number => (mode === 16 || isWindowBased(state.selectors[segment] as number) ? 0 : DATA_BASE);
  const within = (margin: number): number =>
    random.oneIn(16)
      ? random.pick([0, DATA_SIZE]) + (what.locked ? random.below(3) * 16 : random.below(33)) - 16
      : margin + random.below((DATA_SIZE - 2 * margin) / 16) * 16 + (!what.locked && random.oneIn(4) ? random.below(16) : 0);
  for (const [register, role] of what.roles) {
    const upper = state.gpr32[register * 2 + 1] as number;
    if (role === 'index') setLow(state, register, random.below(16) * (!what.locked && random.oneIn(2) ? 1 : 16));
    else if (what.locked || !random.oneIn(24))
      setLow(state, register, window(register === 4 || register === 5 ? 2 : 3) + within(256));
    // A 32-bit address takes no notice of the upper half.
    if (what.asize === 4 && mode === 64 && random.oneIn(2)) state.gpr32[register * 2 + 1] = upper;
  }
  if (what.vectorIndex >= 0 && !random.oneIn(8)) {
    const small = () => (random.below(65) - 32) * (random.oneIn(8) ? 100 : 1);
    const wide = row.opcode & 1;
    for (let n = 0; n < 8; n++) {
      const at = (n < 4 ? IMAGE.fxsave + FXSAVE.xmm : IMAGE.ymmHigh) + what.vectorIndex * 16 + (n & 3) * 4;
      if (wide && n & 1) state.view.setInt32(at, state.view.getInt32(at - 4, true) >> 31, true);
      else state.view.setInt32(at, small(), true);
    }
  }
  if (isString(row)) {
    if (!random.oneIn(8)) setLow(state, 6, window(3) + within(512));
    if (!random.oneIn(8)) setLow(state, 7, window(0) + within(512));
    if (what.repeated && !random.oneIn(16)) setLow(state, 1, random.oneIn(8) ? random.below(2000) : random.below(24));
  }
  // Frames across either end of the window.
  if (
    /^(push|pop)a$|^(iret|retf|enter|leave)$/.test(row.mnemonic) &&
    mode !== 16 &&
    (state.selectors[2] as number) === SELECTOR.data &&
    random.oneIn(8)
  ) {
    setLow(state, RSP, DATA_BASE + random.pick([0, DATA_SIZE]) + random.below(96) - 48);
  }
  if (row.mnemonic === 'xlat') setLow(state, 3, window(3) + within(300));
  if (/^mask/.test(row.mnemonic)) setLow(state, 7, window(3) + within(32));
  if (row.mnemonic === 'leave' || row.mnemonic === 'enter') setLow(state, 5, window(2) + within(512));
  if (/^loop|^j.*cxz/.test(row.mnemonic) && random.oneIn(2)) setLow(state, 1, random.below(3));
  keepStack16(state, mode);
  prepareTransfer(what, code, state);
  keepStack16(state, mode);
}

function isWindowBased(selector: number): boolean {
  return (selector & 4) !== 0 && selector !== SELECTOR.code16;
}

/** Segments other than flat ones, now and then; FS and GS mostly something usable. */
function chooseSegments(state: CpuImage, mode: CpuMode, random: Random, { locked, roles, rm, row }: CaseBuilder): void {
  const { data, data16, tight, expandDown, readOnly, expandDown16 } = SELECTOR;
  if (mode === 64) {
    if (random.oneIn(4)) {
      state.fsBase = BigInt(locked ? 0x40 : random.below(64));
      state.gsBase = BigInt(DATA_BASE + (locked ? 0x40 : random.below(64)));
    }
    return;
  }
  const any = [data, data16, tight, expandDown, readOnly, expandDown16, 0];
  for (const which of [4, 5]) state.selectors[which] = random.pick(any);
  for (const which of [0, 3]) if (random.oneIn(6)) state.selectors[which] = random.pick(any);
  if (random.oneIn(12)) {
    // With a 16-bit stack ESP points at the native process's own memory: not to be used with another segment, or as a target.
    const narrow = !roles.has(RSP) && !(rm === RSP && /^(jmp|call)$/.test(row.mnemonic));
    state.selectors[2] = random.pick(narrow ? [data16, tight, expandDown, expandDown16] : [tight, expandDown]);
    setLow(state, RSP, 0x800 + random.below(0x1000));
  }
}

/** With a 16-bit stack segment the oracle wants the upper half of ESP as IRET leaves it. */
function keepStack16(state: CpuImage, mode: CpuMode): void {
  if (mode === 64) return;
  const stack = state.selectors[2];
  if (stack === SELECTOR.data16 || stack === SELECTOR.expandDown16) {
    state.gpr32[2 * RSP] = ((state.gpr32[2 * RSP] as number) & 0xffff) | STACK16_ESP_HIGH;
    state.gpr32[2 * RSP + 1] = 0;
  }
}

/** Targets of indirect branches, frames of returns, selectors. */
function prepareTransfer(what: CaseBuilder, code: Uint8Array, state: CpuImage): void {
  const { row, random, mode, osize } = what;
  const base = mode === 16 ? 0 : CODE_BASE;
  // Anywhere in the page but in the instruction itself.
  const start = Number(state.rip) - base;
  let offset = random.below(0xff0);
  if (offset >= start - 16 && offset < start + code.length) offset = 0x10;
  const target = base + offset;
  const { view } = state;
  // An IRET that sets AC and then meets a misaligned stack raises #AC with AC clear, which Linux takes for a split lock.
  if (row.mnemonic === 'iret') state.gpr32[2 * RSP] = (state.gpr32[2 * RSP] as number) & ~15;
  const stack = (Number(state.gpr32[2 * RSP]) & (mode === 16 ? 0xffff : 0xffff_ffff)) >>> 0;
  const at = mode === 16 || isWindowBased(state.selectors[2] as number) ? stack & 0xffff : stack - DATA_BASE;
  const fits = at >= 0 && at <= DATA_SIZE - 48;
  switch (row.mnemonic) {
    case 'call':
    case 'jmp':
      if (row.opcode !== 0xff || random.oneIn(6)) return;
      if (!what.memory) setLow(state, what.rm, target);
      // Wherever the operand lies in the window, it may well be the target.
      else for (let i = 0; i < DATA_SIZE; i += 8) view.setBigUint64(IMAGE.data + i, BigInt(target), true);
      return;
    case 'ret':
      if (fits && !random.oneIn(6)) view.setBigUint64(IMAGE.data + at, BigInt(target), true);
      return;
    case 'retf':
    case 'iret': {
      if (!fits || random.oneIn(6)) return;
      const words = [target, random.oneIn(3) ? random.pick(SELECTORS) : (state.selectors[1] as number)];
      if (row.mnemonic === 'iret') words.push(random.u32() & 0x27fed7);
      words.push(
        osize === 2 ? random.below(0x1000) : DATA_BASE + 0x1000 + random.below(256) * 8,
        random.oneIn(4) ? random.pick(SELECTORS) : SELECTOR.data,
      );
      words.forEach((word, i) => {
        const to = IMAGE.data + at + i * osize;
        if (osize === 2) view.setUint16(to, word & 0xffff, true);
        else view.setUint32(to, word >>> 0, true);
        if (osize === 8) view.setUint32(to + 4, random.oneIn(30) ? random.u32() : 0, true);
      });
      return;
    }
    case 'callf':
    case 'jmpf': {
      const selector = random.oneIn(2) ? random.pick(CODE_SELECTORS) : random.pick(SELECTORS);
      // A call to 64-bit code pushes with all of ESP, which a 16-bit stack has in the server's own memory: not into its variables.
      const esp = state.gpr32[2 * RSP] as number;
      if (row.mnemonic === 'callf' && esp > CONTROL_BASE && esp < CONTROL_BASE + CONTROL_SIZE + 64)
        state.gpr32[2 * RSP] = esp ^ 0x4000;
      if (row.opcode !== 0xff) {
        code[code.length - 2] = selector & 0xff;
        code[code.length - 1] = selector >> 8;
        return;
      }
      for (let i = 0; i + 16 <= DATA_SIZE; i += 16) {
        view.setBigUint64(IMAGE.data + i, BigInt(target), true);
        view.setUint16(IMAGE.data + i + osize, selector, true);
      }
      return;
    }
    default:
      if (
        row.operands.some(({ source }) => source === 'S') ||
        /^(l[defgs]s|lar|lsl|verr|verw|pop [defgs]s)$/.test(row.mnemonic)
      ) {
        const selector = random.pick(SELECTORS);
        if (!what.memory && row.hasModrm) state.gpr32[what.rm * 2] = (random.u32() & 0xffff_0000) | selector;
        else if (/^l[defgs]s$/.test(row.mnemonic)) {
          for (let i = 0; i + 16 <= DATA_SIZE; i += 16) view.setUint16(IMAGE.data + i + osize, selector, true);
        } else for (let i = 0; i < DATA_SIZE; i += 2) view.setUint16(IMAGE.data + i, selector, true);
      }
  }
}
