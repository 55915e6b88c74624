// Reference time: 100 ns units that count with the TSC, as an MSR and as a page from which a guest computes them itself.
import { HvReferenceTsc } from '../../abi/hyperv.ts';
import { PAGE_SIZE } from '../../abi/types.ts';

/** 100 ns units a tick, times 2^64; rounded as Xen rounds it (viridian/time.c), to a multiple of 2^32. */
export const referenceScale = (khz: number): bigint => BigInt.asUintN(64, ((10_000n << 32n) / BigInt(khz)) << 32n);

/** Reference time of a TSC value. The offset is always 0: a domain's TSC is 0 when its time begins, and stands still with it. */
export const referenceTime = (tsc: bigint, khz: number): bigint =>
  BigInt.asUintN(64, (BigInt.asUintN(64, tsc) * referenceScale(khz)) >> 64n);

/** The page. Sequence 0 would mean that the TSC is no reliable clock. */
export function referencePage(khz: number): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE);
  const view = new DataView(page.buffer);
  HvReferenceTsc.sequence.set(view, 0, 1);
  HvReferenceTsc.scale.set(view, 0, referenceScale(khz));
  return page;
}
