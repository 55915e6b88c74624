// A region as one WebAssembly function: registers and flags in locals, its control flow as nested blocks and loops.
//
// The nesting follows the dominator tree (Ramsey, "Beyond Relooper"): a block that two edges go forward to comes behind a
// WebAssembly block of the one that dominates it, a block that an edge goes back to is the head of a loop, and all others lie
// where the one edge to them is.
import { type Expr, i32, i64, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder, FunctionRef, Label } from '../../wasm/function-builder.ts';
import { StackWindow } from '../emit/stack-window.ts';
import { STATUS } from '../interpreter/interpreter-emitter.ts';
import { REGION, REGION_SITE_SHIFT } from '../interpreter/record.ts';
import { CONDITIONS } from '../sem/move.ts';
import { CODE_MODE, STATE, TLB } from '../state.ts';
import { AssumedSegments, extent, type SegmentForm } from './assumed-segments.ts';
import { AssumedTlbs } from './assumed-tlbs.ts';
import { analyse, type Flow, isBackward } from './flow.ts';
import { type Block, endingOf, offsetOfPlace, pageOfPlace, type Region, type RegionInstruction } from './region.ts';
import { NOTHING_KNOWN, RegisterLocals } from './register-locals.ts';
import { RSP, stackPointers } from './stack-pointers.ts';
import { type RegionRuntime, TranslatorEmitter } from './translator-emitter.ts';

/** How an instruction is done: by its semantics, by the interpreter's handler in their place, or outside of the region. */
export type Means = 'inline' | 'handler' | 'leave';

/** What the region's code lies on. */
export interface RegionContext {
  /** Address of the vCPU's state. */
  readonly base: number;
  /** One of MMU_INDEX: the TLBs that memory operands use. */
  readonly mmuIndex: number;
  /** Address of the execute TLB. */
  readonly fetchTlb: number;
  /** By SEGMENT, for code that is not 64-bit. */
  readonly segments: readonly SegmentForm[];
  readonly runtime: RegionRuntime;
  /** (handler number, record) → STATUS. */
  readonly handler: FunctionRef;
  means(instruction: RegionInstruction): Means;
  /** Address of a record that the handler can run the instruction from. */
  record(instruction: RegionInstruction): number;
  /** Address of the entry table of a page of the region. */
  entryTable(page: number): number;
  /** Address of a u64 that counts how often `what` happens. Absent: nothing is counted. */
  readonly counter?: (what: string) => number;
}

/** What a region's function is called with to begin at one of its entries, which lies on this page. */
export const entryArgument = (entry: number, page: number): number => (page << 8) | entry;

/**
 * Emits the region's function: (entryArgument) → REGION. Where `REGION.jump` comes from an indirect jump or call, the number of its
 * block, counted from 1, is in the bits above.
 */
export function emitRegion(f: FunctionBuilder, region: Region, context: RegionContext): void {
  new RegionFunction(f, region, context).emit();
}

/** The dispatch among the flow's nodes; the blocks follow it. */
const ROOT = 0;
const nodeOf = (block: Block): number => block.index + 1;

class RegionFunction {
  readonly #f: FunctionBuilder;
  readonly #context: RegionContext;
  readonly #region: Region;
  readonly #flow: Flow;
  readonly #cut = new Set<string>();
  readonly #state: Expr;
  readonly #registers: RegisterLocals;
  readonly #segments: AssumedSegments;
  readonly #tlbs: AssumedTlbs;
  readonly #stack: StackWindow;
  readonly #left: Local;
  readonly #rip: Local;
  readonly #code: Local;
  readonly #place: Local;
  /**
   * RIP of the head's page, from memory at each use: of a local V8 would compute all sums with places once, before everything, and
   * keep them on the stack.
   */
  readonly #origin: Expr;
  /** By page: not 0 once it was found where it was. */
  readonly #found = new Map<number, Local>();
  readonly #labels = new Map<Block, Label>();
  /** Blocks that the dispatch at the function's beginning leads to, by number: the region's entries, then ends of cut edges. */
  readonly #dispatched: Block[];
  readonly #entry: Local;
  #dispatch: Label | undefined;
  #search: Label | undefined;
  #exit: Label | undefined;
  /** Places in the code where registers go to memory and come back from there, and where the guest's code goes on. */
  readonly #handlerCalls: { readonly before: number; readonly after: number; readonly place: number }[] = [];
  /** Instructions complete since `left` was last settled on this path. */
  #pending = 0;

