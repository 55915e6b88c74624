// A region: the hot code that becomes one WebAssembly function. It grows from its head along branches, calls and returns over
// code that was run before, block by block, nearest first.
//
// Places are relative to the linear address of the head's page, so a region holds wherever its pages are mapped side by side.
// A callee belongs to the call that it was reached by: each call site has a copy of its own, and the return there is known. Not so
// where a function calls itself, directly or not: there is one copy, and its returns look for where they go.
import { SPECIAL_COUNT } from '../interpreter/record.ts';
import type { Handler, Variants } from '../interpreter/variants.ts';
import { CODE_MODE } from '../state.ts';
import { DECODE, type Decoder, Instruction } from '../x86/decoder.ts';
import type { Row } from '../x86/row.ts';

const PAGE = 4096;
const LONGEST_INSTRUCTION = 15;

/** About what 24 KiB of WebAssembly hold: beyond it V8's compile time grows faster than the code. */
const MOST_INSTRUCTIONS = 400;
const MOST_BLOCKS = 112;
/**
 * Edges from indirect jumps and calls to their targets. Each is one more value for every register at the block it leads to: V8 takes 300 MiB and many
 * seconds for a hundred blocks that all lead to eight others.
 */
const MOST_TARGETS = 96;
const MOST_PAGES = 6;
/** Pages from the head's: what a region is entered with says how many bytes away the entry's page is, in 32 bits. */
const FARTHEST_PAGE = 0x7_ffff;
const DEEPEST_CALL = 3;
/** Ways into a region: what a byte of `entryArgument` holds. */
const MOST_ENTRIES = 64;

/** The code around the head, by pages counted from the head's. */
export interface CodeSource {
  /** Contents of a page; undefined when it is not mapped, or no code was run there. */
  page(page: number): Uint8Array | undefined;
  /** Whether the region may go on here: the instruction has been decoded, so it or what comes before it was run, and it is wanted. */
  known(place: number): boolean;
  /** Where the indirect jump or call at this place went most often, the most frequent first. */
  targets(place: number): readonly number[];
}

/** A call that the region goes into: where it returns to, and the call that this one is made in. */
export interface Call {
  readonly returnTo: number;
  readonly from: Call | undefined;
  readonly depth: number;
  /** Where the functions begin that are called here. */
  readonly functions: Set<number>;
  readonly callees: Map<number, Call>;
  readonly id: number;
}

export interface RegionInstruction {
  /** One of CODE_MODE. */
  readonly mode: number;
  readonly place: number;
  readonly insn: Instruction;
  readonly row: Row;
  readonly handler: Handler;
  /** Where a relative branch goes, undefined for everything else. */
  readonly target: number | undefined;
}

export interface Block {
  readonly index: number;
  readonly place: number;
  readonly call: Call;
  readonly instructions: readonly RegionInstruction[];
  /** Place after the last instruction. */
  readonly end: number;
  /** Blocks in the region: where the last instruction branches or calls to, where it goes on, where it returns to. */
  taken: Block | undefined;
  /** Where an indirect jump or call is known to go. */
  targets: readonly Block[];
  next: Block | undefined;
  returned: Block | undefined;
}

export interface Region {
  /** One of CODE_MODE. */
  readonly mode: number;
  /** The first is the head's. */
  readonly blocks: readonly Block[];
  /** Blocks that the region can be entered at, each at a place of its own: the head, then where it is come back to from outside. */
  readonly entries: readonly Block[];
  readonly pages: readonly number[];
}

/** What a block's last instruction does. */
export type Ending = 'next' | 'jump' | 'branch' | 'call' | 'return' | 'jumpIndirect' | 'callIndirect' | 'leave';

export const pageOfPlace = (place: number): number => Math.floor(place / PAGE);
export const offsetOfPlace = (place: number): number => place & (PAGE - 1);

export function endingOf({ row, target }: RegionInstruction): Ending {
  const { name, endsBlock } = row.semantics;
  if (target !== undefined) return name === 'callRelative' ? 'call' : name === 'jmpRelative' ? 'jump' : 'branch';
  if (name === 'ret' || name === 'retRelease') return 'return';
  if (name === 'jmpIndirect' || name === 'callIndirect') return name === 'jmpIndirect' ? 'jumpIndirect' : 'callIndirect';
  return endsBlock ? 'leave' : 'next';
}

