// What an operation does with operands that are no ordinary numbers: invalid encodings, NaNs, denormals
// (SDM vol. 1, tables 4-7 and 8-10, and the exception priority of 8.6).

import type { FpEnv } from './env.ts';
import { FLAG } from './env.ts';
import type { Num } from './num.ts';
import { INDEFINITE, isNan, KIND, quieted } from './num.ts';

/** Flags an invalid operation and returns the real indefinite. */
export function invalid(env: FpEnv): Num {
  env.flags |= FLAG.IE;
  return INDEFINITE;
}

/** The result when `a` decides it (NaN or unsupported encoding), else undefined; flags IE or DE. */
export function special1(env: FpEnv, a: Num): Num | undefined {
  if (a.kind >= KIND.quiet) {
    if (a.kind !== KIND.quiet) env.flags |= FLAG.IE;
    return a.kind === KIND.unsupported ? INDEFINITE : quieted(a);
  }
  if (a.denormal) env.flags |= FLAG.DE;
  return undefined;
}

/** The same for two operands; `a` is the first source (the destination of the instruction). */
export function special2(env: FpEnv, a: Num, b: Num): Num | undefined {
  if (a.kind >= KIND.quiet || b.kind >= KIND.quiet) {
    if (a.kind > KIND.quiet || b.kind > KIND.quiet) env.flags |= FLAG.IE;
    if (a.kind === KIND.unsupported || b.kind === KIND.unsupported) return INDEFINITE;
    return quieted(env.x87 ? chooseX87(a, b) : isNan(a) ? a : b);
  }
  if (a.denormal || b.denormal) env.flags |= FLAG.DE;
  return undefined;
}

/** A quiet NaN goes before a signaling one, then the larger significand, then the positive one. */
function chooseX87(a: Num, b: Num): Num {
  if (!isNan(b)) return a;
  if (!isNan(a)) return b;
  if (a.kind !== b.kind) return a.kind === KIND.quiet ? a : b;
  if (a.sig !== b.sig) return a.sig > b.sig ? a : b;
  return a.sign <= b.sign ? a : b;
}
