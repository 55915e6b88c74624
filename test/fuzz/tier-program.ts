// Random programs of 64-, 32- and 16-bit code that come to an end: straight code of any instructions, branches, loops into which other code
// jumps, calls, code that writes to itself, and checkpoints at which the machine changes something.
import { CODE_MODE } from '../../src/cpu/state.ts';
import { BASE_RIP, DECODE, Decoder, Instruction } from '../../src/cpu/x86/decoder.ts';
import type { Row } from '../../src/cpu/x86/row.ts';
import { ROWS } from '../../src/cpu/x86/table/rows.ts';
import { DATA_BASE, DATA_SIZE, SELECTOR } from '../native/address-map.ts';
import { CpuImage, type CpuMode } from '../native/cpu-image.ts';
import type { Random } from '../native/random.ts';
import { caseOf, existsIn } from '../native/row-cases.ts';
import { type Label, ProgramWriter, u32 } from './program-writer.ts';
import { CODE, FIRST_SEGMENT, FIRST_SEGMENT_16, SEGMENTS, SEGMENTS_16, WINDOWS, type Window } from './tier-map.ts';
import { randomScene } from './tier-scenes.ts';

export interface TierProgram {
  readonly bits: CpuMode;
  readonly user: boolean;
  /** Contents of the code pages. */
  readonly code: Uint8Array;
  /** Linear address of the first instruction. */
  readonly entry: number;
  /** Branches back that it may take. */
  readonly fuel: number;
  /** Addresses where something is likely to be worth translating. */
  readonly heads: readonly number[];
}

/** Leave the engine, go elsewhere by far, raise on purpose, load segments, or change what the machine here is built on. */
const EXCLUDED =
  /^(x87|fwait|hlt|in|out|ins|outs|insb|outsb|vmcall|vmmcall|iret|retf|int|int1|int3|into|bound|ud.*|sys.*|call|callf|jmp|jmpf|ret|j.*|loop.*|l[defgs]s|lgdt|lidt|lldt|ltr|lmsw|wrmsr|rdmsr|rdpmc|xsetbv|xrstor|fxrstor|mov cr|mov dr|swapgs|rdrand)$/;
/** Only at CPL 0. */
const PRIVILEGED = /^(cli|sti|clts|invd|wbinvd|invlpg|stac|clac)$/;
const STACK = /^(push|pop|enter|leave|pusha|popa)/;
const STRING = /^(movs|cmps|stos|lods|scas)b?$/;
const RSP = 4;
const MODE = { 64: CODE_MODE.code64, 32: CODE_MODE.code32, 16: CODE_MODE.code16 } as const;
/** Counts rounds. R15 is implicit in no instruction, EBP in few. */
const COUNTER = { 64: 15, 32: 5, 16: 5 } as const;
/** Room that a construct needs at the end. */
const RESERVE = 600;

/** What the rows of a mode are divided into. */
class RowChoice {
  readonly fast: readonly Row[];
  readonly privileged: readonly Row[];
  readonly accessCheck: readonly Row[];
  readonly x87: readonly Row[];
  readonly stack: readonly Row[];
  readonly rest: readonly Row[];

  constructor(bits: CpuMode) {
    const rows = ROWS.filter(
      (row) =>
        existsIn(row, bits) &&
        !row.operands.some(({ source }) => source === 'J' || source === 'S' || source === 'C' || source === 'D'),
    );
    const plain = rows.filter((row) => !EXCLUDED.test(row.mnemonic) && !PRIVILEGED.test(row.mnemonic));
    this.fast = plain.filter((row) => row.semantics.hot && !row.semantics.endsBlock);
    this.privileged = rows.filter((row) => PRIVILEGED.test(row.mnemonic));
    this.accessCheck = this.privileged.filter(({ mnemonic }) => mnemonic === 'stac' || mnemonic === 'clac');
    this.x87 = rows.filter((row) => /^(x87|fwait)$/.test(row.mnemonic));
    this.stack = plain.filter((row) => STACK.test(row.mnemonic));
    this.rest = plain.filter((row) => !STACK.test(row.mnemonic));
  }
}
const CHOICES = { 64: new RowChoice(64), 32: new RowChoice(32), 16: new RowChoice(16) } as const;

/** `scenes`: whether it also does what `tier-scenes.ts` has. */
export function randomProgram(random: Random, scenes: boolean): TierProgram {
  return new ProgramBuilder(random, scenes).build();
}

class ProgramBuilder {
  readonly #random: Random;
  readonly #decoder = new Decoder(ROWS);
  readonly #insn = new Instruction();
  readonly #sample = new CpuImage();
  readonly #out: ProgramWriter;
  readonly #functions: Label[] = [];
  readonly #end: Label;
  readonly #bits: CpuMode;
  readonly #rows: RowChoice;
  readonly #user: boolean;
  /** Where code writes to: in this program none, some, or also where it runs right then. */
  readonly #selfModifying: boolean;
  readonly #wild: number;
  readonly #scenes: boolean;
  #limit: number = CODE.bytes - RESERVE;