  constructor(f: FunctionBuilder, region: Region, context: RegionContext) {
    this.#f = f;
    this.#region = region;
    this.#context = context;
    this.#state = i32(context.base);
    this.#registers = new RegisterLocals(f, this.#state, context.runtime.routines);
    this.#segments = new AssumedSegments(this.#state, region.mode, context.segments);
    this.#stack = new StackWindow(f, stackPointers(region.blocks));
    this.#left = f.variable('i32');
    this.#tlbs = new AssumedTlbs(f, this.#state, context.base, region, context.mmuIndex);
    this.#rip = f.variable('i64');
    this.#code = f.variable('i32');
    this.#place = f.variable('i64');
    this.#origin = this.#state.load('i64', 8, STATE.regionOrigin);
    this.#entry = f.variable('i32');
    this.#dispatched = [...region.entries];
    const successors = region.blocks.map(({ taken, targets, next, returned }) =>
      [taken, ...targets, next, returned].flatMap((block) => (block === undefined ? [] : [nodeOf(block)])),
    );
    this.#flow = analyse([this.#dispatched.map(nodeOf), ...successors], (from, to) => {
      this.#cut.add(`${from} ${to}`);
      const block = region.blocks[to - 1] as Block;
      if (!this.#dispatched.includes(block)) this.#dispatched.push(block);
    });
  }

  emit(): void {
    const f = this.#f;
    const state = this.#state;
    const { entries, pages } = this.#region;
    const argument = f.params[0] as Local;
    this.#unless(this.#tlbs.differ, 'other privilege than before');
    this.#tlbs.begin();
    const home = state.load('i64', 8, STATE.ripBase);
    const homes = new Set(entries.map(({ place }) => pageOfPlace(place)));
    f.store(state, 8, homes.size > 1 ? home.sub(argument.shrS(8).shl(12).extendS()) : home, STATE.regionOrigin);
    const assumed = f.code.length;
    f.store(state, 4, i32(0), STATE.codeDropped);
    f.set(this.#left, state.load('i32', 4, STATE.left));
    for (const page of pages) {
      if (homes.size === 1 && homes.has(page)) continue;
      const found = f.variable('i32');
      this.#found.set(page, found);
      if (homes.has(page)) f.set(found, argument.shrS(8).eq(page));
    }
    const start = f.code.length;
    f.block((exit) => {
      this.#exit = exit;
      if (this.#dispatched.length === 1) this.#tree(entries[0] as Block);
      else this.#dispatching();
    });
    // Which registers handlers must find in memory is known by now. Last ones first: the places before stay where they are.
    for (const { before, after, place } of this.#handlerCalls.reverse()) {
      f.insert(after, () => this.#reload(place));
      f.insert(before, () => this.#registers.store());
    }
    f.insert(start, () => {
      const { blocked } = this.#registers;
      if (blocked !== undefined) this.#unless(blocked, 'SSE or AVX not to be used');
      this.#registers.load();
      this.#openWindow();
    });
    f.insert(assumed, () => {
      const { first, last } = extent(this.#region);
      const differ = this.#segments.differ(f, this.#ripAt(first), this.#ripAt(last));
      if (differ !== undefined) this.#unless(differ, 'other segments than before');
    });
    // The shared exit.
    this.#registers.store();
    f.store(state, 8, this.#rip, STATE.rip);
    f.store(state, 4, this.#left, STATE.left);
    f.return(this.#code);
  }

  /** Where it is entered: leaves it when what it was made for does not hold. */
  #unless(condition: Expr, why: string): void {
    this.#f.if(condition, () => {
      this.#f.rare();
      this.#count(why);
      this.#f.return(i32(REGION.interpret));
    });
  }

  /** Begins at `entry`, and again wherever that is set anew. */
  #dispatching(): void {
    const f = this.#f;
    f.set(this.#entry, (f.params[0] as Local).and(0xff));
    f.loop((dispatch) => {
      this.#dispatch = dispatch;
      f.block((search) => {
        this.#search = search;
        this.#within(undefined, this.#flow.children[ROOT] ?? []);
      });
      this.#search = undefined;
      // Where RIP is: at an entry, or outside.
      const places = this.#region.entries.map(({ place }, entry) => ({ place, entry })).sort((a, b) => a.place - b.place);
      f.if(this.#spent().eqz(), () => {
        f.set(this.#place, this.#rip.sub(this.#origin));
        this.#findEntry(places);
      });
      f.br(this.#exit as Label);
    });
    this.#dispatch = undefined;
  }

  #findEntry(places: readonly { place: number; entry: number }[]): void {
    const f = this.#f;
    const middle = places.length >> 1;
    const { place, entry } = places[middle] as { place: number; entry: number };
    if (places.length === 1) f.if(this.#place.eq(i64(place)), () => this.#enter(entry));
    else {
      f.if(
        this.#place.ltS(i64(place)),
        () => this.#findEntry(places.slice(0, middle)),
        () => this.#findEntry(places.slice(middle)),
      );
    }
  }
  #enter(entry: number): void {
    this.#f.set(this.#entry, i32(entry));
    this.#f.br(this.#dispatch as Label);
  }
  #spent(): Expr {
    return this.#state.load('i32', 4, STATE.request).or(this.#left.leS(0));
  }

  #ripAt(place: number): Expr {
    return this.#origin.add(place);
  }

  // ---- structure -------------------------------------------------------------------------------------------------------

  /** A block and everything it dominates. */
  #tree(block: Block): void {
    const { children, merges, loops } = this.#flow;
    const node = nodeOf(block);
    if (merges.has(node) || loops.has(node) || this.#dispatched.includes(block)) this.#registers.knownFlags = NOTHING_KNOWN;
    const behind = (children[nodeOf(block)] ?? []).filter((child) => merges.has(child));
    if (!loops.has(nodeOf(block))) {
      this.#within(block, behind);
      return;
    }
    this.#f.loop((head) => {
      const outer = this.#labels.get(block);
      this.#labels.set(block, head);
      this.#within(block, behind);
      if (outer === undefined) this.#labels.delete(block);
      else this.#labels.set(block, outer);
    });
  }

  /** The block, or the dispatch, inside WebAssembly blocks whose ends are the merges behind it; the last of them is outermost. */
  #within(block: Block | undefined, behind: readonly number[]): void {
    const node = behind.at(-1);
    if (node === undefined) {
      if (block !== undefined) this.#block(block);
      else {
        const labels = this.#dispatched.map((entry) => this.#labels.get(entry) as Label);
        this.#f.brTable(labels, labels[0] as Label, this.#entry);
      }
      return;
    }
    const merge = this.#region.blocks[node - 1] as Block;
    this.#f.block((end) => {
      this.#labels.set(merge, end);
      this.#within(block, behind.slice(0, -1));
    });
    this.#labels.delete(merge);
    this.#tree(merge);
  }

  /** Goes to a block, from the end of another; `fallback` is its place when it is not in the region. */
  #goTo(from: Block, to: Block | undefined, fallback: Expr): void {
    const f = this.#f;
    if (to === undefined) {
      this.#count('branch to code outside');
      this.#leave(REGION.jump, fallback);
      return;
    }
    this.#settle();
    const pending = this.#pending;
    const { knownFlags } = this.#registers;
    const cut = this.#cut.has(`${nodeOf(from)} ${nodeOf(to)}`);
    if (cut || isBackward(this.#flow, nodeOf(from), nodeOf(to))) {
      if (cut) this.#count('edge into the middle of a loop, by way of the dispatch');
      f.if(this.#spent(), () => {
        f.rare();
        this.#count('budget spent, or a request');
        this.#exitWith(REGION.jump, this.#ripAt(to.place));
      });
      if (cut) this.#enter(this.#dispatched.indexOf(to));
      else f.br(this.#labels.get(to) as Label);
    } else if (this.#flow.merges.has(nodeOf(to))) f.br(this.#labels.get(to) as Label);
    else {
      this.#pending = 0;
      this.#tree(to);
    }
    this.#pending = pending;
    this.#registers.knownFlags = knownFlags;
  }

  // ---- instructions ----------------------------------------------------------------------------------------------------

  #block(block: Block): void {
    this.#pending = 0;
    this.#expectPage(pageOfPlace(block.place), block.place);
    const lastCondition = block.instructions.findLastIndex(looksAtCondition);
    for (const [i, instruction] of block.instructions.entries()) {
      const { place, insn } = instruction;
      this.#registers.conditionFollows = i < lastCondition;
      if (offsetOfPlace(place) + insn.length > 4096) this.#expectPage(pageOfPlace(place) + 1, place);
      const last = instruction === block.instructions.at(-1);
      switch (this.#context.means(instruction)) {
        case 'leave':
          this.#count(`only interpreted: ${instruction.handler.mnemonic}`);
          this.#leave(REGION.interpret, this.#ripAt(place));
          return;
        case 'handler':
          this.#registers.knownFlags = NOTHING_KNOWN;
          this.#byHandler(instruction);
          break;
        case 'inline':
          this.#inline(block, instruction);
          if (last && endingOf(instruction) !== 'next' && endingOf(instruction) !== 'branch') {
            // A branch that is always taken, a return, or the like: nothing comes after it.
            if (endingOf(instruction) === 'leave') this.#leave(REGION.jump, this.#ripAt(block.end), 1);
            return;
          }
          break;
      }
      this.#pending++;
    }
    this.#goTo(block, block.next, this.#ripAt(block.end));
  }

  #inline(block: Block, instruction: RegionInstruction): void {
    const { base, runtime } = this.#context;
    const { place } = instruction;
    const e = new TranslatorEmitter(
      this.#f,
      instruction,
      this.#origin,
      base,
      this.#tlbs.read,
      this.#registers,
      this.#segments,
      this.#stack,
      runtime,
      {
        interpret: () => {
          this.#f.rare();
          this.#count(`not plain memory, or a rare case: ${instruction.handler.mnemonic}`);
          this.#leave(REGION.interpret, this.#ripAt(place));
        },
        fault: () => {
          this.#f.rare();
          this.#leave(REGION.fault, this.#ripAt(place));
        },
        jump: (rip) => this.#jump(block, instruction, rip),
        branch: () => {
          this.#pending++;
          this.#goTo(block, block.taken, this.#targetOf(instruction));
          this.#pending--;
        },
      },
    );
    this.#f.scope(() => instruction.handler.semantics.emit(e));
    if (this.#tlbs.after(instruction)) this.#stack.close();
  }

  #targetOf({ mode, insn, target }: RegionInstruction): Expr {
    const rip = this.#ripAt(target as number);
    return mode === CODE_MODE.code64 ? rip : rip.and(insn.osize === 2 ? 0xffff : 0xffff_ffff);
  }

  #jump(block: Block, instruction: RegionInstruction, rip: Expr): void {
    const { returned } = block;
    if (returned !== undefined && endingOf(instruction) === 'return') {
      this.#pending++;
      this.#f.if(rip.eq(this.#ripAt(returned.place)), () => this.#goTo(block, returned, rip));
      this.#pending--;
    }
    if (endingOf(instruction) !== 'return') {
      this.#pending++;
      for (const target of block.targets) this.#f.if(rip.eq(this.#ripAt(target.place)), () => this.#goTo(block, target, rip));
      this.#pending--;
      this.#count(`jump to an address: ${instruction.handler.mnemonic}`);
      // Only a jump to an address of its own has targets to learn: SYSCALL, SYSRET and IRET change the privilege.
      const site = endingOf(instruction) === 'leave' ? 0 : nodeOf(block) << REGION_SITE_SHIFT;
      this.#leave(REGION.jump | site, rip, 1);
    } else if (this.#search === undefined) {
      this.#count(`return: ${instruction.handler.mnemonic}`);
      this.#leave(REGION.jump, rip, 1);
    } else {
      this.#count(`return that is looked for: ${instruction.handler.mnemonic}`);
      this.#settle(1);
      this.#f.set(this.#rip, rip);
      this.#f.set(this.#code, i32(REGION.jump));
      this.#f.br(this.#search);
    }
  }

  /** The interpreter's handler does it, on the state in memory. */
  #byHandler(instruction: RegionInstruction): void {
    const f = this.#f;
    const { place, insn, handler } = instruction;
    const record = this.#context.record(instruction);
    const state = this.#state;
    const home = pageOfPlace(place) * 4096;
    this.#settle();
    this.#pending = 0;
    this.#count(`handler called: ${handler.mnemonic}`);
    f.scope(() => {
      const before = f.code.length;
      // Registers are stored here. Also for the head's page: the code may come back from another one.
      if (this.#found.size > 0) f.store(state, 8, this.#ripAt(home), STATE.ripBase);
      const status = f.callValue(this.#context.handler, i32(handler.index), i32(record));
      f.if(status, () => {
        f.if(status.eq(STATUS.fault), () => {
          f.store(state, 8, this.#ripAt(place), STATE.rip);
          f.store(state, 4, i32(record), STATE.record);
          f.store(state, 4, this.#left, STATE.left);
          f.return(i32(REGION.fault));
        });
        f.store(state, 4, this.#left.sub(1), STATE.left);
        f.return(i32(REGION.exit).select(status.eq(STATUS.exit), i32(REGION.jump)));
      });
      // It may have written to the region's own code, flushed the TLB, or changed the data TLBs.
      f.if(state.load('i32', 4, STATE.codeDropped).or(this.#tlbs.changed), () => {
        f.store(state, 8, this.#ripAt(place + insn.length), STATE.rip);
        f.store(state, 4, this.#left.sub(1), STATE.left);
        f.return(i32(REGION.jump));
      });
      this.#handlerCalls.push({ before, after: f.code.length, place: place + insn.length });
    });
  }
  /** Another handler may have changed CR0 or CR4. */
  #reload(place: number): void {
    const f = this.#f;
    const state = this.#state;
    const { blocked } = this.#registers;
    if (blocked !== undefined)
      f.if(blocked, () => {
        f.store(state, 8, this.#ripAt(place), STATE.rip);
        f.store(state, 4, this.#left.sub(1), STATE.left);
        f.return(i32(REGION.jump));
      });
    this.#registers.load();
    this.#openWindow();
  }
  #openWindow(): void {
    this.#stack.open(this.#state.load('i32', 4, STATE.gpr + RSP * 8), this.#tlbs.read);
  }

  /** Goes on only if the page is the one that was translated; looks once each time the region is run. */
  #expectPage(page: number, place: number): void {
    const found = this.#found.get(page);
    if (found === undefined) return;
    const f = this.#f;
    f.scope(() =>
      f.if(found.eqz(), () => {
        f.rare();
        const linear = f.let(this.#segments.code(this.#ripAt(page * 4096)));
        const entry = f.let(
          i32(this.#context.fetchTlb).add(
            linear
              .shrU(8)
              .wrap()
              .and((TLB.entries - 1) * TLB.entrySize),
          ),
        );
        const tag = entry.load('i64', 8, 0).ne(linear.or(i64(this.#region.mode)));
        const table = entry.load('i32', 4, 8).ne(this.#context.entryTable(page));
        // An instruction that the region begins with, and whose end is elsewhere now, would find this region again.
        const code = this.#region.entries.some((entry) => entry.place === place) ? REGION.interpret : REGION.jump;
        f.if(tag.or(table), () => {
          f.rare();
          this.#count('page not in the TLB, or another one');
          this.#leave(code, this.#ripAt(place));
        });
        f.set(found, i32(1));
      }),
    );
  }

  /** Counts what happens here, where somebody wants to know. */
  #count(what: string): void {
    const at = this.#context.counter?.(what);
    if (at !== undefined) this.#f.store(i32(at), 8, i32(at).load('i64', 8, 0).add(1), 0);
  }

  // ---- ways out --------------------------------------------------------------------------------------------------------

  #settle(more: 0 | 1 = 0): void {
    const count = this.#pending + more;
    if (count > 0) this.#f.set(this.#left, this.#left.sub(count));
  }
  #leave(code: number, rip: Expr, more: 0 | 1 = 0): void {
    this.#settle(more);
    this.#exitWith(code, rip);
  }
  #exitWith(code: number, rip: Expr): void {
    if (this.#exit === undefined) throw new Error('outside the function');
    this.#f.set(this.#rip, rip);
    this.#f.set(this.#code, i32(code));
    this.#f.br(this.#exit);
  }
}

const CONDITIONAL: ReadonlySet<string> = new Set(CONDITIONS.flatMap((name) => [`j${name}`, `set${name}`, `cmov${name}`]));
const looksAtCondition = ({ row }: RegionInstruction): boolean => CONDITIONAL.has(row.semantics.name);
