// Sizes of disks as people write them: "10G", "512MiB", "1073741824".
import { UsageError } from './arguments.ts';

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** Bytes, rounded up to whole sectors of 512. @throws UsageError */
export function parseDiskSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kmgt]?)(?:i?b)?$/i.exec(text);
  const bytes = match === null ? Number.NaN : Number(match[1]) * (UNITS[(match[2] as string).toLowerCase()] as number);
  const rounded = Math.ceil(bytes / 512) * 512;
  if (!Number.isSafeInteger(rounded)) throw new UsageError(`'${text}' is no size of a disk; write it as 10GiB or 512MiB`);
  return rounded;
}

/** Bytes as people read them: "10 GiB", "1.5 MiB". */
export function formatDiskSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${Number(value.toFixed(2))} ${units[unit]}`;
}
