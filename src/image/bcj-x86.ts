// The x86 branch filter of .xz files (filter ID 4). The packer turned the relative targets of CALL (E8) and JMP (E9)
// into absolute ones, since the same function called from many places then packs well; this turns them back.

/** How many of the last three opcode-like bytes, given as a bit set, still let an E8 or E9 count as an opcode. */
const MAY_FOLLOW = [true, true, true, false, true, false, false, false] as const;
/** The byte of the operand that the nearest earlier opcode-like byte reaches into, counted from the top. */
const OVERLAP = [0, 1, 2, 2, 3, 3, 3, 3] as const;
const signByte = (byte: number): boolean => byte === 0 || byte === 0xff;

/**
 * Undoes the filter in place.
 * @param startOffset the position of the first byte, as in the filter's properties
 */
export function undoBcjX86(code: Uint8Array, startOffset = 0): void {
  let last = -1; // where the last opcode-like byte was
  let recent = 0; // bit n: there was an opcode-like byte, left alone, n bytes before the last one
  for (let i = 0; i + 5 <= code.length; i++) {
    if (((code[i] as number) & 0xfe) !== 0xe8) continue;
    const gap = i - last;
    last = i;
    recent = gap > 3 ? 0 : (recent << (gap - 1)) & 7;
    const overlap = OVERLAP[recent] as number;
    const blocked = recent !== 0 && (!MAY_FOLLOW[recent] || signByte(code[i + 4 - overlap] as number));
    if (blocked || !signByte(code[i + 4] as number)) {
      recent = (recent << 1) | 1;
      continue;
    }
    let target = (code[i + 1] as number) | ((code[i + 2] as number) << 8) | ((code[i + 3] as number) << 16) | ((code[i + 4] as number) << 24);
    let relative = (target - (startOffset + i + 5)) | 0;
    // A result that would itself have been left alone was converted once more, below the overlapping byte.
    if (recent !== 0 && signByte((relative >>> (24 - overlap * 8)) & 0xff)) {
      target = relative ^ ((1 << (32 - overlap * 8)) - 1);
      relative = (target - (startOffset + i + 5)) | 0;
    }
    relative = (relative << 7) >> 7; // 25 bits, sign-extended
    code[i + 1] = relative;
    code[i + 2] = relative >> 8;
    code[i + 3] = relative >> 16;
    code[i + 4] = relative >> 24;
    i += 4;
    recent = 0;
  }
}
