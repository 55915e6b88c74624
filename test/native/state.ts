// Random CPU states that lie where instructions go wrong: boundaries, special floating-point values, pointers into the
// data window. Equal seeds give equal states.
import { DATA_BASE, DATA_SIZE } from './address-map.ts';
import type { CpuImage, CpuMode } from './cpu-image.ts';
import { ARITHMETIC_FLAGS, FLAG, FXSAVE, IMAGE } from './cpu-image.ts';
import type { Random } from './random.ts';

/** Halves of 64-bit integers, [low, high]. */
const INTEGERS: readonly (readonly [number, number])[] = [
  [0, 0],
  [1, 0],
  [2, 0],
  [0xffff_ffff, 0xffff_ffff],
  [0xffff_fffe, 0xffff_ffff],
  [0x7f, 0],
  [0x80, 0],
  [0xff, 0],
  [0x100, 0],
  [0xffff_ff80, 0xffff_ffff],
  [0x7fff, 0],
  [0x8000, 0],
  [0xffff, 0],
  [0x1_0000, 0],
  [0xffff_8000, 0xffff_ffff],
  [0x7fff_ffff, 0],
  [0x8000_0000, 0],
  [0xffff_ffff, 0],
  [0, 1],
  [0x8000_0000, 0xffff_ffff],
  [0xffff_ffff, 0x7fff_ffff],
  [0, 0x8000_0000],
  [1, 0x8000_0000],
  [0x5555_5555, 0x5555_5555],
  [0xaaaa_aaaa, 0xaaaa_aaaa],
  [0x99, 0],
  [0x9a, 0],
  [0x0f0f_0f0f, 0x0f0f_0f0f],
  [0x3f, 0],
  [0x40, 0],
  [0x1f, 0],
  [0x20, 0],
  [0x21, 0],
];

/** Binary32: zero, denormals, normal bounds, one, integers' bounds, infinity, quiet and signalling NaN. The sign is added. */
const SINGLES = [
  0, 1, 0x007f_ffff, 0x0080_0000, 0x0080_0001, 0x3f80_0000, 0x3f80_0001, 0x3f7f_ffff, 0x3f00_0000, 0x3fc0_0000, 0x4020_0000,
  0x4b00_0000, 0x4b7f_ffff, 0x4eff_ffff, 0x4f00_0000, 0x4f7f_ffff, 0x5f00_0000, 0x7f7f_ffff, 0x7f80_0000, 0x7f80_0001,
  0x7fbf_ffff, 0x7fc0_0000, 0x7fff_ffff,
];

/** Binary64, [low, high]: the same, and the bounds of binary32 and of 32- and 64-bit integers. */
const DOUBLES: readonly (readonly [number, number])[] = [
  [0, 0],
  [1, 0],
  [0xffff_ffff, 0x000f_ffff],
  [0, 0x0010_0000],
  [0, 0x3ff0_0000],
  [1, 0x3ff0_0000],
  [0xffff_ffff, 0x3fef_ffff],
  [0, 0x3fe0_0000],
  [0, 0x3ff8_0000],
  [0, 0x4004_0000],
  [0xffc0_0000, 0x41df_ffff],
  [0, 0x41e0_0000],
  [0xffff_ffff, 0x433f_ffff],
  [0, 0x4330_0000],
  [0, 0x43e0_0000],
  [0xe000_0000, 0x47ef_ffff],
  [0xf000_0000, 0x47ef_ffff],
  [0, 0x47f0_0000],
  [0, 0x3810_0000],
  [0, 0x36a0_0000],
  [0, 0x3690_0000],
  [0xffff_ffff, 0x7fef_ffff],
  [0, 0x7ff0_0000],
  [1, 0x7ff0_0000],
  [0xffff_ffff, 0x7ff7_ffff],
  [0, 0x7ff8_0000],
  [0xffff_ffff, 0x7fff_ffff],
];

