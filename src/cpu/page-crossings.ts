// Instructions that begin in one page and end in the next. Either page may change, or another may come behind the border, so
// their bytes are looked at each time they run.
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { Cpu } from './cpu.ts';
import type { CodeCache } from './interpreter/code-cache.ts';
import { CROSSING } from './interpreter/crossing-function.ts';
import { REC, SPECIAL } from './interpreter/record.ts';
import type { Mmu } from './mmu.ts';
import { CODE_MODE, STATE } from './state.ts';
import { DECODE } from './x86/decoder.ts';

interface Known {
  readonly record: number;
  readonly mode: number;
  readonly offset: number;
  readonly length: number;
  readonly bytes: Uint8Array;
}

export class PageCrossings {
  readonly #cpu: Cpu;
  readonly #memory: GuestMemory;
  readonly #mmu: Mmu;
  readonly #code: CodeCache;
  readonly #bytes = new Uint8Array(15);
  /** By the address of the decoded record. */
  readonly #known = new Map<number, Known>();

  constructor(cpu: Cpu, memory: GuestMemory, mmu: Mmu, code: CodeCache) {
    this.#cpu = cpu;
    this.#memory = memory;
    this.#mmu = mmu;
    this.#code = code;
  }

  /**
   * The instruction of a `cross` record: gathers its bytes from both pages and decodes them, unless that was done before and
   * they are still the same. Returns the address of a record to run now, 0 after leaving a fault. Generated code finds 64-bit code by
   * itself the next time, if both pages are in the TLB: see interpreter/crossing-function.ts.
   */
  reach(record: number): number {
    const cpu = this.#cpu;
    const { view, u8 } = this.#memory;
    const offset = view.getUint16(record + REC.offset, true);
    const rip = cpu.get64(STATE.ripBase) + BigInt(offset);
    const linear = (rip + cpu.get64(STATE.codeBase)) & cpu.get64(STATE.linearMask);
    const next = (linear - BigInt(offset) + 4096n) & cpu.get64(STATE.linearMask);
    const table = this.#tableOfCode(linear - BigInt(offset));
    const here = this.#code.hostOf(table);
    const nextTable = table === 0 ? 0 : this.#tableOfCode(next);
    if (nextTable === 0) {
      cpu.rip = rip;
      return 0;
    }
    const there = this.#code.hostOf(nextTable);
    const count = 4096 - offset;
    const bytes = this.#bytes;
    bytes.set(u8.subarray(here + offset, here + 4096));
    bytes.set(u8.subarray(there, there + 15 - count), count);
    const mode = cpu.get32(STATE.codeMode);
    const target = this.#code.crossing(record);
    const cached = this.#known.get(target);
    if (cached !== undefined && cached.record === record && cached.mode === mode && cached.offset === offset) {
      let same = true;
      for (let i = 0; i < cached.length; i++) if (cached.bytes[i] !== bytes[i]) same = false;
      if (same) {
        this.#note(target, cached, table, nextTable, here);
        return target;
      }
    }
    this.#set(target + CROSSING.from, 0);
    this.#code.mode = mode;
    const status = this.#code.decodeOne(bytes, mode, offset, target);
    if (status !== DECODE.ok) {
      this.#known.delete(target);
      view.setUint16(target + REC.op, status === DECODE.tooLong ? SPECIAL.tooLong : SPECIAL.invalid, true);
      view.setUint16(target + REC.offset, offset, true);
      return target;
    }
    const length = this.#code.lastLength;
    const known = { record, mode, offset, length, bytes: bytes.slice(0, length) };
    this.#known.set(target, known);
    this.#note(target, known, table, nextTable, here);
    return target;
  }

  /** Leaves what is known of an instruction to generated code. */
  #note(target: number, { record, mode, offset, length, bytes }: Known, table: number, nextTable: number, here: number): void {
    // Looking for the second page may have emptied the code cache.
    if (mode !== CODE_MODE.code64 || this.#code.hostOf(table) !== here) return;
    const { u8 } = this.#memory;
    const [expected, masks] = [target + CROSSING.bytes, target + CROSSING.masks];
    u8.fill(0, expected, target + CROSSING.sizeof);
    const first = 4096 - offset;
    for (let i = 0; i < length; i++) {
      // Of 32 bytes, 16 on each side of the border.
      const at = 16 - first + i;
      u8[expected + at] = bytes[i] as number;
      u8[masks + at] = 0xff;
    }
    this.#set(target + CROSSING.table, table);
    this.#set(target + CROSSING.nextTable, nextTable);
    this.#set(target + CROSSING.first, here + 4096 - 16);
    this.#set(target + CROSSING.second, this.#code.hostOf(nextTable));
    this.#set(target + CROSSING.from, record);
  }
  #set(at: number, value: number): void {
    this.#memory.u32[at >>> 2] = value;
  }

  /** Entry table of a page, 0 after leaving a fault. */
  #tableOfCode(page: bigint): number {
    this.#cpu.set64(STATE.slowAddress, page);
    return this.#mmu.codeTable();
  }
}
