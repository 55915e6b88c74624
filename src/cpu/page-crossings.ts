// Instructions that begin in one page and end in the next. Either page may change, or another may come behind the border, so
// their bytes are looked at each time they run.
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { Cpu } from './cpu.ts';
import type { CodeCache } from './interpreter/code-cache.ts';
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
   * they are still the same. Returns the address of a record to run now, 0 after leaving a fault.
   */
  reach(record: number): number {
    return this.#again(record) || this.#gather(record);
  }

  /** The same as last time, where both pages are in the TLB; 0 when something must be looked at. 64-bit code only. */
  #again(record: number): number {
    const cpu = this.#cpu;
    const { view, u8 } = this.#memory;
    const target = this.#code.crossing(record);
    const known = this.#known.get(target);
    const mode = CODE_MODE.code64;
    if (known === undefined || known.record !== record || known.mode !== mode || cpu.get32(STATE.codeMode) !== mode) return 0;
    const { offset, length, bytes } = known;
    if (view.getUint16(record + REC.offset, true) !== offset) return 0;
    const low = cpu.get32(STATE.ripBase);
    const high = cpu.get32(STATE.ripBase + 4);
    const nextLow = (low + 4096) >>> 0;
    const table = this.#mmu.knownCode(low, high);
    const nextTable = this.#mmu.knownCode(nextLow, nextLow === 0 ? high + 1 : high);
    if (table === 0 || nextTable === 0) return 0;
    const here = this.#code.hostOf(table) + offset;
    const there = this.#code.hostOf(nextTable);
    const first = 4096 - offset;
    for (let i = 0; i < length; i++) if (u8[i < first ? here + i : there + i - first] !== bytes[i]) return 0;
    return target;
  }

  #gather(record: number): number {
    const cpu = this.#cpu;
    const { view, u8 } = this.#memory;
    const offset = view.getUint16(record + REC.offset, true);
    const rip = cpu.get64(STATE.ripBase) + BigInt(offset);
    const linear = (rip + cpu.get64(STATE.codeBase)) & cpu.get64(STATE.linearMask);
    const next = (linear - BigInt(offset) + 4096n) & cpu.get64(STATE.linearMask);
    const here = this.#hostOfCode(linear - BigInt(offset));
    const there = here === 0 ? 0 : this.#hostOfCode(next);
    if (there === 0) {
      cpu.rip = rip;
      return 0;
    }
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
      if (same) return target;
    }
    this.#code.mode = mode;
    const status = this.#code.decodeOne(bytes, mode, offset, target);
    if (status !== DECODE.ok) {
      this.#known.delete(target);
      view.setUint16(target + REC.op, status === DECODE.tooLong ? SPECIAL.tooLong : SPECIAL.invalid, true);
      view.setUint16(target + REC.offset, offset, true);
      return target;
    }
    const length = this.#code.lastLength;
    this.#known.set(target, { record, mode, offset, length, bytes: bytes.slice(0, length) });
    return target;
  }

  #hostOfCode(page: bigint): number {
    const cpu = this.#cpu;
    cpu.set64(STATE.slowAddress, page);
    const probe = this.#mmu.codeTable();
    return probe === 0 ? 0 : this.#code.hostOf(probe);
  }
}