/** Extended, [low, high, exponent]: the same, and pseudo-denormals, unnormals, pseudo-infinity, the integer and BCD bounds. */
const EXTENDEDS: readonly (readonly [number, number, number])[] = [
  [0, 0, 0],
  [1, 0, 0],
  [0xffff_ffff, 0x7fff_ffff, 0],
  [0, 0x8000_0000, 0],
  [0, 0x8000_0000, 1],
  [0, 0x8000_0000, 0x3fff],
  [1, 0x8000_0000, 0x3fff],
  [0xffff_ffff, 0xffff_ffff, 0x3ffe],
  [0, 0x8000_0000, 0x3ffe],
  [0, 0xc000_0000, 0x3fff],
  [0, 0xa000_0000, 0x4000],
  [0x2168_c235, 0xc90f_daa2, 0x4000],
  [0, 0xfffe_0000, 0x400d],
  [0, 0x8000_0000, 0x400e],
  [0, 0xffff_fffe, 0x401d],
  [0, 0x8000_0000, 0x401e],
  [0xffff_fffe, 0xffff_ffff, 0x403d],
  [0, 0x8000_0000, 0x403e],
  [0x763f_ffff, 0xde0b_6b3a, 0x403a],
  [0, 0x8000_0000, 0x3f81],
  [0, 0x8000_0000, 0x407f],
  [0, 0xffff_ff00, 0x407e],
  [0, 0x8000_0000, 0x3c01],
  [0, 0x8000_0000, 0x43ff],
  [0xffff_f800, 0xffff_ffff, 0x43fe],
  [0xffff_ffff, 0xffff_ffff, 0x7ffe],
  [0, 0x8000_0000, 0x7fff],
  [0, 0, 0x7fff],
  [1, 0x8000_0000, 0x7fff],
  [0, 0xc000_0000, 0x7fff],
  [0xffff_ffff, 0xffff_ffff, 0x7fff],
  [0, 0x4000_0000, 0x4000],
  [1, 0, 0x3fff],
  [1, 0, 0x7fff],
];

/** What to vary; by default everything but unmasked floating-point exceptions, TF and AC. */
export interface StateOptions {
  /** One state in so many has some SSE and x87 exceptions unmasked; 0: none. */
  readonly unmaskOneIn?: number;
  /** One state in so many has AC set, so that misaligned accesses fault; 0: none. */
  readonly alignmentCheckOneIn?: number;
  /** One state in so many has TF set, so that #DB follows the first instruction; 0: none. */
  readonly singleStepOneIn?: number;
}

/** Makes states from one stream of random numbers. */
export class StateGenerator {
  readonly #random: Random;
  readonly #options: Required<StateOptions>;
  /** What a pointer to the start of the data window holds. */
  #base = DATA_BASE;
  /** A pool of values for the data windows and the vector registers, each of which is a stretch of it. */
  readonly #pool = new Uint32Array(32_768);

  constructor(random: Random, options: StateOptions = {}) {
    this.#random = random;
    this.#options = { unmaskOneIn: 0, alignmentCheckOneIn: 0, singleStepOneIn: 0, ...options };
    for (let i = 0; i < this.#pool.length; i += 2) this.#lane(this.#pool, i);
  }

  /** Overwrites all of `image` with a state for `mode`, RIP at the entry point. In 16-bit mode pointers are offsets in the window. */
  fill(image: CpuImage, mode: CpuMode): void {
    const random = this.#random;
    const options = this.#options;
    this.#base = mode === 16 ? 0 : DATA_BASE;
    for (let reg = 0; reg < 16; reg++) this.#integer(image, reg);
    if (mode !== 64) for (let i = 0; i < 32; i++) if (i >= 16 || i & 1) image.gpr32[i] = 0;
    const stack = this.#base + DATA_SIZE / 4 + random.below(DATA_SIZE / 2);
    if (!random.oneIn(16)) this.#store(image, 4, random.oneIn(4) ? stack : stack & ~7, 0);
    image.setMode(mode);
    image.fsBase = image.gsBase = 0n;
    image.rflags =
      (random.u32() & ARITHMETIC_FLAGS) |
      2 |
      FLAG.if |
      (random.oneIn(4) ? FLAG.df : 0) |
      (chance(random, options.alignmentCheckOneIn) ? FLAG.ac : 0) |
      (chance(random, options.singleStepOneIn) ? FLAG.tf : 0);
    this.#fromPool(image, IMAGE.data, DATA_SIZE / 4);
    this.#sse(image);
    this.#x87(image);
  }

  #store(image: CpuImage, reg: number, low: number, high: number): void {
    image.gpr32[2 * reg] = low;
    image.gpr32[2 * reg + 1] = high;
  }