  constructor(random: Random, scenes: boolean) {
    this.#random = random;
    this.#scenes = scenes;
    this.#bits = scenes ? random.pick([64, 64, 32, 32, 16]) : random.oneIn(2) ? 64 : 32;
    this.#out = new ProgramWriter(this.#bits);
    this.#rows = CHOICES[this.#bits];
    this.#user = random.oneIn(2);
    this.#selfModifying = random.oneIn(4);
    this.#wild = random.pick([0, 0, 40, 12]);
    this.#end = this.#out.label();
  }

  build(): TierProgram {
    const random = this.#random;
    // Begins near the end of a page as often as not, so that it reaches into the next.
    this.#out.at = random.oneIn(2) ? random.below(2048) : 4096 * (1 + random.below(2)) - random.below(500);
    const entry = this.#out.at;
    this.#limit = Math.min(this.#limit, entry + 600 + random.below(4000));
    const functions = random.below(5);
    for (let i = 0; i < functions; i++) this.#functions.push(this.#out.label());
    for (let i = 1 + random.below(4); i > 0; i--) this.#construct(0, 0);
    this.#out.place(this.#end);
    // The end: a checkpoint that says so.
    this.#out.bytes(0x0f, 0x0b, 0xff);
    for (let i = 0; i < functions; i++) {
      if (random.oneIn(3)) this.#out.at = Math.max(this.#out.at, Math.ceil(this.#out.at / 4096) * 4096 - random.below(40));
      if (this.#out.at > CODE.bytes - RESERVE) this.#out.at = Math.min(this.#out.at, CODE.bytes - RESERVE / 2);
      this.#out.place(this.#functions[i] as Label);
      this.#limit = Math.min(this.#out.at + 500, CODE.bytes - RESERVE / 2);
      if (this.#out.at < CODE.bytes - RESERVE) for (let n = random.below(3); n >= 0; n--) this.#construct(1, i + 1);
      if (random.oneIn(6)) this.#out.wide(0xc2, 8 * random.below(2), 0);
      else this.#out.wide(0xc3);
    }
    this.#out.resolve(this.#end);
    return {
      bits: this.#bits,
      user: this.#user,
      code: this.#out.code,
      entry: CODE.at + entry,
      fuel: random.pick([20, 60, 200, 500]),
      heads: this.#out.heads.map((at) => CODE.at + at),
    };
  }

  // ---- structure -------------------------------------------------------------------------------------------------------

  /** `callable`: the first function that may be called from here. */
  #construct(depth: number, callable: number): void {
    const random = this.#random;
    if (this.#out.at > this.#limit) return;
    if (this.#scenes && random.oneIn(4)) this.#scene();
    switch (random.below(depth > 3 ? 4 : 12)) {
      case 0:
      case 1:
        this.#straight();
        break;
      case 2:
        this.#straight();
        this.#special();
        break;
      case 3: {
        const callee = this.#functions[callable + random.below(4)];
        if (callee === undefined) this.#straight();
        else if (random.oneIn(4)) this.#indirect(callee, 2);
        else this.#out.relative([0xe8], callee);
        break;
      }
      case 4:
      case 5: {
        // Forward over something, and sometimes an else.
        const over = this.#out.label();
        this.#forward(over);
        this.#construct(depth + 1, callable);
        const end = this.#out.label();
        if (random.oneIn(2)) this.#out.relative([0xe9], end);
        this.#out.place(over);
        if (random.oneIn(2)) this.#construct(depth + 1, callable);
        this.#out.place(end);
        break;
      }
      case 6: {
        const target = this.#out.label();
        this.#indirect(target, 4);
        if (random.oneIn(2)) this.#construct(depth + 1, callable);
        this.#out.place(target);
        break;
      }
      case 7: {
        // A way into the middle of a loop.
        const middle = this.#out.label();
        this.#condition(middle);
        this.#loop(depth, callable, middle);
        break;
      }
      default:
        this.#loop(depth, callable, undefined);
    }
    if (random.oneIn(2)) this.#construct(depth + 1, callable);
  }

  #loop(depth: number, callable: number, middle: Label | undefined): void {
    const random = this.#random;
    const head = this.#out.label();
    const counted = random.oneIn(3);
    const wide = this.#bits === 64;
    // mov r15d, n or mov ebp, n
    if (counted) this.#out.wide(...(wide ? [0x41, 0xbf] : [0xbd]), 1 + random.below(60), 0, 0, 0);
    this.#out.place(head);
    this.#out.heads.push(this.#out.at);
    this.#straight();
    if (random.oneIn(2)) this.#construct(depth + 1, callable);
    if (middle !== undefined) {
      this.#out.place(middle);
      this.#construct(depth + 1, callable);
    }
    this.#out.burn();
    this.#out.relative([0x0f, 0x88], this.#end);
    if (counted) {
      this.#out.bytes(...(wide ? [0x41, 0xff, 0xcf] : [0x4d])); // dec r15d or dec ebp
      this.#out.relative([0x0f, 0x85], head);
    } else if (random.oneIn(6)) {
      // Past the loop, or again: by a jump.
      const out = this.#out.label();
      this.#condition(out);
      this.#out.relative([0xe9], head);
      this.#out.place(out);
    } else this.#condition(head);
  }

  #condition(target: Label): void {
    this.#out.relative([0x0f, 0x80 | this.#random.below(16)], target);
  }

  /** A branch over code that is near enough for a short one, or any. */
  #forward(target: Label): void {
    const random = this.#random;
    if (!random.oneIn(4)) return this.#condition(target);
    const near = this.#out.label();
    if (random.oneIn(3)) this.#out.bytes(0x67);
    this.#out.short(random.pick([0xe0, 0xe1, 0xe2, 0xe3]), near);
    for (let i = random.below(3); i >= 0; i--) this.#instruction();
    this.#out.place(near);
    this.#condition(target);
  }

