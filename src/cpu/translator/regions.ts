// Finds hot code, has it translated, and forgets what is out of date.
//
// Where the guest is each time its slice of the budget is spent says what is hot, at no cost to the interpreter: code that takes
// a share of the time takes that share of the samples.
import type { Cpu } from '../cpu.ts';
import type { CodeCache } from '../interpreter/code-cache.ts';
import { FIRST_REGIONS, type InterpreterExports } from '../interpreter/generate.ts';
import { RECORD_SIZE } from '../interpreter/record.ts';
import type { Variants } from '../interpreter/variants.ts';
import type { Mmu } from '../mmu.ts';
import { CODE_MODE, SEGMENT, STATE } from '../state.ts';
import { fetchRoom } from '../system/segment-check.ts';
import type { Decoder } from '../x86/decoder.ts';
import { segmentForms } from './assumed-segments.ts';
import { meansOf } from './means.ts';
import { type CodeSource, offsetOfPlace, pageOfPlace, type Region, RegionReader } from './region.ts';
import { type RegionPages, translateRegion } from './translate-region.ts';

export interface RegionsOptions {
  readonly cpu: Cpu;
  readonly mmu: Mmu;
  readonly code: CodeCache;
  readonly memory: WebAssembly.Memory;
  readonly bytes: Uint8Array;
  readonly decoder: Decoder;
  readonly variants: Variants;
  readonly interpreter: InterpreterExports;
  /** (number, argument) → not 0 on a fault; the number of a name. */
  readonly compute: (number: number, argument: number) => number;
  readonly computeNumber: (name: string) => number;
}

/** Instructions between two looks at where the guest is. */
export const SLICE = 16_384;
/** Samples that make code hot. */
const HOT = 100;
/** Places kept that are not hot yet; when there are more, all are forgotten. */
const MOST_CANDIDATES = 4096;
/** Regions alive at a time: V8 takes memory for each module. When there are more, all are dropped. */
const MOST_REGIONS = 2000;
/** Records that a region may need. */
const ROOM = 512 * RECORD_SIZE;

interface Installed {
  readonly number: number;
  readonly table: number;
  readonly offset: number;
  readonly record: number;
  readonly tables: readonly number[];
}

export interface RegionCounters {
  translated: number;
  refused: number;
  dropped: number;
  instructions: number;
  moduleBytes: number;
  milliseconds: number;
}

export class Regions {
  readonly #options: RegionsOptions;
  readonly #means: ReturnType<typeof meansOf>;
  /** Samples by place: the address of the word in the page's entry table. */
  readonly #samples = new Map<number, number>();
  /** By the entry table of each page they lie on. */
  readonly #byTable = new Map<number, Set<Installed>>();
  readonly #free: number[] = Array.from({ length: FIRST_REGIONS }, (_, i) => FIRST_REGIONS - 1 - i);
  #alive = 0;
  readonly counters: RegionCounters = { translated: 0, refused: 0, dropped: 0, instructions: 0, moduleBytes: 0, milliseconds: 0 };

  constructor(options: RegionsOptions) {
    this.#options = options;
    this.#means = meansOf();
    options.code.onDrop = (table) => this.#dropped(table);
  }

