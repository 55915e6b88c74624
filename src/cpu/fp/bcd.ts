// Packed BCD of FBLD and FBSTP: 18 digits, two a byte, sign in bit 7 of byte 9 (SDM vol. 1, 4.7).

import { toInteger } from './convert.ts';
import type { FpEnv } from './env.ts';
import { FLAG } from './env.ts';
import type { Num, Sign } from './num.ts';
import { exactly } from './num.ts';

const LIMIT = 10n ** 18n;

/** Reads 10 bytes. Digits above 9 are taken at their binary value, as hardware does; no exception. */
export function fromBcd(view: DataView, at: number): Num {
  let value = 0n;
  for (let i = 8; i >= 0; i--) {
    const byte = view.getUint8(at + i);
    value = value * 100n + BigInt((byte >> 4) * 10 + (byte & 15));
  }
  return exactly((view.getUint8(at + 9) >> 7) as Sign, value, 0);
}

/** Rounds to an integer and writes 10 bytes; beyond 18 digits or without a value, IE and the packed BCD indefinite. */
export function toBcd(env: FpEnv, a: Num, view: DataView, at: number): void {
  const before = env.flags;
  const value = toInteger(env, a, 64, env.rounding);
  let magnitude = value === undefined ? LIMIT : value < 0n ? -value : value;
  if (magnitude >= LIMIT) {
    env.flags = before | FLAG.IE;
    env.roundedUp = false;
    writeBcdIndefinite(view, at);
    return;
  }
  for (let i = 0; i < 9; i++) {
    const pair = Number(magnitude % 100n);
    magnitude /= 100n;
    view.setUint8(at + i, (Math.floor(pair / 10) << 4) | (pair % 10));
  }
  view.setUint8(at + 9, a.sign << 7);
}

export function writeBcdIndefinite(view: DataView, at: number): void {
  view.setUint32(at, 0, true);
  view.setUint32(at + 4, 0xc0000000, true);
  view.setUint16(at + 8, 0xffff, true);
}