interface Start {
  readonly place: number;
  readonly call: Call;
}

export class RegionReader {
  readonly #source: CodeSource;
  readonly #decoder: Decoder;
  readonly #variants: Variants;
  readonly #bytes = new Uint8Array(LONGEST_INSTRUCTION);
  readonly #pages = new Set<number>();
  /** What the source said of pages. */
  readonly #known = new Map<number, Uint8Array | undefined>();
  /** By call and place. */
  readonly #starts = new Set<number>();
  readonly #instructions = new Map<number, RegionInstruction>();
  /** By the call and place of an indirect jump or call: where the region follows it to. */
  readonly #targets = new Map<number, readonly number[]>();
  #targetCount = 0;
  readonly #queue: Start[] = [];
  readonly #mode: number;
  /** By id; the first is what is outside of any call. */
  readonly #calls: Call[] = [];

  /** `mode` is one of CODE_MODE. */
  constructor(source: CodeSource, decoder: Decoder, variants: Variants, mode: number = CODE_MODE.code64) {
    this.#mode = mode;
    this.#source = source;
    this.#decoder = decoder;
    this.#variants = variants;
  }

  /**
   * Undefined when the head cannot be decoded. `functions` are the places where the function begins that the head is in, as far
   * as they are known.
   */
  read(head: number, functions: ReadonlySet<number> = new Set()): Region | undefined {
    const outside: Call = this.#call(-1, undefined);
    for (const place of [head, ...functions]) outside.functions.add(place);
    this.#start(head, outside);
    const begun: Start[] = [];
    for (let start = this.#queue.shift(); start !== undefined; start = this.#queue.shift()) {
      if (begun.length === MOST_BLOCKS || this.#instructions.size >= MOST_INSTRUCTIONS) break;
      begun.push(start);
      this.#straight(start);
    }
    const same = this.#callsOfItself();
    if (same.length > 0) {
      const again = new RegionReader(this.#source, this.#decoder, this.#variants, this.#mode);
      return again.read(head, new Set([...functions, ...same]));
    }
    const blocks = this.#blocks(begun);
    return blocks.length === 0
      ? undefined
      : { mode: this.#mode, blocks, entries: this.#entries(blocks), pages: [...this.#pages] };
  }

  /** Functions with code that is also outside of any call: the head lies within them. */
  #callsOfItself(): number[] {
    const found = new Set<number>();
    for (const key of this.#calls.length > 1 ? this.#instructions.keys() : []) {
      const id = callOfKey(key);
      if (id !== 0 && this.#instructions.has(key - id * CALL_KEYS))
        for (const each of this.#calls[id]?.functions ?? []) found.add(each);
    }
    return [...found];
  }

  #call(returnTo: number, from: Call | undefined): Call {
    const depth = from === undefined ? 0 : from.depth + 1;
    const call: Call = { returnTo, from, depth, functions: new Set(), callees: new Map(), id: this.#calls.length };
    this.#calls.push(call);
    return call;
  }

  /** `first`: before everything that waits already. */
  #start(place: number, call: Call, first = false): void {
    const key = keyOf(place, call);
    if (this.#starts.has(key)) return;
    this.#starts.add(key);
    if (first) this.#queue.unshift({ place, call });
    else this.#queue.push({ place, call });
  }

  /** Reads instructions up to where control may go elsewhere. */
  #straight({ place, call }: Start): void {
    for (let at = place; ; ) {
      const key = keyOf(at, call);
      // What another way led to already becomes a block of its own: no instruction is in two of them.
      if (this.#instructions.has(key)) return at === place ? undefined : this.#start(at, call);
      if (this.#instructions.size >= MOST_INSTRUCTIONS) return;
      // A block lies within one page: another page is looked up where it is entered.
      if (at !== place && pageOfPlace(at) !== pageOfPlace(place)) return this.#start(at, call);
      const instruction = this.#decode(at);
      if (instruction === undefined) return;
      this.#instructions.set(key, instruction);
      at += instruction.insn.length;
      const { target } = instruction;
      switch (endingOf(instruction)) {
        case 'next':
          continue;
        case 'jump':
          if (this.#goesTo(instruction)) this.#start(target as number, call);
          return;
        case 'branch':
          if (this.#goesTo(instruction)) this.#start(target as number, call);
          if (this.#wanted(at)) this.#start(at, call);
          return;
        case 'call':
          return this.#goIn(call, [isCutShort(instruction) ? undefined : target], at);
        case 'callIndirect':
          return this.#goIn(call, this.#follow(key, instruction), at, true);
        case 'jumpIndirect':
          for (const to of this.#follow(key, instruction)) if (this.#wanted(to)) this.#start(to, call, true);
          return;
        case 'leave':
          if (this.#wanted(at)) this.#start(at, call);
          return;
        default:
          return;
      }
    }
  }

  /** Where an indirect jump or call went most often, as long as there are not too many of them. */
  #follow(key: number, { place }: RegionInstruction): readonly number[] {
    const targets = this.#source.targets(place).slice(0, MOST_TARGETS - this.#targetCount);
    this.#targetCount += targets.length;
    this.#targets.set(key, targets);
    return targets;
  }

  /** Reads what is called and not called already, and what comes after the call. */
  #goIn(call: Call, targets: readonly (number | undefined)[], at: number, first = false): void {
    let inside = false;
    for (const target of targets) {
      if (!this.#wanted(target) || call.depth === DEEPEST_CALL || calledIn(call, target) !== undefined) continue;
      const callee = this.#callee(call, at);
      callee.functions.add(target);
      this.#start(target, callee, first);
      inside = true;
    }
    if (inside || this.#wanted(at)) this.#start(at, call, first);
  }

  #callee(from: Call, returnTo: number): Call {
    let call = from.callees.get(returnTo);
    if (call === undefined) {
      call = this.#call(returnTo, from);
      from.callees.set(returnTo, call);
    }
    return call;
  }

  /** Whether the region may go on where a relative branch leads to. */
  #goesTo(instruction: RegionInstruction): boolean {
    return !isCutShort(instruction) && this.#wanted(instruction.target);
  }

  #wanted(target: number | undefined): target is number {
    return target !== undefined && this.#mayUse(pageOfPlace(target)) && this.#source.known(target);
  }

  #mayUse(page: number): boolean {
    if (page < -FARTHEST_PAGE || page > FARTHEST_PAGE) return false;
    return this.#pages.has(page) || (this.#pages.size < MOST_PAGES && this.#contents(page) !== undefined);
  }
  #contents(page: number): Uint8Array | undefined {
    if (this.#known.has(page)) return this.#known.get(page);
    const contents = this.#source.page(page);
    this.#known.set(page, contents);
    return contents;
  }

  #decode(place: number): RegionInstruction | undefined {
    const page = pageOfPlace(place);
    const offset = offsetOfPlace(place);
    if (!this.#mayUse(page)) return undefined;
    const here = this.#contents(page) as Uint8Array;
    const insn = new Instruction();
    const isWhole = offset + LONGEST_INSTRUCTION <= PAGE || !this.#mayUse(page + 1);
    const status = isWhole
      ? this.#decoder.decode(here, offset, Math.min(offset + LONGEST_INSTRUCTION, PAGE), this.#mode, insn)
      : this.#decoder.decode(this.#across(here.subarray(offset), page + 1), 0, LONGEST_INSTRUCTION, this.#mode, insn);
    if (status !== DECODE.ok) return undefined;
    const { row } = insn;
    const mode = this.#mode;
    if (row === undefined) return undefined;
    const handler = this.#variants.handlers[this.#variants.find(row, insn, mode === CODE_MODE.code64) - SPECIAL_COUNT];
    if (handler === undefined) return undefined;
    this.#pages.add(page);
    if (offset + insn.length > PAGE) this.#pages.add(page + 1);
    const relative = row.operands.some(({ source }) => source === 'J');
    return { mode, place, insn, row, handler, target: relative ? place + insn.length + insn.immediate : undefined };
  }

  /** The bytes at the end of a page and those that follow them. */
  #across(here: Uint8Array, next: number): Uint8Array {
    const bytes = this.#bytes;
    bytes.set(here);
    bytes.set((this.#contents(next) as Uint8Array).subarray(0, LONGEST_INSTRUCTION - here.length), here.length);
    return bytes;
  }

  /** Cuts what was read into blocks, and ties them together. */
  #blocks(begun: readonly Start[]): Block[] {
    const blocks: Block[] = [];
    const byKey = new Map<number, Block>();
    for (const { place, call } of begun) {
      const instructions: RegionInstruction[] = [];
      let at = place;
      for (;;) {
        const instruction = this.#instructions.get(keyOf(at, call));
        if (instruction === undefined || (at !== place && pageOfPlace(at) !== pageOfPlace(place))) break;
        instructions.push(instruction);
        at += instruction.insn.length;
        if (endingOf(instruction) !== 'next' || this.#starts.has(keyOf(at, call))) break;
      }
      if (instructions.length === 0) continue;
      const common = { taken: undefined, targets: [], next: undefined, returned: undefined };
      const block: Block = { index: blocks.length, place, call, instructions, end: at, ...common };
      blocks.push(block);
      byKey.set(keyOf(place, call), block);
    }
    for (const block of blocks) {
      const { call, end } = block;
      const last = block.instructions.at(-1) as RegionInstruction;
      const at = (place: number | undefined, of: Call | undefined) =>
        place === undefined || of === undefined ? undefined : byKey.get(keyOf(place, of));
      const target = isCutShort(last) ? undefined : last.target;
      const followed = ({ place }: RegionInstruction) => this.#targets.get(keyOf(place, call)) ?? [];
      switch (endingOf(last)) {
        case 'next':
          block.next = at(end, call);
          break;
        case 'branch':
          block.taken = at(target, call);
          block.next = at(end, call);
          break;
        case 'jump':
          block.taken = at(target, call);
          break;
        case 'call':
          block.taken = at(target, target === undefined ? undefined : calledFrom(call, target, end));
          break;
        case 'callIndirect':
          block.targets = followed(last).flatMap((to) => at(to, calledFrom(call, to, end)) ?? []);
          break;
        case 'jumpIndirect':
          block.targets = followed(last).flatMap((to) => at(to, call) ?? []);
          break;
        case 'return':
          block.returned = call.from === undefined ? undefined : at(call.returnTo, call.from);
          break;
      }
    }
    return blocks;
  }

  /** Where the guest comes back to when a callee that has no copy here returns, or when the interpreter has done its part. */
  #entries(blocks: readonly Block[]): Block[] {
    const byKey = new Map(blocks.map((block) => [keyOf(block.place, block.call), block]));
    const byPlace = new Map<number, Block>();
    byPlace.set((blocks[0] as Block).place, blocks[0] as Block);
    const add = (block: Block | undefined) => {
      if (block !== undefined && !byPlace.has(block.place) && byPlace.size < MOST_ENTRIES) byPlace.set(block.place, block);
    };
    for (const { call, end, instructions, taken } of blocks) {
      const ending = endingOf(instructions.at(-1) as RegionInstruction);
      const copied = taken !== undefined && taken.call === call.callees.get(end);
      if (ending === 'leave' || ending === 'callIndirect' || (ending === 'call' && !copied)) add(byKey.get(keyOf(end, call)));
      // What calls itself is there whole: others may call it too.
      if (ending === 'call' && !copied) add(taken);
    }
    return [...byPlace.values()];
  }
}

/** The call, this one or one that it is made in, that the function is called by. */
function calledIn(call: Call, place: number): Call | undefined {
  for (let each: Call | undefined = call; each !== undefined; each = each.from) if (each.functions.has(place)) return each;
  return undefined;
}

/** What a call that comes back to `end` makes of the function. */
const calledFrom = (call: Call, place: number, end: number): Call | undefined => calledIn(call, place) ?? call.callees.get(end);
/** With an operand size of 16 bits 32-bit code jumps into the first 64 KiB, wherever it is: SDM vol. 2A, JMP. */
const isCutShort = ({ mode, insn, target }: RegionInstruction): boolean =>
  target !== undefined && mode === CODE_MODE.code32 && insn.osize === 2;

/** A number for both; places are at most 2^31 bytes and a page from the head. */
const keyOf = (place: number, call: Call): number => call.id * CALL_KEYS + place;
const callOfKey = (key: number): number => Math.round(key / CALL_KEYS);
const CALL_KEYS = 2 ** 34;
