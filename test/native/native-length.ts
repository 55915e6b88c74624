// How long the host's CPU takes an instruction to be: its bytes are laid against the end of the code page, a byte more
// each time, until fetching it no longer runs into the unmapped page behind.
import { CODE_BASE, CODE_ENTRY, CODE_SIZE } from './address-map.ts';
import type { CpuMode, CpuResult } from './cpu-image.ts';
import { CpuImage } from './cpu-image.ts';
import type { NativeCase, NativeCpu } from './oracle.ts';

export interface NativeLength {
  /**
   * Bytes fetched before the CPU acted. For #UD some CPUs decide before they have seen the rest of the instruction, so a
   * length with `vector` 6 is a lower bound. 16: still fetching after 15 bytes, which cannot be.
   */
  readonly length: number;
  /** The exception that was raised when all of it was there; undefined when it was executed. */
  readonly vector: number | undefined;
}

const LONGEST = 15;
const VECTOR_PF = 14;
/** Error code of a page fault: instruction fetch, user mode, page not present. */
const FETCH = 0x14;
const CODE_END = BigInt(CODE_BASE + CODE_SIZE);
const ENTRY_TO_END = CODE_END - BigInt(CODE_ENTRY);

/** The lengths of many byte strings (15 bytes each, or more), executed from a state of zeroes. */
export function nativeLengths(cpu: NativeCpu, strings: readonly Uint8Array[], mode: CpuMode): NativeLength[] {
  const states = Array.from({ length: LONGEST + 1 }, (_, length) => {
    const state = new CpuImage();
    state.reset(mode);
    state.rip += ENTRY_TO_END - BigInt(length || 1);
    return state;
  });
  const lengths: NativeLength[] = strings.map(() => ({ length: LONGEST + 1, vector: undefined }));
  const cases: NativeCase[] = [];
  for (const bytes of strings) {
    for (let length = 1; length <= LONGEST; length++) cases.push({ code: bytes.subarray(0, length), state: states[length]! });
  }
  cpu.runBatch(cases, (i, result) => {
    const string = Math.floor(i / LONGEST),
      length = (i % LONGEST) + 1;
    if (lengths[string]!.length <= LONGEST || stillFetching(result, states[length]!.rip)) return;
    lengths[string] = { length, vector: result.fault?.vector };
  });
  return lengths;
}

/** The fetch of the instruction itself ran off the page: RIP has not moved. */
function stillFetching({ fault, image }: CpuResult, start: bigint): boolean {
  return fault?.vector === VECTOR_PF && fault.errorCode === FETCH && fault.cr2 === CODE_END && image.rip === start;
}
