// Where the pages that two runs wrote to differ afterwards.
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { WrittenPage } from './access-journal.ts';
import type { Difference } from './state-differences.ts';

/** Accessed and dirty: a region may look a page up and then leave the access to the interpreter. SDM vol. 3, 4.8. */
const ACCESSED_DIRTY = 0x60;
const PAGE = 4096;

/**
 * @param written pages that the first run wrote to
 * @param first the same pages after it
 * @param second pages that the second run wrote to; memory is as it left it
 * @param marks addresses of page-table words that walks have set bits in
 */
export function memoryDifferences(
  memory: GuestMemory,
  written: ReadonlyMap<number, WrittenPage>,
  first: ReadonlyMap<number, Uint32Array>,
  second: ReadonlyMap<number, WrittenPage>,
  marks: ReadonlySet<number>,
): Difference[] {
  const differences: Difference[] = [];
  for (const page of written.values()) compare(memory, page, first.get(page.host) ?? page.before, marks, differences);
  for (const page of second.values()) if (!written.has(page.host)) compare(memory, page, page.before, marks, differences);
  return differences;
}

function compare(
  { u32 }: GuestMemory,
  { host, gfn, before }: WrittenPage,
  translated: Uint32Array,
  marks: ReadonlySet<number>,
  differences: Difference[],
): void {
  const first = host >>> 2;
  for (let word = 0; word < PAGE / 4; word++) {
    const [one, other] = [translated[word] as number, u32[first + word] as number];
    if (one === other || (marks.has(host + word * 4) && ((one ^ other) & ~ACCESSED_DIRTY) === 0)) continue;
    const text = (value: number | undefined): string => (value ?? 0).toString(16).padStart(8, '0');
    const at =
      gfn < 0 ? `page tables, host ${(host + word * 4).toString(16)}` : `guest memory ${(gfn * PAGE + word * 4).toString(16)}`;
    differences.push({ what: `${at} (was ${text(before[word])})`, translated: text(one), interpreted: text(other) });
  }
}
