// The registers through which a region's code reaches the stack.
import type { Block } from './region.ts';

export const RSP = 4;
const RBP = 5;
/** ModRM bytes of a move between them. */
const FRAME_MOVES: ReadonlySet<number> = new Set([0xe5, 0xec]);

/** RSP, and RBP where frames begin or end. */
export function stackPointers(blocks: readonly Block[]): Set<number> {
  const framed = blocks.some(({ instructions }) =>
    instructions.some(({ row, insn }) => {
      const { name } = row.semantics;
      return name === 'leave' || (name === 'mov' && FRAME_MOVES.has(insn.modrm));
    }),
  );
  return new Set(framed ? [RSP, RBP] : [RSP]);
}