  /** The guest is at RIP, after a slice. */
  sample(): void {
    const { cpu, code, mmu } = this.#options;
    if (isNearLimit(cpu)) return;
    const linear = (cpu.rip + cpu.get64(STATE.codeBase)) & cpu.get64(STATE.linearMask);
    cpu.set64(STATE.slowAddress, linear);
    const table = mmu.codeTable();
    if (table === 0) return;
    const offset = Number(linear & 0xfffn);
    const place = table + offset * 4;
    const count = (this.#samples.get(place) ?? 0) + 1;
    if (this.#samples.size === MOST_CANDIDATES) this.#samples.clear();
    this.#samples.set(place, count);
    if (count !== HOT) return;
    if (code.known(table, offset) === 0) {
      this.#samples.delete(place);
      return;
    }
    this.translate(linear, table, offset);
  }

  /** Translates the code at a linear address, which is a place in the page behind `table`, and installs it. False when there is nothing to gain, or no room. */
  translate(linear: bigint, table: number, offset: number): boolean {
    const { code } = this.#options;
    if (!code.hasRoom(ROOM) || this.#alive >= MOST_REGIONS) {
      code.flush();
      return false;
    }
    const begun = performance.now();
    this.#replace(table, offset);
    // The interpreter must have a record to go on with where the region does not hold.
    if (code.known(table, offset) === 0) return false;
    const { cpu, memory, decoder, variants } = this.#options;
    const source = new GuestCode(this.#options, linear - BigInt(offset), table);
    const region = new RegionReader(source, decoder, variants, cpu.get32(STATE.codeMode)).read(offset);
    if (region === undefined || !this.#worthIt(region)) {
      this.counters.refused++;
      return false;
    }
    const module = translateRegion(region, {
      base: cpu.base,
      mmuIndex: cpu.get32(STATE.mmuIndex),
      fetchTlb: cpu.get32(STATE.tlbExec),
      memoryPages: memory.buffer.byteLength / 65536,
      pages: source,
      segments: segmentForms(cpu),
      means: this.#means,
      computeNumber: this.#options.computeNumber,
    });
    for (const { instructions } of region.blocks)
      for (const { place, insn } of instructions) this.#cover(source, place, insn.length);
    const number = this.#install(module);
    if (number < 0) return false;
    const installed: Installed = {
      number,
      table,
      offset,
      record: code.enterRegion(table, offset, number),
      tables: region.pages.map((page) => source.entryTable(page)),
    };
    for (const each of installed.tables) {
      const there = this.#byTable.get(each);
      if (there === undefined) this.#byTable.set(each, new Set([installed]));
      else there.add(installed);
    }
    this.#alive++;
    this.counters.translated++;
    this.counters.instructions += region.blocks.reduce((sum, { instructions }) => sum + instructions.length, 0);
    this.counters.moduleBytes += module.length;
    this.counters.milliseconds += performance.now() - begun;
    return true;
  }

  /** Compiles a module; its number in the table of regions, −1 when the host has no room for more code. */
  #install(module: Uint8Array<ArrayBuffer>): number {
    const { memory, interpreter, compute } = this.#options;
    const { plainRead, plainWrite, handler } = interpreter;
    const env = { memory, plainRead, plainWrite, handler, compute } as unknown as WebAssembly.ModuleImports;
    try {
      const instance = new WebAssembly.Instance(new WebAssembly.Module(module), { env });
      const number = this.#number();
      interpreter.regions.set(number, instance.exports.region as () => number);
      return number;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.counters.refused++;
      return -1;
    }
  }

  /** A region that is there already was made for another privilege: only one can be. */
  #replace(table: number, offset: number): void {
    for (const region of this.#byTable.get(table) ?? [])
      if (region.table === table && region.offset === offset) this.#remove(region);
  }

  /** Everything decoded is gone. */
  clear(): void {
    for (const regions of [...this.#byTable.values()]) for (const region of [...regions]) this.#remove(region);
    this.#samples.clear();
  }

  #dropped(table: number): void {
    this.#options.cpu.set32(STATE.codeDropped, 1);
    for (const region of this.#byTable.get(table) ?? []) this.#remove(region);
    for (const place of this.#samples.keys()) if (place >= table && place < table + 4096 * 4) this.#samples.delete(place);
  }

  #remove(region: Installed): void {
    const { code, interpreter } = this.#options;
    code.leaveRegion(region.table, region.offset, region.record);
    for (const table of region.tables) {
      const there = this.#byTable.get(table);
      there?.delete(region);
      if (there?.size === 0) this.#byTable.delete(table);
    }
    interpreter.regions.set(region.number, null);
    this.#free.push(region.number);
    this.#samples.delete(region.table + region.offset * 4);
    this.#alive--;
    this.counters.dropped++;
  }

  #number(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const { regions } = this.#options.interpreter;
    const first = regions.grow(regions.length);
    for (let number = regions.length - 1; number > first; number--) this.#free.push(number);
    return first;
  }

  #cover(source: GuestCode, place: number, length: number): void {
    const offset = offsetOfPlace(place);
    const here = Math.min(length, 4096 - offset);
    this.#options.code.cover(source.entryTable(pageOfPlace(place)), offset, here);
    if (here < length) this.#options.code.cover(source.entryTable(pageOfPlace(place) + 1), 0, length - here);
  }

  /** A region that begins with what only the interpreter can do would be left at once. */
  #worthIt({ blocks }: Region): boolean {
    const first = blocks[0]?.instructions[0];
    return first !== undefined && this.#means(first) === 'inline';
  }
}

/** Where the engine takes single steps because CS ends soon: what is fetched there must not come into the TLB. */
const isNearLimit = (cpu: Cpu): boolean =>
  cpu.get32(STATE.codeMode) !== CODE_MODE.code64 &&
  cpu.limit(SEGMENT.cs) !== 0xffff_ffff &&
  fetchRoom(cpu, cpu.get32(STATE.rip)) < 8192;

/** The guest's code around a page, as it is mapped now. */
class GuestCode implements CodeSource, RegionPages {
  readonly #options: RegionsOptions;
  readonly #origin: bigint;
  readonly #tables = new Map<number, number>();

  constructor(options: RegionsOptions, origin: bigint, table: number) {
    this.#options = options;
    this.#origin = origin;
    this.#tables.set(0, table);
  }

  /** Entry table of a page; 0 when no code was run there. */
  entryTable(page: number): number {
    let table = this.#tables.get(page);
    if (table === undefined) {
      table = this.#options.mmu.cachedCode((this.#origin + BigInt(page) * 4096n) & this.#options.cpu.get64(STATE.linearMask));
      this.#tables.set(page, table);
    }
    return table;
  }

  page(page: number): Uint8Array | undefined {
    if (!this.#isInSegment(page)) return undefined;
    const host = this.#options.code.hostOf(this.entryTable(page));
    return host === 0 ? undefined : this.#options.bytes.subarray(host, host + 4096);
  }

  /** Whether a page lies in CS as a whole, and instruction pointers do not wrap around in it. */
  #isInSegment(page: number): boolean {
    const { cpu } = this.#options;
    const mode = cpu.get32(STATE.codeMode);
    if (mode === CODE_MODE.code64) return true;
    const first = Number(BigInt.asUintN(32, this.#origin - cpu.get64(STATE.codeBase))) + page * 4096;
    const limit = cpu.limit(SEGMENT.cs);
    return first >= 0 && first + 4095 <= (mode === CODE_MODE.code16 ? Math.min(limit, 0xffff) : limit);
  }

  known(place: number): boolean {
    const table = this.entryTable(pageOfPlace(place));
    return table !== 0 && this.#options.code.known(table, offsetOfPlace(place)) !== 0;
  }

  record({ place, insn }: Parameters<RegionPages['record']>[0]): number {
    return this.#options.code.record(this.entryTable(pageOfPlace(place)), insn, offsetOfPlace(place));
  }
}