  /** LEA RAX, [target]; CALL or JMP RAX, or the same through memory on the stack. */
  #indirect(target: Label, extension: 2 | 4): void {
    if (this.#bits === 64 && this.#random.oneIn(2)) {
      this.#out.relative([0x48, 0x8d, 0x05], target);
      this.#out.bytes(0xff, 0xc0 | (extension << 3));
    } else {
      this.#out.wide(0xb9); // mov ecx, target
      this.#out.address(target);
      this.#out.wide(0x51); // push rcx
      if (extension === 4) this.#out.wide(0xc3);
      else {
        this.#out.wide(0x59); // pop rcx; call rcx
        this.#out.wide(0xff, 0xd1);
      }
    }
  }

  #scene(): void {
    const stage = { out: this.#out, random: this.#random, user: this.#user, straight: () => this.#straight() };
    randomScene(stage, this.#selfModifying);
  }

  #special(): void {
    const random = this.#random;
    if (random.oneIn(3)) {
      // A checkpoint, and what shall happen at it.
      this.#out.bytes(0x0f, 0x0b, random.below(16));
      return;
    }
    if (this.#bits !== 64 && random.oneIn(2)) return this.#loadSegment();
    if (!this.#selfModifying) return;
    // An instruction with a constant; a store to the constant before or behind it, by the one address or the other.
    const constant = this.#out.label();
    const first = random.oneIn(2);
    const store = () => {
      const alias = random.oneIn(2) ? WINDOWS.alias.at - CODE.at : 0;
      const crossing = random.oneIn(8) ? 4096 - (this.#out.at & 4095) : 0;
      if (this.#bits === 16) this.#out.flatPrefix();
      this.#out.bytes(...random.pick([[0x80, 0x04, 0x25], [0x81, 0x04, 0x25] as const]));
      const wide = this.#out.code[this.#out.at - 3] === 0x81;
      const at = this.#out.at;
      this.#out.bytes(0, 0, 0, 0, 1 + random.below(3), ...(wide ? [0, 0, 0] : []));
      const target = constant.at;
      this.#out.later(() => {
        const place = constant.at ?? target ?? 0;
        // Rarely into the end of a page of code, across the border: nothing but NOPs if the program is short.
        const to = crossing > 0 && (place & 4095) > 4090 ? place | 4093 : place;
        this.#out.put32(at, CODE.at + to + alias);
      });
    };
    const load = () => {
      this.#out.wide(0xb8 | random.below(4));
      this.#out.place(constant);
      this.#out.bytes(...u32(random.u32()));
    };
    if (first) store();
    load();
    if (!first) store();
  }

  /** MOV of a selector to ES, SS, DS or FS, to stay so or for a while. */
  #loadSegment(): void {
    const random = this.#random;
    const register = random.pick([0, 0, 2, 3, 3, 3, 4]);
    const level = this.#user ? 3 : 0;
    const load = (index: number): void => this.#out.wide(0xb8, ...u32(index * 8 + level), 0x8e, 0xc0 | (register << 3)); // mov eax, n; mov sreg, ax
    const [segments, first] = this.#bits === 16 && register !== 2 ? [SEGMENTS_16, FIRST_SEGMENT_16] : [SEGMENTS, FIRST_SEGMENT];
    load(first + random.below(segments.length));
    if (random.oneIn(3)) return;
    for (let n = random.below(6); n >= 0; n--) this.#instruction();
    load(first);
  }

  // ---- instructions ----------------------------------------------------------------------------------------------------

  #straight(): void {
    for (let i = this.#random.below(this.#random.oneIn(4) ? 20 : 6); i >= 0; i--) this.#instruction();
  }

  #instruction(): void {
    const random = this.#random;
    if (this.#out.at > this.#limit + 100) return;
    if (random.oneIn(12)) {
      const register = random.below(8);
      const [push, pop] = [0x50 | register, 0x58 | (register === RSP ? 0 : register)];
      this.#out.bytes(push);
      this.#ordinary(this.#rows.rest);
      this.#out.bytes(pop);
      return;
    }
    const rows = this.#rows;
    if (random.oneIn(14)) return this.#ordinary(rows.x87);
    if (!this.#user && random.oneIn(10)) return this.#ordinary(random.oneIn(2) ? rows.accessCheck : rows.privileged);
    if (random.oneIn(60)) return this.#ordinary(rows.stack);
    this.#ordinary(random.oneIn(3) ? rows.rest : rows.fast);
  }

  #ordinary(rows: readonly Row[]): void {
    const random = this.#random;
    for (let attempt = 0; attempt < 8; attempt++) {
      const { code, adjust } = caseOf(random.pick(rows), this.#bits, random, true);
      if (code.length > 15 || !this.#acceptable(code)) continue;
      this.#loadPointers(code, adjust);
      this.#out.bytes(...code);
      return;
    }
  }

  /** Not if it may change the counter, or loses the stack too often. */
  #acceptable(code: Uint8Array): boolean {
    const insn = this.#insn;
    if (this.#decoder.decode(code, 0, code.length, MODE[this.#bits], insn) !== DECODE.ok || insn.length !== code.length)
      return this.#oneInWild();
    const explicit = insn.row?.operands.flatMap(({ source }) => {
      if (source === 'G') return [insn.reg];
      if (source === 'Z') return [insn.opcodeRegister];
      return (source === 'E' || source === 'R') && !insn.memory ? [insn.rm] : [];
    });
    const counter = COUNTER[this.#bits];
    if (explicit?.includes(counter)) return false;
    // Nothing that is addressed by EBP would be there.
    if (this.#bits !== 64 && insn.memory && (insn.base === counter || insn.index === counter)) return this.#oneInWild();
    return !(explicit?.includes(RSP) && !/^(push|cmp|test)$/.test(insn.row?.mnemonic ?? '')) || this.#oneInWild();
  }
  #oneInWild(): boolean {
    return this.#wild > 0 && this.#random.oneIn(this.#wild);
  }

  /** MOV of what the case wants in its address registers, mostly; into one of the windows. */
  #loadPointers(code: Uint8Array, adjust: ((state: CpuImage, random: Random) => void) | undefined): void {
    const random = this.#random;
    const state = this.#sample;
    const none = 0x5a5a_5a5a_5a5a_5a5an;
    // Offsets are linear addresses here, so not those of a case whose segments begin elsewhere.
    for (let attempt = 0; attempt < 8; attempt++) {
      state.reset(this.#bits);
      state.gpr.fill(none);
      adjust?.(state, random);
      const usual = this.#bits === 16 ? SELECTOR.data16 : SELECTOR.data;
      if ([0, 2, 3].every((which) => [0, usual].includes(state.selectors[which] as number))) break;
    }
    const relative = this.#insn.memory && this.#insn.base === BASE_RIP;
    if (relative || code.length === 0) return;
    const window = this.#window();
    state.gpr.forEach((value, register) => {
      if (value === none || register === COUNTER[this.#bits] || (this.#bits !== 64 && register >= 8) || random.oneIn(16)) return;
      if (register === RSP && !this.#oneInWild()) return;
      const pointer = value >= BigInt(DATA_BASE) - 64n && value < BigInt(DATA_BASE + DATA_SIZE) + 64n;
      const low = Number(value & 0xffff_ffffn) + (pointer ? window.at - DATA_BASE : 0);
      if (register >= 8) this.#out.bytes(0x41);
      this.#out.wide(0xb8 | (register & 7), ...u32(low));
    });
    // A long repeated instruction pauses now and then, and each pause counts as an instruction; where it pauses is the tier's own.
    if (STRING.test(this.#insn.row?.mnemonic ?? '')) this.#out.wide(0xb9, ...u32(random.below(1000)));
  }

  #window(): Window {
    const random = this.#random;
    if (!random.oneIn(5)) return WINDOWS.data;
    if (this.#user && this.#wild > 0 && random.oneIn(4)) return WINDOWS.alias;
    return random.pick([WINDOWS.lazy, WINDOWS.lazy, WINDOWS.mmio, WINDOWS.supervisor, WINDOWS.supervisor]);
  }
}
