import { UsageError } from './arguments.ts';

const UNITS: Readonly<Record<string, number>> = { b: 1 / 1024, k: 1, m: 1024, g: 1024 ** 2, t: 1024 ** 3 };

/** KiB of a size as xl reads it: a number of MiB, or of what b, k, m, g or t behind it says. @throws UsageError */
export function memoryKib(text: string): number {
  const [, digits, unit = 'm'] = /^(\d+)([bkmgt])?(?:ib|b)?$/i.exec(text) ?? [];
  const kib = digits === undefined ? Number.NaN : Math.floor(Number(digits) * (UNITS[unit.toLowerCase()] as number));
  if (!Number.isSafeInteger(kib) || kib < 1)
    throw new UsageError(`'${text}' is no size of memory; give MiB, or a number with k, m or g behind it`);
  return kib;
}
