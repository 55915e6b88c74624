// The environment of a floating-point operation: controls in, flags out. One object is reused by its owner.

/** Exception flags, at the bit positions of MXCSR and of the x87 status word (SDM vol. 1, 8.1.3 and 10.2.3). */
export const FLAG = {
  /** Invalid operation. */
  IE: 0x01,
  /** Denormal operand. */
  DE: 0x02,
  /** Division of a finite number by zero. */
  ZE: 0x04,
  /** Overflow. */
  OE: 0x08,
  /** Underflow. */
  UE: 0x10,
  /** Inexact result. */
  PE: 0x20,
} as const;

/** Exceptions found before the result is computed: unmasked, they keep it from being computed at all. */
export const PRE_COMPUTATION = FLAG.IE | FLAG.DE | FLAG.ZE;
export const ALL_FLAGS = 0x3f;

/** Rounding modes, encoded as in MXCSR.RC and FCW.RC. */
export const ROUNDING = { nearest: 0, down: 1, up: 2, zero: 3 } as const;
export type Rounding = (typeof ROUNDING)[keyof typeof ROUNDING];

export interface FpEnv {
  rounding: Rounding;
  /** Bit set = exception masked, positions as in FLAG. */
  masks: number;
  /** x87 rules (NaN choice, wrapped exponents) instead of SSE rules. */
  x87: boolean;
  /** SSE: denormal operands count as zeros of the same sign. */
  daz: boolean;
  /** SSE: a tiny result becomes a zero while underflow is masked. */
  ftz: boolean;
  /** Sticky exception flags; operations only set bits. */
  flags: number;
  /** SSE: flags of the finished micro-operations of this instruction. */
  settled: number;
  /** The last rounding went away from zero (x87 C1). */
  roundedUp: boolean;
}

/** Default controls after reset: round to nearest, all exceptions masked. */
export function createFpEnv(x87: boolean): FpEnv {
  return { rounding: ROUNDING.nearest, masks: ALL_FLAGS, x87, daz: false, ftz: false, flags: 0, settled: 0, roundedUp: false };
}
