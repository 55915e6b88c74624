import type { ArgumentSpec } from '../argument-spec.ts';

/** A virtual CPU by its number; the target says whether there is one. */
export const VCPU = {
  type: 'integer',
  optional: true,
  min: 0,
  max: 0xffff_ffff,
  help: 'number of the virtual CPU, 0 by default',
} as const satisfies ArgumentSpec;
