// Finds hot code, has it translated, and forgets what is out of date.
//
// Where the guest is each time its slice of the budget is spent says what is hot, at no cost to the interpreter: code that takes
// a share of the time takes that share of the samples. What it runs next from there, in traces, says what a region is made of. Where
// regions lead to says more: one in some of their transfers is looked at.
import type { Cpu } from '../cpu.ts';
import type { EngineProbe } from '../engine-probe.ts';
import type { CodeCache } from '../interpreter/code-cache.ts';
import { FIRST_REGIONS, type InterpreterExports } from '../interpreter/generate.ts';
import { REC, RECORD_SIZE } from '../interpreter/record.ts';
import type { Variants } from '../interpreter/variants.ts';
import type { Lockstep } from '../lockstep/lockstep.ts';
import type { Mmu } from '../mmu.ts';
import { CODE_MODE, SEGMENT, STATE } from '../state.ts';
import { fetchRoom } from '../system/segment-check.ts';
import type { Decoder } from '../x86/decoder.ts';
import { segmentForms } from './assumed-segments.ts';
import { mmuIndexesOf } from './assumed-tlbs.ts';
import { IndirectTargets } from './indirect-targets.ts';
import { meansOf } from './means.ts';
import { type CodeSource, offsetOfPlace, pageOfPlace, type Region, type RegionInstruction, RegionReader } from './region.ts';
import { entryArgument } from './region-function.ts';
import { type Seen, Traces } from './traces.ts';
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
  readonly ticks: () => number;
  /** Stands before every region. */
  readonly lockstep?: Lockstep | undefined;
  readonly probe?: EngineProbe | undefined;
}

/** Instructions between two looks at where the guest is. */
export const SLICE = 16_384;
/** Samples that make code hot. */
const HOT = 30;
/** The last so many of these samples are followed by a trace: what the guest runs from there is what the region is made of. */
const TRACES = 10;
/** Transfers looked at that found no region at a place, before it becomes a head. */
const HOT_TRANSFERS = 1024;
/** Times that a region is translated again for what became known of its indirect jumps. */
const MOST_GROWTHS = 3;
/** Places kept that are not hot yet; when there are more, all are forgotten. */
const MOST_CANDIDATES = 4096;
/**
 * Regions alive at a time: V8 takes some 115 KiB for each (docs/design/0005). When there are as many, the oldest of them go, so
 * many at once that V8 can free them together.
 */
export const MOST_REGIONS = 512;
export const OLDEST_REGIONS = 64;
/** Records that a region may need. */
const ROOM = 512 * RECORD_SIZE;

interface Entry {
  readonly table: number;
  readonly offset: number;
  readonly record: number;
}

interface Installed {
  readonly number: number;
  /** Of MMU_INDEX: what it can be entered with. */
  readonly mmuIndexes: readonly number[];
  readonly segments: string;
  /** The head, then where it is come back to. */
  readonly entries: readonly Entry[];
  readonly tables: readonly number[];
  /** By block: place of its last instruction, and the address of its word in the page's entry table. */
  readonly sites: readonly { readonly place: number; readonly word: number }[];
  /** Times that it was translated again for what its indirect jumps turned out to do. */
  readonly growths: number;
  /** What it covers, as `table + offset * 4`; kept for a probe only. */
  readonly places: ReadonlySet<number>;
}

export interface RegionCounters {
  translated: number;
  refused: number;
  dropped: number;
  /** The dropped ones by the reason: their code was written, there was no more room, another region took their place. */
  readonly reasons: Record<'written' | 'full' | 'replaced', number>;
  instructions: number;
  moduleBytes: number;
  milliseconds: number;
}

export class Regions {
  readonly #options: RegionsOptions;
  readonly #view: DataView;
  readonly #means: ReturnType<typeof meansOf>;
  /** Samples by place: the address of the word in the page's entry table. */
  readonly #samples = new Map<number, number>();
  /** The same of transfers that were looked at. */
  readonly #transfers = new Map<number, number>();
  readonly #indirect = new IndirectTargets();
  readonly #traces: Traces;
  /** What was seen from places that are about to become heads. */
  readonly #seen = new Map<number, Seen>();
  /** Where what is seen in the next trace belongs. */
  #traced: Seen | undefined;
  readonly #byNumber = new Map<number, Installed>();
  /** By the entry table of each page they lie on. */
  readonly #byTable = new Map<number, Set<Installed>>();
  readonly #free: number[] = Array.from({ length: FIRST_REGIONS }, (_, i) => FIRST_REGIONS - 1 - i);
  /** Regions there are now. */
  get alive(): number {
    return this.#byNumber.size;
  }
  readonly counters: RegionCounters = {
    translated: 0,
    refused: 0,
    dropped: 0,
    reasons: { written: 0, full: 0, replaced: 0 },
    instructions: 0,
    moduleBytes: 0,
    milliseconds: 0,
  };

