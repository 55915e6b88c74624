// A region: the hot code that becomes one WebAssembly function. It grows from its head along branches, calls and returns over
// code that was run before, block by block, nearest first.
//
// Places are relative to the linear address of the head's page, so a region holds wherever its pages are mapped side by side.
// A callee belongs to the call that it was reached by: each call site has a copy of its own, and the return there is known.
import { SPECIAL_COUNT } from '../interpreter/record.ts';
import type { Handler, Variants } from '../interpreter/variants.ts';
import { CODE_MODE } from '../state.ts';
import { DECODE, type Decoder, Instruction } from '../x86/decoder.ts';
import type { Row } from '../x86/row.ts';

const PAGE = 4096;
const LONGEST_INSTRUCTION = 15;

/** About what 16 KiB of WebAssembly hold: beyond it V8's compile time grows faster than the code. */
const MOST_INSTRUCTIONS = 256;
const MOST_BLOCKS = 80;
const MOST_PAGES = 6;
const DEEPEST_CALL = 3;

/** The code around the head, by pages counted from the head's. */
export interface CodeSource {
  /** Contents of a page; undefined when it is not mapped, or no code was run there. */
  page(page: number): Uint8Array | undefined;
  /** Whether the instruction at this place has been decoded: it, or what comes before it, was run. */
  known(place: number): boolean;
}

/** A call that the region goes into: where it returns to, and the call that this one is made in. */
export interface Call {
  readonly returnTo: number;
  readonly from: Call | undefined;
  readonly depth: number;
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
  next: Block | undefined;
  returned: Block | undefined;
}

export interface Region {
  /** One of CODE_MODE. */
  readonly mode: number;
  /** The first is the head's. */
  readonly blocks: readonly Block[];
  readonly pages: readonly number[];
}

/** What a block's last instruction does. */
export type Ending = 'next' | 'jump' | 'branch' | 'call' | 'return' | 'leave';

export const pageOfPlace = (place: number): number => Math.floor(place / PAGE);
export const offsetOfPlace = (place: number): number => place & (PAGE - 1);

export function endingOf({ row, target }: RegionInstruction): Ending {
  const { name, endsBlock } = row.semantics;
  if (target !== undefined) return name === 'callRelative' ? 'call' : name === 'jmpRelative' ? 'jump' : 'branch';
  if (name === 'ret' || name === 'retRelease') return 'return';
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
  /** By call and place. */
  readonly #starts = new Set<string>();
  readonly #instructions = new Map<string, RegionInstruction>();
  readonly #queue: Start[] = [];
  readonly #mode: number;
  #calls = 0;

  /** `mode` is one of CODE_MODE. */
  constructor(source: CodeSource, decoder: Decoder, variants: Variants, mode: number = CODE_MODE.code64) {
    this.#mode = mode;
    this.#source = source;
    this.#decoder = decoder;
    this.#variants = variants;
  }

  /** Undefined when the head cannot be decoded. */
  read(head: number): Region | undefined {
    const outside: Call = this.#call(-1, undefined);
    this.#start(head, outside);
    const begun: Start[] = [];
    for (let start = this.#queue.shift(); start !== undefined; start = this.#queue.shift()) {
      if (begun.length === MOST_BLOCKS || this.#instructions.size >= MOST_INSTRUCTIONS) break;
      begun.push(start);
      this.#straight(start);
    }
    const blocks = this.#blocks(begun);
    return blocks.length === 0 ? undefined : { mode: this.#mode, blocks, pages: [...this.#pages] };
  }

  #call(returnTo: number, from: Call | undefined): Call {
    return { returnTo, from, depth: from === undefined ? 0 : from.depth + 1, callees: new Map(), id: this.#calls++ };
  }

  #start(place: number, call: Call): void {
    const key = keyOf(place, call);
    if (this.#starts.has(key)) return;
    this.#starts.add(key);
    this.#queue.push({ place, call });
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
          return this.#start(at, call);
        case 'call':
          if (!this.#goesTo(instruction) || call.depth === DEEPEST_CALL) return;
          this.#start(target as number, this.#callee(call, at));
          return this.#start(at, call);
        default:
          return;
      }
    }
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
    const { target } = instruction;
    if (target === undefined || isCutShort(instruction)) return false;
    return this.#mayUse(pageOfPlace(target)) && this.#source.known(target);
  }

  #mayUse(page: number): boolean {
    return this.#pages.has(page) || (this.#pages.size < MOST_PAGES && this.#source.page(page) !== undefined);
  }

  #decode(place: number): RegionInstruction | undefined {
    const page = pageOfPlace(place);
    const offset = offsetOfPlace(place);
    if (!this.#mayUse(page)) return undefined;
    const bytes = this.#bytes;
    const here = (this.#source.page(page) as Uint8Array).subarray(offset, offset + LONGEST_INSTRUCTION);
    bytes.set(here);
    let length = here.length;
    if (length < LONGEST_INSTRUCTION && this.#mayUse(page + 1)) {
      const there = this.#source.page(page + 1) as Uint8Array;
      bytes.set(there.subarray(0, LONGEST_INSTRUCTION - length), length);
      length = LONGEST_INSTRUCTION;
    }
    const insn = new Instruction();
    if (this.#decoder.decode(bytes, 0, length, this.#mode, insn) !== DECODE.ok) return undefined;
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

  /** Cuts what was read into blocks, and ties them together. */
  #blocks(begun: readonly Start[]): Block[] {
    const blocks: Block[] = [];
    const byKey = new Map<string, Block>();
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
      const common = { taken: undefined, next: undefined, returned: undefined };
      const block: Block = { index: blocks.length, place, call, instructions, end: at, ...common };
      blocks.push(block);
      byKey.set(keyOf(place, call), block);
    }
    for (const block of blocks) {
      const { call, end } = block;
      const last = block.instructions.at(-1) as RegionInstruction;
      const at = (place: number | undefined, of = call) => (place === undefined ? undefined : byKey.get(keyOf(place, of)));
      const target = isCutShort(last) ? undefined : last.target;
      switch (endingOf(last)) {
        case 'next':
          block.next = at(end);
          break;
        case 'branch':
          block.taken = at(target);
          block.next = at(end);
          break;
        case 'jump':
          block.taken = at(target);
          break;
        case 'call': {
          const callee = call.callees.get(end);
          block.taken = callee === undefined ? undefined : at(target, callee);
          break;
        }
        case 'return':
          block.returned = call.from === undefined ? undefined : at(call.returnTo, call.from);
          break;
      }
    }
    return blocks;
  }
}

/** With an operand size of 16 bits 32-bit code jumps into the first 64 KiB, wherever it is: SDM vol. 2A, JMP. */
const isCutShort = ({ mode, insn, target }: RegionInstruction): boolean =>
  target !== undefined && mode === CODE_MODE.code32 && insn.osize === 2;

const keyOf = (place: number, call: Call): string => `${call.id}:${place}`;
