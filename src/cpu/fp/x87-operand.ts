// Which memory operand an x87 instruction has (SDM vol. 2, B.17 and table A-7 on).

export interface X87Operand {
  /** Bytes; 0 = no memory operand. */
  readonly size: number;
  readonly read: boolean;
  readonly write: boolean;
  /** The encoding exists; false = #UD. */
  readonly valid: boolean;
}

const none: X87Operand = { size: 0, read: false, write: false, valid: true };
const undefinedEncoding: X87Operand = { ...none, valid: false };
const load = (size: number): X87Operand => ({ size, read: true, write: false, valid: true });
const store = (size: number): X87Operand => ({ size, read: false, write: true, valid: true });
const eight = (operand: X87Operand): readonly X87Operand[] => Array.from({ length: 8 }, () => operand);

/** By opcode - D8 and modrm.reg. */
const MEMORY: readonly (readonly X87Operand[])[] = [
  eight(load(4)),
  [load(4), undefinedEncoding, store(4), store(4), load(28), load(2), store(28), store(2)],
  eight(load(4)),
  [load(4), store(4), store(4), store(4), undefinedEncoding, load(10), undefinedEncoding, store(10)],
  eight(load(8)),
  [load(8), store(8), store(8), store(8), load(108), undefinedEncoding, store(108), store(2)],
  eight(load(2)),
  [load(2), store(2), store(2), store(2), load(10), load(8), store(10), store(8)],
];
const LOAD_ENV_16 = load(14);
const STORE_ENV_16 = store(14);
const LOAD_ALL_16 = load(94);
const STORE_ALL_16 = store(94);

/**
 * The memory operand of an instruction.
 * @param opcode 0xd8..0xdf
 * @param operandSize16 the operand size is 16 bits: environments are 14 and 94 bytes instead of 28 and 108
 */
export function x87Operand(opcode: number, modrm: number, operandSize16 = false): X87Operand {
  if (modrm >= 0xc0) return isRegisterForm(opcode, modrm) ? none : undefinedEncoding;
  const operand = MEMORY[opcode & 7]![(modrm >> 3) & 7]!;
  if (!operandSize16) return operand;
  if (operand.size === 28) return operand.read ? LOAD_ENV_16 : STORE_ENV_16;
  if (operand.size === 108) return operand.read ? LOAD_ALL_16 : STORE_ALL_16;
  return operand;
}

/** Register encodings that exist, the undocumented aliases included. */
function isRegisterForm(opcode: number, modrm: number): boolean {
  const group = (modrm >> 3) & 7;
  switch (opcode & 7) {
    case 1:
      if (group === 2) return modrm === 0xd0;
      return !(modrm === 0xe2 || modrm === 0xe3 || modrm === 0xe6 || modrm === 0xe7 || modrm === 0xef);
    case 2:
      return group < 4 || modrm === 0xe9;
    case 3:
      return group !== 7 && !(group === 4 && modrm > 0xe4);
    case 5:
      return group < 6;
    case 6:
      return group !== 3 || modrm === 0xd9;
    case 7:
      return group < 4 || modrm === 0xe0 || group === 5 || group === 6;
    default:
      return true;
  }
}
