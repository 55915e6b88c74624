// Where the guest goes from a place: what the interpreter runs next, some dozens of straight runs of instructions at a time.
//
// A region is made of what was seen in the traces from its head. What lies near it but is hardly ever run stays out of it, and so
// costs neither the translator nor V8's compilers anything.
import type { Cpu } from '../cpu.ts';
import { REC, RECORD_SIZE, SPECIAL, SPECIAL_COUNT } from '../interpreter/record.ts';
import type { Variants } from '../interpreter/variants.ts';
import type { Mmu } from '../mmu.ts';
import { STATE, TRACE } from '../state.ts';
import type { IndirectTargets } from './indirect-targets.ts';

/** Instructions, by the address of their word in the page's entry table. */
export type Seen = Set<number>;

const NOWHERE = 0;

export class Traces {
  readonly #cpu: Cpu;
  readonly #mmu: Mmu;
  readonly #view: DataView;
  readonly #indirect: IndirectTargets;
  /** By handler: 1 for jumps and calls that are told where to go by a register or by memory. */
  readonly #isIndirect: Uint8Array;

  constructor(cpu: Cpu, mmu: Mmu, bytes: Uint8Array, variants: Variants, indirect: IndirectTargets) {
    this.#cpu = cpu;
    this.#mmu = mmu;
    this.#view = new DataView(bytes.buffer);
    this.#indirect = indirect;
    this.#isIndirect = new Uint8Array(SPECIAL_COUNT + variants.handlers.length);
    for (const { index, semantics } of variants.handlers)
      if (semantics.name === 'jmpIndirect' || semantics.name === 'callIndirect') this.#isIndirect[index] = 1;
  }

  /** Adds what is in the trace that was just taken; where its indirect jumps went is counted. */
  read(seen: Seen): void {
    const view = this.#view;
    let jump = NOWHERE;
    let jumpAt = 0;
    for (let i = 0; i < this.#cpu.get32(STATE.traced); i++) {
      const run = this.#cpu.base + TRACE.at + i * TRACE.sizeof;
      const low = view.getUint32(run + TRACE.linear, true);
      const high = view.getUint32(run + TRACE.linear + 4, true);
      if (jump !== NOWHERE) this.#indirect.count(jump, (low - jumpAt) | 0);
      jump = NOWHERE;
      const table = this.#mmu.codeIn(view.getUint32(run + TRACE.tlbExec, true), low & ~4095, high);
      if (table === 0) continue;
      const last = this.#walk(table, low & 4095, view.getUint32(run + TRACE.count, true), seen);
      if (last === NOWHERE || this.#isIndirect[view.getUint16(last + REC.op, true)] !== 1) continue;
      const offset = view.getUint16(last + REC.offset, true);
      jump = table + offset * 4;
      jumpAt = low - (low & 4095) + offset;
    }
  }

  /** Adds so many instructions from a place on; the record of the last one, NOWHERE if a region was run. */
  #walk(table: number, offset: number, count: number, seen: Seen): number {
    const view = this.#view;
    let record = view.getUint32(table + offset * 4, true);
    let last = NOWHERE;
    for (let left = count; left > 0 && record !== 0; ) {
      const op = view.getUint16(record + REC.op, true);
      if (op >= SPECIAL_COUNT) {
        seen.add(table + view.getUint16(record + REC.offset, true) * 4);
        last = record;
        record += RECORD_SIZE;
        left--;
      } else if (op === SPECIAL.goto) record = view.getUint32(record + REC.immediate, true);
      else if (op === SPECIAL.link) record = view.getUint32(view.getUint32(record + REC.immediate, true), true);
      else break;
    }
    return last;
  }
}
