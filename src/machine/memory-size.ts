// Sizes of memory as people write them: "256MiB", "1GiB", "512M".
import { MachineError } from './pvh/machine-error.ts';

const UNITS: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/**
 * Bytes of a size such as "256MiB", "1.5GiB" or "512M"; K, M and G are 2^10, 2^20 and 2^30, with or without "iB".
 * @throws MachineError 'memory-size' when it is no size, or no whole number of bytes
 */
export function parseMemorySize(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([kmg])(?:ib)?$/i.exec(text.trim());
  const bytes = match === null ? Number.NaN : Number(match[1]) * (UNITS[(match[2] as string).toLowerCase()] as number);
  if (!Number.isSafeInteger(bytes)) throw new MachineError('memory-size', `'${text}' is no size of memory`, nextStep(text));
  return bytes;
}

function nextStep(text: string): string {
  const bare = /^(\d+)\s*(mb|gb)?$/i.exec(text.trim());
  const unit = bare?.[2]?.toLowerCase() === 'gb' ? 'GiB' : 'MiB';
  return `write it as ${bare === null ? '256MiB or 1GiB' : `${bare[1]}${unit}`}`;
}
