// MOV to and from debug registers. SDM vol. 3, 17.2.
import { type Cpu, GuestFault } from '../cpu.ts';
import { CR4, STATE, VECTOR } from '../state.ts';
import { generalProtection, invalidOpcode } from './faults.ts';
import { requireCpl0 } from './privilege.ts';

/** DR6: bits that read as 1 and bits software may set. SDM vol. 3, figure 17-1. */
const DR6_FIXED = 0xffff_0ff0;
const DR6_WRITABLE = 0xe00f;
const DR6_BD = 1n << 13n;
const DR7_FIXED = 0x400;
const DR7_WRITABLE = 0xffff_23ff;
const DR7_GD = 1 << 13;

const slot = (register: number): number => STATE.dr + register * 8;

/** DR4 and DR5 are DR6 and DR7 unless CR4.DE forbids them. */
function resolve(cpu: Cpu, register: number): number {
  if (register > 7) throw invalidOpcode();
  if (register !== 4 && register !== 5) return register;
  if (cpu.cr4 & CR4.de) throw invalidOpcode();
  return register + 2;
}

/** Privilege, then general detect: DR7.GD makes any access a #DB with DR6.BD set, before the access. */
function guard(cpu: Cpu): void {
  requireCpl0(cpu);
  if ((cpu.get32(slot(7)) & DR7_GD) === 0) return;
  cpu.set64(slot(6), cpu.get64(slot(6)) | DR6_BD);
  throw new GuestFault(VECTOR.db);
}

/** @throws GuestFault #UD, #GP(0), #DB */
export function readDebug(cpu: Cpu, register: number): bigint {
  const real = resolve(cpu, register);
  guard(cpu);
  return cpu.get64(slot(real));
}

/**
 * `value` is zero-extended from 32 bits outside 64-bit mode. Look at DR7 afterwards: breakpoints may have come or gone.
 * @throws GuestFault #UD, #GP(0) for upper bits of DR6 and DR7, #DB
 */
export function writeDebug(cpu: Cpu, register: number, value: bigint): void {
  const real = resolve(cpu, register);
  guard(cpu);
  if (real < 4) {
    cpu.set64(slot(real), value);
    return;
  }
  if (value >> 32n !== 0n) throw generalProtection();
  const low = Number(value);
  const stored = real === 6 ? (low & DR6_WRITABLE) | DR6_FIXED : (low & DR7_WRITABLE) | DR7_FIXED;
  cpu.set64(slot(real), BigInt(stored >>> 0));
}
