// The x86 branch filter of .xz files (filter ID 4: xz-file-format.txt 1.2, 5.3.2). The packer turned the relative targets of
// CALL (E8) and JMP (E9) into absolute ones, since the same function called from many places then packs well; this turns them back.
//
// Which bytes are instructions is a guess that both sides must make alike, although the packer sees relative operands and we see
// absolute ones. An E8 or E9 is a candidate; it is taken for an instruction when the top byte of its operand is 00 or FF (a target
// within 16 MiB), which it still is after conversion. The operand of a candidate that was not taken is not skipped, so later
// candidates can lie in it. Converting one of them at a distance d (1 to 3) rewrites byte d of the earlier one's operand up to
// its top byte, by which we must again see that it was not taken. Hence two rules:
// - With two such earlier candidates nothing is converted: one top byte can be looked after, not two.
// - With one, its top byte must not be 00 or FF before, and neither after conversion. If subtracting the address makes it 00 or FF,
//   all bits from it downwards are inverted and the address is subtracted once more. That is the inverse of what the packer did
//   by adding: a permutation followed until it leaves the set of values whose byte is 00 or FF, begun outside of it. Since
//   inverting and subtracting twice is the identity on those bits, a second repetition would lead back to the start: one is enough.

const OPERAND_BYTES = 4;
const LENGTH = 1 + OPERAND_BYTES;
/** At this distance or more, a conversion does not change the top byte of the earlier candidate's operand. */
const FAR = OPERAND_BYTES;
const isNear = (topByte: number): boolean => topByte === 0x00 || topByte === 0xff;

/**
 * Undoes the filter in place.
 * @param startOffset the address of the first byte, as in the filter's properties
 */
export function undoBcjX86(code: Uint8Array, startOffset = 0): void {
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength);
  // The last two candidates that were not taken for instructions.
  let passed = -FAR;
  let passedBefore = -FAR;
  for (let at = 0; at + LENGTH <= code.length; at++) {
    const opcode = code[at];
    if (opcode !== 0xe8 && opcode !== 0xe9) continue;
    const distance = at - passed;
    const overlaps = distance < FAR;
    /** How many bytes of our operand lie in the operand of the candidate before; its top byte is the last of them. */
    const shared = OPERAND_BYTES - distance;
    const taken =
      isNear(code[at + OPERAND_BYTES] as number) &&
      !(overlaps && (at - passedBefore < FAR || isNear(code[at + shared] as number)));
    if (!taken) {
      passedBefore = passed;
      passed = at;
      continue;
    }
    const next = startOffset + at + LENGTH;
    let operand = view.getUint32(at + 1, true) - next;
    if (overlaps && isNear((operand >> (8 * (shared - 1))) & 0xff)) operand = (operand ^ (2 ** (8 * shared) - 1)) - next;
    // Targets have 25 bits, the highest of which is the sign.
    view.setInt32(at + 1, (operand << 7) >> 7, true);
    at += OPERAND_BYTES; // beyond the reach of what was passed
  }
}
