// The state in which the first instruction of an HVM domain runs: a processor after reset, which begins at the BIOS below 1 MiB, where
// hvmloader would have jumped, and not at the end of the address space.
import type { WasmEngine } from '../../cpu/engine.ts';
import { setCacheTypes } from './cache-types.ts';

const RESET_CODE = { selector: 0xf000, base: 0xf_0000n, limit: 0xffff, attributes: 0x009b } as const;
const RESET_OFFSET = 0xfff0n;

/** For an engine that was just made. */
export function enterBios(engine: WasmEngine): void {
  engine.setSegment('cs', RESET_CODE);
  engine.rip = RESET_OFFSET;
  setCacheTypes(engine.cpu);
}
