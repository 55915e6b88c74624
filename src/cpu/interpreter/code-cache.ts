// Decoded code, kept by physical page and code mode. A page has an entry table (one u32 an offset: the address of the
// record of the instruction that starts there, or 0); records of a block lie behind each other.
import type { Gfn, HostAddress } from '../../abi/types.ts';
import type { Region } from '../../memory/arena.ts';
import { type GuestMemory, P2M } from '../../memory/guest-memory.ts';
import { CODE_MODE, SEG, SEGMENT, STATE } from '../state.ts';
import { BASE_RIP, DECODE, type Decoder, Instruction, NO_REGISTER } from '../x86/decoder.ts';
import { CROSSING, CROSSINGS, crossingOffset } from './crossing-function.ts';
import { EA, REC, RECORD_SIZE, SPECIAL, SPECIAL_COUNT } from './record.ts';
import type { Variants } from './variants.ts';

const TABLE_BYTES = 4096 * 4;
/** Most instructions decoded at a time. */
const BLOCK_LIMIT = 64;
/** Records of known code that are repeated where a block runs into it. */
const REPEATED = 8;
/** A store invalidates decoded code only within its chunk of this many bytes. */
const CHUNK_SHIFT = 7;

/** Instructions across a page border are kept apart. */
const CROSSINGS_AT = 64;

class CodePage {
  readonly gfn: Gfn;
  readonly host: HostAddress;
  readonly mode: number;
  readonly table: number;
  /** One bit for each 128 bytes that hold decoded instructions. */
  chunks = 0;
  /** Address ranges of this page's records: pairs of start, end. */
  readonly records: number[] = [];
  constructor(gfn: Gfn, host: HostAddress, mode: number, table: number) {
    this.gfn = gfn;
    this.host = host;
    this.mode = mode;
    this.table = table;
  }
}

/** Address of the first CROSSING of a code cache that lies in a region. */
export const crossingsOf = (region: Region): number => region.at + CROSSINGS_AT;

export class CodeCache {
  readonly #memory: GuestMemory;
  readonly #region: Region;
  readonly #decoder: Decoder;
  readonly #variants: Variants;
  /** By number: 1 for handlers that are not there yet. */
  readonly #late: Uint8Array;
  readonly #insn = new Instruction();
  /** By gfn * 4 + mode. */
  readonly #pages = new Map<number, CodePage>();
  readonly #byTable = new Map<number, CodePage>();
  #next: number;
  /** A word that stays 0: where branches that leave the page find "no record". */
  readonly #never: number;
  /** Called when everything was dropped: execute TLBs hold addresses of entry tables. */
  onFlush: () => void = () => {};
  /** The handler of this number is needed, for the first time; see Handler.late. */
  onLate: (handler: number) => void = () => {};
  /** Called when a page first gets decoded code: write TLBs must not reach it any more. */
  onCodePage: (gfn: Gfn) => void = () => {};
  /** Called when a page's decoded code was dropped, by the address of its entry table. */
  onDrop: (table: number) => void = () => {};
  decoded = 0;
  flushes = 0;
  /** Bytes in use, and how many there are. */
  get used(): number {
    return this.#next - this.#region.at;
  }
  get size(): number {
    return this.#region.size;
  }

  constructor(memory: GuestMemory, region: Region, decoder: Decoder, variants: Variants) {
    this.#memory = memory;
    this.#region = region;
    this.#decoder = decoder;
    this.#variants = variants;
    this.#late = new Uint8Array(SPECIAL_COUNT + variants.handlers.length);
    for (const { index, late } of variants.handlers) if (late) this.#late[index] = 1;
    this.#never = region.at;
    this.#next = this.#first;
  }

