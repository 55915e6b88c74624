// Random byte strings that are instructions more often than noise is: likely prefixes, then an opcode of one of the maps.
import type { Random } from './random.ts';

const PREFIXES = [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];

/** Bytes given to a decoder; an instruction has at most 15. */
export const STRING_LENGTH = 16;

/** Overwrites STRING_LENGTH bytes at `offset`. One string in eight is plain noise; one in a hundred has up to 15 prefixes. */
export function fillInstruction(random: Random, into: Uint8Array, offset: number, mode: 16 | 32 | 64): void {
  for (let i = 0; i < STRING_LENGTH; i += 4) {
    const word = random.u32();
    into[offset + i] = word;
    into[offset + i + 1] = word >>> 8;
    into[offset + i + 2] = word >>> 16;
    into[offset + i + 3] = word >>> 24;
  }
  if (random.oneIn(8)) return;
  let at = offset;
  const prefixes = random.oneIn(100) ? random.below(15) : random.oneIn(2) ? 0 : random.below(4);
  for (let i = 0; i < prefixes; i++) into[at++] = random.pick(PREFIXES);
  if (mode === 64 && at < offset + 14 && random.oneIn(3)) into[at++] = 0x40 | random.below(16);
  if (at >= offset + 12) return;
  switch (random.below(12)) {
    case 0:
    case 1:
    case 2:
    case 3:
      into[at++] = 0x0f;
      break;
    case 4:
      into[at++] = 0x0f;
      into[at++] = random.oneIn(2) ? 0x38 : 0x3a;
      break;
    case 10: // VEX
    case 11:
      into[at++] = 0xc4;
      if (at < offset + 14 && random.oneIn(2)) into[at] = ((into[at] as number) & 0xe0) | (1 + random.below(3));
      break;
    case 5: // x87
      into[at++] = 0xd8 | random.below(8);
      break;
    default: // the one-byte map: what is there already
  }
}