  constructor(options: RegionsOptions) {
    this.#options = options;
    this.#view = new DataView(options.bytes.buffer);
    this.#means = meansOf();
    this.#traces = new Traces(options.cpu, options.mmu, options.bytes, options.variants, this.#indirect);
    options.code.onDrop = (table) => this.#dropped(table);
  }

  /** The guest is at RIP, after a slice whose last instruction was interpreted. True when a trace from there is wanted: then `traced`. */
  sample(): boolean {
    const { cpu, mmu } = this.#options;
    if (isNearLimit(cpu)) return false;
    const linear = linearOf(cpu, cpu.rip);
    cpu.set64(STATE.slowAddress, linear);
    const table = mmu.codeTable();
    if (table === 0) return false;
    const place = table + Number(linear & 4095n) * 4;
    const count = this.#heat(this.#samples, linear, table, HOT);
    if (count < HOT - TRACES) this.#traced = undefined;
    else {
      this.#traced = this.#seen.get(place) ?? new Set();
      this.#seen.set(place, this.#traced);
    }
    return this.#traced !== undefined;
  }

  /** A trace was taken from there. */
  traced(): void {
    if (this.#traced !== undefined) this.#traces.read(this.#traced);
    this.#traced = undefined;
  }

  /**
   * A region, entered by this record on the page at `home`, was left for RIP. `site` is the block whose indirect jump or call did
   * so, counted from 1, or 0.
   */
  transfer(record: number, site: number, home: bigint): void {
    const { cpu, mmu, code } = this.#options;
    if (isNearLimit(cpu)) return;
    const linear = linearOf(cpu, cpu.rip);
    const table = mmu.cachedCode(linear);
    if (table === 0) return;
    if (site !== 0) this.#learn(record, site, home);
    if (!code.isRegion(table, Number(linear & 4095n))) this.#heat(this.#transfers, linear, table, HOT_TRANSFERS);
  }

  /** Counts a linear address, which lies on this page; what is counted often enough is translated. The count before that. */
  #heat(counts: Map<number, number>, linear: bigint, table: number, hot: number): number {
    const offset = Number(linear & 4095n);
    const place = table + offset * 4;
    const count = (counts.get(place) ?? 0) + 1;
    if (counts.size === MOST_CANDIDATES) {
      counts.clear();
      this.#seen.clear();
    }
    counts.set(place, count);
    if (count < hot) return count;
    counts.delete(place);
    const seen = this.#seen.get(place);
    this.#seen.delete(place);
    const record = this.#options.code.known(table, offset);
    if (record !== 0 && !this.#serves(table, record)) this.translate(linear, table, offset, seen?.size === 0 ? undefined : seen);
    return 0;
  }

  /** Whether this is the record of a region for the privilege and the segments of now. */
  #serves(table: number, record: number): boolean {
    const there = [...(this.#byTable.get(table) ?? [])].find(({ entries }) => entries.some((entry) => entry.record === record));
    const { cpu } = this.#options;
    return there?.mmuIndexes.includes(cpu.get32(STATE.mmuIndex)) === true && there.segments === segmentsOf(cpu);
  }

  /** What an indirect jump of a region does; the region is translated again when there is enough to go by. */
  #learn(record: number, site: number, home: bigint): void {
    const { code, cpu } = this.#options;
    const region = this.#byNumber.get(this.#view.getUint32(record + REC.immediate, true));
    const at = region?.sites[site - 1];
    const head = region?.entries[0];
    if (region === undefined || at === undefined || head === undefined) return;
    const origin = home - BigInt((this.#view.getInt32(record + REC.immediate + 4, true) >> 8) * 4096);
    const distance = BigInt.asIntN(64, cpu.rip - origin) - BigInt(at.place);
    if (!this.#indirect.count(at.word, Number(distance)) || region.growths === MOST_GROWTHS) return;
    if (code.known(head.table, head.offset) !== head.record) return;
    this.translate(linearOf(cpu, origin + BigInt(head.offset)), head.table, head.offset, undefined, region.growths + 1);
  }

  /** Why the code at RIP is interpreted, in words; for a probe. */
  whyInterpreted(): string {
    const { cpu, mmu } = this.#options;
    if (isNearLimit(cpu)) return 'near the end of the code segment';
    const linear = linearOf(cpu, cpu.rip);
    const table = mmu.cachedCode(linear);
    const place = table + Number(linear & 4095n) * 4;
    const refused = this.#refusals.get(place);
    if (refused !== undefined) return `begins with ${refused}, which no region can`;
    for (const { places } of this.#byTable.get(table) ?? [])
      if (places.has(place)) return 'left a region, or came into the middle of one';
    return 'not hot yet';
  }
  /** The instruction at a place where nothing was translated, by `table + offset * 4`. */
  readonly #refusals = new Map<number, string>();

  /**
   * Translates the code at a linear address, which is a place in the page behind `table`, and installs it: what of it was `seen`,
   * or, without that, whatever was run. False when there is nothing to gain, or no room.
   */
  translate(linear: bigint, table: number, offset: number, seen?: Seen, growths = 0): boolean {
    const { code } = this.#options;
    if (!code.hasRoom(ROOM)) {
      code.flush();
      return false;
    }
    if (this.#byNumber.size >= MOST_REGIONS)
      for (const region of [...this.#byNumber.values()].slice(0, OLDEST_REGIONS)) this.#remove(region, 'full');
    const { probe } = this.#options;
    const begun = performance.now();
    this.#replace(table, offset);
    // The interpreter must have a record to go on with where the region does not hold.
    if (code.known(table, offset) === 0) return false;
    const { cpu, memory, decoder, variants } = this.#options;
    const source = new GuestCode(this.#options, this.#indirect, seen, linear - BigInt(offset), table);
    const region = new RegionReader(source, decoder, variants, cpu.get32(STATE.codeMode)).read(offset);
    if (region === undefined || !this.#begins(region.entries[0]?.instructions[0])) {
      if (probe !== undefined)
        this.#refusals.set(table + offset * 4, region?.entries[0]?.instructions[0]?.handler.mnemonic ?? 'what cannot be decoded');
      this.counters.refused++;
      return false;
    }
    const mmuIndex = cpu.get32(STATE.mmuIndex);
    const module = translateRegion(region, {
      base: cpu.base,
      mmuIndex,
      fetchTlb: cpu.get32(STATE.tlbExec),
      memoryPages: memory.buffer.byteLength / 65536,
      pages: source,
      segments: segmentForms(cpu),
      means: this.#means,
      computeNumber: this.#options.computeNumber,
      ...(probe !== undefined && { counter: (what: string) => probe.counter(what) }),
    });
    for (const { instructions } of region.blocks)
      for (const { place, insn } of instructions) this.#cover(source, place, insn.length);
    const number = this.#install(module, region, source);
    if (number < 0) return false;
    const installed: Installed = {
      number,
      mmuIndexes: mmuIndexesOf(region, mmuIndex),
      segments: segmentsOf(cpu),
      entries: this.#enter(region, source, number),
      tables: region.pages.map((page) => source.entryTable(page)),
      sites: region.blocks.map(({ instructions }) => {
        const { place } = instructions.at(-1) as RegionInstruction;
        return { place, word: source.word(place) };
      }),
      growths,
      places: new Set(probe === undefined ? [] : placesOf(region, source)),
    };
    for (const each of installed.tables) {
      const there = this.#byTable.get(each);
      if (there === undefined) this.#byTable.set(each, new Set([installed]));
      else there.add(installed);
    }
    this.#byNumber.set(number, installed);
    this.counters.translated++;
    const size = region.blocks.reduce((sum, { instructions }) => sum + instructions.length, 0);
    const ms = performance.now() - begun;
    this.counters.instructions += size;
    this.counters.moduleBytes += module.length;
    this.counters.milliseconds += ms;
    probe?.translated(linear, size, begun, ms);
    return true;
  }

  /** Puts the region before what is at its entries; where another region is entered already, that one stays. */
  #enter(region: Region, source: GuestCode, number: number): Entry[] {
    const { code } = this.#options;
    return region.entries.flatMap(({ place, instructions }, i) => {
      if (!this.#begins(instructions[0])) return [];
      const page = pageOfPlace(place);
      const [table, offset] = [source.entryTable(page), offsetOfPlace(place)];
      if (code.isRegion(table, offset)) return [];
      return { table, offset, record: code.enterRegion(table, offset, number, entryArgument(i, page)) };
    });
  }

  /** Compiles a module; its number in the table of regions, −1 when the host has no room for more code. */
  #install(module: Uint8Array<ArrayBuffer>, region: Region, source: GuestCode): number {
    const { memory, interpreter, compute, ticks, lockstep } = this.#options;
    const { plainRead, plainWrite, handler } = interpreter;
    const env = { memory, plainRead, plainWrite, handler, compute, ticks } as unknown as WebAssembly.ModuleImports;
    try {
      const instance = new WebAssembly.Instance(new WebAssembly.Module(module), { env });
      const number = this.#number();
      const run = instance.exports.region as (argument: number) => number;
      interpreter.regions.set(number, lockstep?.gate({ region, run, code: (page) => source.page(page) }) ?? run);
      return number;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.counters.refused++;
      return -1;
    }
  }

  /** What is entered here was made for another privilege, or knew less: only one can be. */
  #replace(table: number, offset: number): void {
    const record = this.#options.code.known(table, offset);
    for (const region of this.#byTable.get(table) ?? [])
      if (region.entries.some((entry) => entry.record === record)) this.#remove(region, 'replaced');
  }

  /** Everything decoded is gone. */
  clear(): void {
    for (const region of [...this.#byNumber.values()]) this.#remove(region, 'full');
    this.#samples.clear();
    this.#seen.clear();
    this.#transfers.clear();
    this.#indirect.clear();
    this.#refusals.clear();
  }

  #dropped(table: number): void {
    this.#options.cpu.set32(STATE.codeDropped, 1);
    for (const region of this.#byTable.get(table) ?? []) this.#remove(region, 'written');
    for (const counts of [this.#samples, this.#transfers, this.#seen])
      for (const place of counts.keys()) if (place >= table && place < table + 4096 * 4) counts.delete(place);
    this.#indirect.drop(table, table + 4096 * 4);
  }

  #remove(region: Installed, why: keyof RegionCounters['reasons']): void {
    const { code, interpreter } = this.#options;
    for (const { table, offset, record } of region.entries) code.leaveRegion(table, offset, record);
    for (const table of region.tables) {
      const there = this.#byTable.get(table);
      there?.delete(region);
      if (there?.size === 0) this.#byTable.delete(table);
    }
    interpreter.regions.set(region.number, null);
    this.#free.push(region.number);
    this.#byNumber.delete(region.number);
    this.counters.dropped++;
    this.counters.reasons[why]++;
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

  /** Entered at what only the interpreter can do, a region would be left at once. */
  #begins(first: RegionInstruction | undefined): boolean {
    return first !== undefined && this.#means(first) === 'inline';
  }
}

const placesOf = ({ blocks }: Region, source: GuestCode): number[] =>
  blocks.flatMap(({ instructions }) => instructions.map(({ place }) => source.word(place)));

/** What a region takes for granted of the segments, as text. */
const segmentsOf = (cpu: Cpu): string =>
  cpu.get32(STATE.codeMode) === CODE_MODE.code64 ? '' : JSON.stringify(segmentForms(cpu));

/** Where code at `rip` lies. */
const linearOf = (cpu: Cpu, rip: bigint): bigint => (rip + cpu.get64(STATE.codeBase)) & cpu.get64(STATE.linearMask);

/** Where the engine takes single steps because CS ends soon: what is fetched there must not come into the TLB. */
const isNearLimit = (cpu: Cpu): boolean =>
  cpu.get32(STATE.codeMode) !== CODE_MODE.code64 &&
  cpu.limit(SEGMENT.cs) !== 0xffff_ffff &&
  fetchRoom(cpu, cpu.get32(STATE.rip)) < 8192;

/** The guest's code around a page, as it is mapped now. */
class GuestCode implements CodeSource, RegionPages {
  readonly #options: RegionsOptions;
  readonly #indirect: IndirectTargets;
  /** All that a region may be made of; undefined: everything that was run. */
  readonly #seen: Seen | undefined;
  readonly #origin: bigint;
  readonly #tables = new Map<number, number>();

  constructor(options: RegionsOptions, indirect: IndirectTargets, seen: Seen | undefined, origin: bigint, table: number) {
    this.#options = options;
    this.#indirect = indirect;
    this.#seen = seen;
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
    if (table === 0 || this.#options.code.known(table, offsetOfPlace(place)) === 0) return false;
    return this.#seen === undefined || this.#seen.has(this.word(place));
  }

  /** Address of the word of this place in its page's entry table. */
  word(place: number): number {
    return this.entryTable(pageOfPlace(place)) + offsetOfPlace(place) * 4;
  }

  targets(place: number): readonly number[] {
    return this.#indirect.of(this.word(place)).map((distance) => place + distance);
  }

  record({ place, insn }: Parameters<RegionPages['record']>[0]): number {
    return this.#options.code.record(this.entryTable(pageOfPlace(place)), insn, offsetOfPlace(place));
  }
}