  get #first(): number {
    return this.crossings + CROSSINGS * CROSSING.sizeof;
  }

  /** Where the records for an instruction that crosses out of its page go: two records, outside of any page. */
  crossing(record: number): number {
    return this.crossings + crossingOffset(record);
  }
  /** Address of the first CROSSING. */
  get crossings(): number {
    return crossingsOf(this.#region);
  }

  /** The page an entry table belongs to. */
  hostOf(table: number): number {
    return this.#byTable.get(table)?.host ?? 0;
  }

  /** Entry table of a physical page in a code mode, made if new. */
  table(gfn: Gfn, host: HostAddress, mode: number): number {
    const key = gfn * 4 + mode;
    let page = this.#pages.get(key);
    if (page !== undefined && page.host === host) return page.table;
    const table = this.#take(TABLE_BYTES);
    page = new CodePage(gfn, host, mode, table);
    this.#pages.set(key, page);
    this.#byTable.set(table, page);
    return table;
  }

  /** Entry table of a physical page in a code mode, 0 if none was made. */
  existing(gfn: Gfn, mode: number): number {
    return this.#pages.get(gfn * 4 + mode)?.table ?? 0;
  }

  /** Whether so many bytes can be had before everything has to be dropped. */
  hasRoom(bytes: number): boolean {
    return this.#next + bytes <= this.#region.at + this.#region.size;
  }

  /** Address of the record of the instruction at `offset`, 0 if it was not decoded. */
  known(table: number, offset: number): number {
    return this.#memory.u32[(table >>> 2) + offset] as number;
  }

  /** Makes stores to these bytes drop the page's decoded code. */
  cover(table: number, offset: number, length: number): void {
    const page = this.#byTable.get(table);
    if (page === undefined) throw new Error('cover: the entry table is gone');
    if (page.chunks === 0) {
      this.#memory.flag(page.gfn, P2M.code, 0);
      this.onCodePage(page.gfn);
    }
    for (let chunk = offset >> CHUNK_SHIFT; chunk <= (offset + length - 1) >> CHUNK_SHIFT; chunk++) page.chunks |= 1 << chunk;
  }

  /** A record of its own for an instruction at `offset`, outside of any block. There must be room for it. */
  record(table: number, insn: Instruction, offset: number): number {
    const page = this.#byTable.get(table);
    if (page === undefined) throw new Error('record: the entry table is gone');
    const at = this.#take(RECORD_SIZE);
    this.#write(at, insn, offset, page);
    return at;
  }

  /** From now on what goes to `offset` finds the region of this number, called with `argument`. Returns the address of its record. */
  enterRegion(table: number, offset: number, number: number, argument: number): number {
    const page = this.#byTable.get(table);
    if (page === undefined) throw new Error('enterRegion: the entry table is gone');
    const at = this.#take(RECORD_SIZE);
    this.#special(at, SPECIAL.region, offset, 0, number);
    this.#memory.view.setUint32(at + REC.immediate + 4, argument, true);
    this.#memory.view.setUint32(at + REC.displacement, this.known(table, offset), true);
    page.records.push(at, at + RECORD_SIZE);
    this.#memory.u32[(table >>> 2) + offset] = at;
    return at;
  }

  /** Whether what goes to `offset` finds a region. */
  isRegion(table: number, offset: number): boolean {
    const record = this.known(table, offset);
    return record !== 0 && this.#memory.view.getUint16(record + REC.op, true) === SPECIAL.region;
  }

  /** Undoes `enterRegion`. */
  leaveRegion(table: number, offset: number, record: number): void {
    const { u32, view } = this.#memory;
    const word = (table >>> 2) + offset;
    if (u32[word] === record) u32[word] = view.getUint32(record + REC.displacement, true);
    view.setUint16(record + REC.op, SPECIAL.resync, true);
  }

  /** Decodes a block at `offset` of the page behind `table`; returns the address of its first record. */
  decode(table: number, offset: number): number {
    let page = this.#byTable.get(table);
    if (page === undefined) throw new Error('decode: the entry table is gone');
    if (this.#next + (BLOCK_LIMIT + REPEATED + 2) * RECORD_SIZE > this.#region.at + this.#region.size) {
      const { gfn, host, mode } = page;
      this.flush();
      page = this.#byTable.get(this.table(gfn, host, mode)) as CodePage;
    }
    const { u8, u32 } = this.#memory;
    const { host, mode } = page;
    const words = page.table >>> 2;
    if (page.chunks === 0) {
      this.#memory.flag(page.gfn, P2M.code, 0);
      this.onCodePage(page.gfn);
    }
    const insn = this.#insn;
    const end = host + 4096;
    const first = this.#next;
    let record = first;
    let at = offset;
    let ended = false;
    let previous = -1;
    const finish = (op: number, length: number, target = 0): void => {
      this.#special(record, op, at, length, target);
      record += RECORD_SIZE;
    };
    for (let count = 0; ; count++) {
      if (at >= 4096) {
        finish(SPECIAL.resync, 0);
        break;
      }
      if (count === BLOCK_LIMIT || ended) {
        // What comes after is decoded only when it is reached.
        finish(SPECIAL.link, 0, page.table + at * 4);
        break;
      }
      const known = u32[words + at] as number;
      if (known !== 0) {
        // A region may go while this page stays: nothing but the entry table may lead to it.
        if (this.#memory.view.getUint16(known + REC.op, true) === SPECIAL.region) {
          finish(SPECIAL.link, 0, page.table + at * 4);
          break;
        }
        this.#join(previous, this.#variants.single(this.#memory.view.getUint16(known + REC.op, true)), record);
        record = this.#repeat(known, record);
        break;
      }
      const status = this.#decoder.decode(u8, host + at, end, mode, insn);
      if (status !== DECODE.ok) {
        u32[words + at] = record;
        if (status === DECODE.truncated) finish(SPECIAL.cross, 0);
        else finish(status === DECODE.tooLong ? SPECIAL.tooLong : SPECIAL.invalid, 0);
        at += 1;
        break;
      }
      u32[words + at] = record;
      const op = this.#write(record, insn, at, page);
      this.#join(previous, op, record);
      previous = op;
      record += RECORD_SIZE;
      at += insn.length;
      this.decoded++;
      ended = insn.row?.semantics.endsBlock === true;
    }
    this.#next = record;
    page.records.push(first, record);
    for (let chunk = offset >> CHUNK_SHIFT; chunk <= (Math.min(at, 4096) - 1) >> CHUNK_SHIFT; chunk++) page.chunks |= 1 << chunk;
    return first;
  }

  /**
   * Goes on with code that is decoded already: a few of its records again, then a `goto`. Code falls into loops and joins far
   * more often than it is decoded, and each `goto` is a dispatch. Returns the address after the last record.
   */
  #repeat(known: number, record: number): number {
    const { u8, view } = this.#memory;
    let from = known;
    let to = record;
    for (let count = 0; count < REPEATED; count++) {
      u8.copyWithin(to, from, from + RECORD_SIZE);
      if (view.getUint16(from + REC.op, true) < SPECIAL_COUNT) return to + RECORD_SIZE; // a copied end works as it is
      from += RECORD_SIZE;
      to += RECORD_SIZE;
    }
    const last = to - RECORD_SIZE + REC.op;
    view.setUint16(last, this.#variants.single(view.getUint16(last, true)), true);
    this.#special(to, SPECIAL.goto, view.getUint16(from + REC.offset, true), 0, from);
    return to + RECORD_SIZE;
  }

  /** The record before `record` does both instructions, if there is a handler for that. */
  #join(previous: number, op: number, record: number): void {
    const pair = this.#variants.pair(previous, op);
    if (pair >= 0) this.#memory.view.setUint16(record - RECORD_SIZE + REC.op, pair, true);
  }

  /** Decodes one instruction from `bytes` into a record at `record`, as if it lay at `offset` of a page. Returns DECODE. */
  decodeOne(bytes: Uint8Array, mode: number, offset: number, record: number): number {
    const status = this.#decoder.decode(bytes, 0, bytes.length, mode, this.#insn);
    if (status === DECODE.ok) {
      this.#write(record, this.#insn, offset, undefined);
      this.#special(record + RECORD_SIZE, SPECIAL.resync, offset + this.#insn.length, 0, 0);
    }
    return status;
  }
  /** Length of the last instruction `decodeOne` decoded. */
  get lastLength(): number {
    return this.#insn.length;
  }

  /** A store to `size` bytes at `offset` of a frame: drops what was decoded from them. True if anything was dropped. */
  stored(gfn: Gfn, offset: number, size: number): boolean {
    let dropped = false;
    for (let mode = 0; mode <= CODE_MODE.code64; mode++) {
      const page = this.#pages.get(gfn * 4 + mode);
      if (page === undefined || page.chunks === 0) continue;
      let mask = 0;
      for (let chunk = offset >> CHUNK_SHIFT; chunk <= (offset + size - 1) >> CHUNK_SHIFT; chunk++) mask |= 1 << chunk;
      if ((page.chunks & mask) === 0) continue;
      this.#drop(page);
      dropped = true;
    }
    return dropped;
  }

  /** Drops a frame's decoded code whole (its memory was replaced). */
  invalidate(gfn: Gfn): void {
    for (let mode = 0; mode <= CODE_MODE.code64; mode++) {
      const page = this.#pages.get(gfn * 4 + mode);
      if (page === undefined) continue;
      this.#drop(page);
      this.#pages.delete(gfn * 4 + mode);
    }
    this.#memory.flag(gfn, 0, P2M.code);
  }

  /** Drops everything. */
  flush(): void {
    for (const page of this.#byTable.values()) {
      this.#stale(page);
      this.#memory.flag(page.gfn, 0, P2M.code);
    }
    this.#pages.clear();
    this.#byTable.clear();
    for (let i = 0; i < CROSSINGS; i++) this.#memory.u32[(this.crossings + i * CROSSING.sizeof + CROSSING.from) >>> 2] = 0;
    // Records may still be executing: the first words of the region are reused only by a later decode.
    this.#next = this.#first;
    this.flushes++;
    this.onFlush();
  }

  #take(bytes: number): number {
    if (this.#next + bytes > this.#region.at + this.#region.size) this.flush();
    const at = this.#next;
    this.#next += bytes;
    this.#memory.u8.fill(0, at, at + bytes);
    return at;
  }

  #drop(page: CodePage): void {
    this.#stale(page);
    this.#memory.u8.fill(0, page.table, page.table + TABLE_BYTES);
    page.records.length = 0;
    page.chunks = 0;
    this.onDrop(page.table);
    const others = [0, 1, 2].some((mode) => (this.#pages.get(page.gfn * 4 + mode)?.chunks ?? 0) !== 0);
    if (!others) this.#memory.flag(page.gfn, 0, P2M.code);
  }

  /** Turns a page's records into "look again", so that code running off them notices. */
  #stale(page: CodePage): void {
    const { view } = this.#memory;
    for (let i = 0; i < page.records.length; i += 2) {
      const end = page.records[i + 1] as number;
      for (let record = page.records[i] as number; record < end; record += RECORD_SIZE)
        view.setUint16(record + REC.op, SPECIAL.resync, true);
    }
  }

  #special(record: number, op: number, offset: number, length: number, target: number): void {
    const { view } = this.#memory;
    view.setUint16(record + REC.op, op, true);
    view.setUint8(record + REC.length, length);
    view.setUint16(record + REC.offset, offset, true);
    view.setUint32(record + REC.immediate, target, true);
  }

  /** Returns the handler number. */
  #write(record: number, insn: Instruction, offset: number, page: CodePage | undefined): number {
    const { view } = this.#memory;
    const row = insn.row;
    if (row === undefined) throw new Error('no row');
    const mode = page?.mode ?? this.mode;
    const long = mode === CODE_MODE.code64;
    const op = this.#variants.find(row, insn, long);
    if (op < 0) throw new Error(`no handler for ${row.mnemonic}`);
    if (this.#late[op] === 1) {
      this.#late[op] = 0;
      this.onLate(op);
    }
    view.setUint16(record + REC.op, op, true);
    view.setUint8(record + REC.length, insn.length);
    view.setUint8(record + REC.segment, insn.segment);
    view.setUint16(record + REC.offset, offset, true);
    view.setInt32(record + REC.displacement, insn.immediate2, true);
    view.setInt32(record + REC.immediate, insn.immediate, true);
    view.setInt32(record + REC.immediate + 4, insn.immediateHigh, true);
    let nth = 0;
    for (const spec of row.operands) {
      let slot = -1;
      switch (spec.source) {
        case 'E':
        case 'R':
          if (!insn.memory) slot = general(insn, insn.rm, spec.size === 1);
          break;
        case 'G':
          slot = general(insn, insn.reg, spec.size === 1);
          break;
        case 'Z':
          slot = general(insn, insn.opcodeRegister, spec.size === 1);
          break;
        case 'V':
          slot = STATE.xmm + insn.reg * 16;
          break;
        case 'W':
        case 'U':
          if (!insn.memory) slot = STATE.xmm + insn.rm * 16;
          break;
        case 'B':
          slot = STATE.gpr + insn.vvvv * 8;
          break;
        case 'H':
          slot = STATE.xmm + insn.vvvv * 16;
          break;
        case 'L':
          slot = STATE.xmm + insn.register4 * 16;
          break;
        case 'K':
          slot = STATE.xmm + insn.vectorIndex * 16;
          break;
        case 'P':
          slot = STATE.x87 + (insn.reg & 7) * 16;
          break;
        case 'Q':
        case 'N':
          if (!insn.memory) slot = STATE.x87 + (insn.rm & 7) * 16;
          break;
        case 'S': // REX.R does not reach segment registers
          slot = insn.reg & 7;
          break;
        case 'C':
        case 'D':
          slot = insn.reg;
          break;
        case 'J':
          this.#writeBranch(record, insn, offset, page, long);
          break;
        default:
          break;
      }
      if (slot >= 0) view.setUint16(record + REC.reg0 + 2 * nth++, slot, true);
    }
    if (insn.memory) this.#writeAddress(record, insn, offset, long);
    // String instructions have no ModRM, but their source has a segment.
    else view.setUint16(record + REC.segmentBase, segmentBaseSlot(insn, long), true);
    // The x87 helper wants the ModRM byte and the opcode.
    if (row.map === 0 && (row.opcode & 0xf8) === 0xd8) view.setUint16(record + REC.reg2, (row.opcode << 8) | insn.modrm, true);
    return op;
  }

  /** Mode for records outside any page. */
  mode = 0;

  #writeBranch(record: number, insn: Instruction, offset: number, page: CodePage | undefined, long: boolean): void {
    const { view } = this.#memory;
    view.setInt32(record + REC.displacement, insn.immediate, true);
    view.setUint8(record + REC.segment, long ? 0 : insn.osize === 2 ? 2 : 1);
    const target = offset + insn.length + insn.immediate;
    const inside = page !== undefined && (long || insn.osize === 4) && target >= 0 && target < 4096;
    view.setUint32(record + REC.immediate, inside ? page.table + target * 4 : this.#never, true);
  }

  #writeAddress(record: number, insn: Instruction, offset: number, long: boolean): void {
    const { view } = this.#memory;
    let { displacement } = insn;
    let base: number = insn.base === NO_REGISTER ? STATE.zero : STATE.gpr + insn.base * 8;
    if (insn.base === BASE_RIP) {
      base = STATE.ripBase;
      displacement += offset + insn.length;
    }
    const index = insn.index === NO_REGISTER ? STATE.zero : STATE.gpr + insn.index * 8;
    const segmentBase = segmentBaseSlot(insn, long);
    const fits32 = displacement === (displacement | 0) && (insn.displacementHigh === 0 || insn.displacementHigh === -1);
    const signed = insn.displacementHigh === (insn.displacement < 0 ? -1 : 0);
    let kind: number = EA.simple;
    if (!long || insn.asize !== 8) kind = insn.asize === 2 ? EA.slow16 : long ? EA.slow32 : EA.legacy32;
    else if (!fits32 || !signed) {
      if (insn.base === BASE_RIP) {
        kind = EA.ripWide;
        displacement = insn.displacement;
      } else kind = EA.absolute;
    } else if (insn.index !== NO_REGISTER || segmentBase !== STATE.zero) kind = EA.full;
    view.setUint16(record + REC.base, base, true);
    view.setUint16(record + REC.index, index, true);
    view.setUint16(record + REC.segmentBase, segmentBase, true);
    view.setUint8(record + REC.scale, insn.scale);
    view.setUint8(record + REC.addressing, kind);
    if (kind === EA.absolute) {
      view.setInt32(record + REC.immediate, insn.displacement, true);
      view.setInt32(record + REC.immediate + 4, insn.displacementHigh, true);
    } else view.setInt32(record + REC.displacement, displacement, true);
  }
}

/** State offset of the base that is added: in 64-bit code FS and GS have one, the others count as 0. */
function segmentBaseSlot(insn: Instruction, long: boolean): number {
  const based = !long || insn.segment === SEGMENT.fs || insn.segment === SEGMENT.gs;
  return based ? STATE.seg + insn.segment * SEG.sizeof + SEG.base : STATE.zero;
}

/** State offset of a general register; byte registers 4..7 without REX are AH, CH, DH, BH. */
function general(insn: Instruction, register: number, byte: boolean): number {
  if (byte && insn.rex === 0 && register >= 4) return STATE.gpr + (register - 4) * 8 + 1;
  return STATE.gpr + register * 8;
}
