// Machine code under construction: bytes, labels, and places that are known only when all of it is there.
import type { CpuMode } from '../native/cpu-image.ts';
import { CODE, FUEL, WINDOWS } from './tier-map.ts';

/** As jumps want it; the same in the other mapping of its page; linear, whatever CS's base is. */
type AddressKind = 'absolute' | 'alias' | 'linear';

export interface Label {
  at: number | undefined;
  readonly uses: { readonly at: number; readonly size: 1 | 4 | AddressKind }[];
}

const NOP = 0x90;

export class ProgramWriter {
  readonly bits: CpuMode;
  readonly code: Uint8Array<ArrayBuffer> = new Uint8Array(CODE.bytes).fill(NOP);
  /** Offsets where loops begin. */
  readonly heads: number[] = [];
  /** Where the next byte goes. */
  at = 0;
  readonly #labels: Label[] = [];
  readonly #late: (() => void)[] = [];

  constructor(bits: CpuMode) {
    this.bits = bits;
  }

  label(): Label {
    const label: Label = { at: undefined, uses: [] };
    this.#labels.push(label);
    return label;
  }
  place(label: Label): void {
    label.at = this.at;
  }
  bytes(...bytes: readonly number[]): void {
    this.code.set(bytes, this.at);
    this.at += bytes.length;
  }
  /** An instruction whose operands have 32 bits (64, if it is one of those) in every mode. */
  wide(...bytes: readonly number[]): void {
    if (this.bits === 16) this.bytes(0x66);
    this.bytes(...bytes);
  }
  /** With a distance of 32 bits behind `opcode`. */
  relative(opcode: readonly number[], label: Label): void {
    this.wide(...opcode);
    label.uses.push({ at: this.at, size: 4 });
    this.bytes(0, 0, 0, 0);
  }
  /** With the distance of a label that is near, and comes. */
  short(opcode: number, label: Label): void {
    this.bytes(opcode);
    label.uses.push({ at: this.at, size: 1 });
    this.bytes(0);
  }
  /** The address of a label, in 32 bits. */
  address(label: Label, size: AddressKind = 'absolute'): void {
    label.uses.push({ at: this.at, size });
    this.bytes(0, 0, 0, 0);
  }
  /** An instruction with an address of its own in 32 bits, flat: `opcode` ends with a ModRM and a SIB byte for that. */
  flat(opcode: readonly number[], address: number): void {
    this.flatPrefix();
    this.bytes(...opcode, ...u32(address));
  }
  /** Outside of 64-bit code GS stays as it is. */
  flatPrefix(): void {
    this.bytes(...{ 64: [], 32: [0x65], 16: [0x66, 0x67, 0x65] }[this.bits]);
  }
  /** DEC d[fuel]: SF when there is no more. */
  burn(): void {
    this.flat([0xff, 0x0c, 0x25], FUEL);
  }
  /** To be done when all labels have their places. */
  later(work: () => void): void {
    this.#late.push(work);
  }
  put32(at: number, value: number): void {
    this.code.set(u32(value), at);
  }

  /** Fills in what was left open; labels without a place lead to `end`. */
  resolve(end: Label): void {
    for (const label of this.#labels) {
      label.at ??= end.at;
      for (const { at, size } of label.uses) {
        const target = label.at ?? 0;
        if (size === 1) this.code[at] = target - at - 1;
        else if (size === 4) this.put32(at, target - at - 4);
        else this.put32(at, this.#base(size) + target);
      }
    }
    for (const late of this.#late) late();
  }
  #base(kind: AddressKind): number {
    if (kind === 'alias') return WINDOWS.alias.at;
    return kind === 'absolute' && this.bits === 16 ? 0 : CODE.at;
  }
}

export const u32 = (value: number): [number, number, number, number] => [
  value & 0xff,
  (value >>> 8) & 0xff,
  (value >>> 16) & 0xff,
  value >>> 24,
];
