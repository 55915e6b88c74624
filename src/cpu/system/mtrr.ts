// Memory type range registers: stored and checked, without effect: guest memory is always coherent. SDM vol. 3, 11.11.
import type { Cpu } from '../cpu.ts';
import { PHYSICAL_ADDRESS_BITS, SYSTEM_STATE } from './system-state.ts';

const MTRR_CAP = 0xfe;
const FIRST_VARIABLE = 0x200;
const VARIABLE_PAIRS = 8;
const DEF_TYPE = 0x2ff;
/** In the order of SYSTEM_STATE.mtrrFixed. */
const FIXED: readonly number[] = [0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f];

/** VCNT = 8, FIX, WC. SDM vol. 3, figure 11-5. */
const CAPABILITIES = BigInt(VARIABLE_PAIRS | (1 << 8) | (1 << 10));
/** UC, WC, WT, WP, WB. */
const TYPES: readonly number[] = [0, 1, 4, 5, 6];
const PHYSICAL = (1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 1n;
const BASE_BITS = (PHYSICAL & ~0xfffn) | 0xffn;
const MASK_BITS = (PHYSICAL & ~0xfffn) | 0x800n;
/** Type, FE, E. */
const DEF_TYPE_BITS = 0xcffn;

const isType = (value: bigint): boolean => TYPES.includes(Number(value & 0xffn));

/** Where an MTRR is stored, or undefined for another MSR. */
function slotOf(msr: number): number | undefined {
  if (msr === DEF_TYPE) return SYSTEM_STATE.mtrrDefType;
  if (msr >= FIRST_VARIABLE && msr < FIRST_VARIABLE + 2 * VARIABLE_PAIRS)
    return SYSTEM_STATE.mtrrVariable + (msr - FIRST_VARIABLE) * 8;
  const fixed = FIXED.indexOf(msr);
  return fixed < 0 ? undefined : SYSTEM_STATE.mtrrFixed + fixed * 8;
}

export const isMtrr = (msr: number): boolean => msr === MTRR_CAP || slotOf(msr) !== undefined;

/** The value of an MSR for which `isMtrr` holds. */
export function readMtrr(cpu: Cpu, msr: number): bigint {
  const slot = slotOf(msr);
  return slot === undefined ? CAPABILITIES : cpu.get64(slot);
}

/** Writes an MSR for which `isMtrr` holds; false for #GP(0): read-only, reserved bits, types that do not exist. */
export function writeMtrr(cpu: Cpu, msr: number, value: bigint): boolean {
  const slot = slotOf(msr);
  if (slot === undefined || !isValid(msr, value)) return false;
  cpu.set64(slot, value);
  return true;
}

function isValid(msr: number, value: bigint): boolean {
  if (msr === DEF_TYPE) return (value & ~DEF_TYPE_BITS) === 0n && isType(value);
  if (msr < FIRST_VARIABLE + 2 * VARIABLE_PAIRS) {
    return msr & 1 ? (value & ~MASK_BITS) === 0n : (value & ~BASE_BITS) === 0n && isType(value);
  }
  for (let shift = 0n; shift < 64n; shift += 8n) if (!isType(value >> shift)) return false;
  return true;
}