  #integer(image: CpuImage, reg: number): void {
    const random = this.#random;
    switch (random.below(6)) {
      case 0:
      case 1: // into the window, now and then across one of its ends
        this.#store(image, reg, this.#base - (random.oneIn(32) ? 64 : 0) + random.below(DATA_SIZE), 0);
        break;
      case 2: {
        const [low, high] = random.pick(INTEGERS);
        this.#store(image, reg, low, high);
        break;
      }
      case 3: {
        // one bit more or less than a power of two
        const bit = random.below(64);
        const low = bit < 32 ? (1 << bit) >>> 0 : 0;
        const high = bit < 32 ? 0 : (1 << (bit - 32)) >>> 0;
        const low2 = low + random.below(3) - 1;
        const borrow = low2 < 0 ? 1 : 0;
        const flip = random.oneIn(2) ? 0xffff_ffff : 0;
        this.#store(image, reg, low2 ^ flip, (high - borrow) ^ flip);
        break;
      }
      case 4: // a small count
        this.#store(image, reg, random.below(80), 0);
        break;
      default:
        this.#store(image, reg, random.u32(), random.u32());
        break;
    }
  }

  /** Copies `words` 32-bit words of the pool to an offset of the image. */
  #fromPool(image: CpuImage, offset: number, words: number): void {
    const start = this.#random.below((this.#pool.length - words) / 2) * 2;
    new Uint32Array(image.bytes.buffer, image.bytes.byteOffset + offset, words).set(this.#pool.subarray(start, start + words));
  }

  /** Eight bytes for a vector register: two singles, a double, integers or noise. */
  #lane(words: Uint32Array, at: number): void {
    const random = this.#random;
    switch (random.below(4)) {
      case 0:
        for (let i = 0; i < 2; i++) words[at + i] = random.pick(SINGLES) | (random.u32() & 0x8000_0000);
        break;
      case 1: {
        const [low, high] = random.pick(DOUBLES);
        words[at] = low;
        words[at + 1] = high | (random.u32() & 0x8000_0000);
        break;
      }
      case 2: {
        // ordinary numbers, of like magnitude so that sums are interesting
        const single = random.oneIn(2);
        for (let i = 0; i < 2; i++)
          words[at + i] = single ? (0x3f00_0000 + random.below(0x0180_0000)) | (random.u32() & 0x8000_0000) : random.u32();
        if (!single) words[at + 1] = (0x3fe0_0000 + random.below(0x0030_0000)) | (random.u32() & 0x8000_0000);
        break;
      }
      default: {
        const [low, high] = random.pick(INTEGERS);
        words[at] = random.oneIn(3) ? random.u32() : low;
        words[at + 1] = random.oneIn(3) ? random.u32() : high;
      }
    }
  }

  #sse(image: CpuImage): void {
    const random = this.#random;
    this.#fromPool(image, IMAGE.fxsave + FXSAVE.xmm, 64);
    // Two equal or nearly equal registers are likelier than chance has it: comparisons need them.
    if (random.oneIn(4)) image.xmm.copyWithin(2 * random.below(16), 0, 2);
    this.#fromPool(image, IMAGE.ymmHigh, 64);
    // Rounding control, and now and then sticky flags, FTZ and DAZ.
    image.mxcsr =
      0x1f80 |
      (random.oneIn(2) ? 0 : random.below(4) << 13) |
      (random.oneIn(4) ? random.u32() & 0x3f : 0) |
      (random.oneIn(8) ? 0x8000 : 0) |
      (random.oneIn(8) ? 0x40 : 0);
    if (chance(random, this.#options.unmaskOneIn)) image.mxcsr = image.mxcsr & ~0x3f & ~(random.u32() & 0x1f80);
  }

  #x87(image: CpuImage): void {
    const random = this.#random;
    const { fxsave } = image;
    fxsave.fill(0, 0, FXSAVE.mxcsr);
    fxsave.fill(0, FXSAVE.end);
    const view = image.view;
    for (let i = 0; i < 8; i++) {
      const at = IMAGE.fxsave + FXSAVE.st + 16 * i;
      let [low, high, exponent] = random.pick(EXTENDEDS);
      if (random.oneIn(2)) {
        low = random.oneIn(2) ? random.u32() : 0;
        high = random.u32() | 0x8000_0000;
        exponent = random.oneIn(3) ? random.u32() & 0x7fff : 0x3fff - 20 + random.below(40);
        if (exponent === 0) high &= 0x7fff_ffff;
      }
      view.setUint32(at, low, true);
      view.setUint32(at + 4, high, true);
      view.setUint32(at + 8, exponent | (random.u32() & 0x8000), true);
      view.setUint32(at + 12, 0, true);
    }
    // Precision and rounding control (1 is a reserved precision), condition codes, TOP, and which registers are empty.
    image.fcw = 0x7f | (random.oneIn(2) ? 0x300 : random.pick([0, 0x200, 0x300])) | (random.below(4) << 10);
    image.fsw = (random.u32() & 0x4700) | (random.below(8) << 11) | (random.oneIn(4) ? random.u32() & 0x3f : 0);
    image.ftw = random.oneIn(3) ? random.u32() & 0xff : 0xff;
    if (chance(random, this.#options.unmaskOneIn)) {
      image.fcw &= ~(random.u32() & 0x3f);
      image.fsw &= ~0x3f;
    }
    // SF is a part of IE: never alone.
    if ((image.fsw & 0x41) === 0x40) image.fsw &= ~0x40;
  }
}

function chance(random: Random, oneIn: number): boolean {
  return oneIn > 0 && random.oneIn(oneIn);
}
