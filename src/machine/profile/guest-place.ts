// Where a vCPU is, coarsely enough to be counted.
import type { Cpu } from '../../cpu/cpu.ts';
import { STATE } from '../../cpu/state.ts';
import type { GuestPlace } from './vcpu-profile.ts';

const KERNEL_HALF = 1n << 63n;
const USER_MASK = ~0xffffn;

/** User code by its address space and 64 KiB; the kernel's by the instruction. */
export function guestPlace(cpu: Cpu): GuestPlace {
  const { rip } = cpu;
  if (cpu.cpl !== 3) return { space: rip >= KERNEL_HALF ? 'kernel' : 'low', address: rip };
  const space = `user ${(cpu.get32(STATE.cr3) >>> 12).toString(16)}`;
  return { space, address: rip & USER_MASK };
}
