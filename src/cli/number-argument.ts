import { UsageError } from './arguments.ts';

/** A number that is an argument: decimal, or hexadecimal with 0x. @throws UsageError */
export function numberArgument(text: string, what: string, { min = 0, max = 0xffff_ffff } = {}): number {
  const value = /^(\d+|0x[0-9a-fA-F]+)$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw new UsageError(`'${text}' is no ${what}; give a number from ${min} to ${max}`);
  return value;
}
