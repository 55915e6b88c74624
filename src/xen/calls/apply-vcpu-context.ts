// Puts the registers of VCPUOP_initialise into an engine, before the vCPU's first instruction.
import { GPR, type VcpuEngine } from '../../vcpu/contract.ts';
import type { VcpuContext } from './hvm-context.ts';

/** In the order of `VcpuContext.registers`. */
const REGISTERS = [GPR.rax, GPR.rcx, GPR.rdx, GPR.rbx, GPR.rsp, GPR.rbp, GPR.rsi, GPR.rdi] as const;
const CR0_PG = 1n << 31n;
const EFER_LMA = 1n << 10n;

/**
 * Applies `context` to a vCPU that has just been reset. Belongs to the vCPU's thread.
 * Paging is turned on last, with CR3, CR4 and EFER in place, as a guest itself has to.
 * @returns false when the processor refuses the combination of control registers, which is a triple fault to the guest
 */
export function applyVcpuContext(engine: VcpuEngine, context: VcpuContext): boolean {
  try {
    engine.setControl('cr0', context.cr0 & ~CR0_PG);
    engine.setControl('efer', context.efer & ~EFER_LMA);
    engine.setControl('cr4', context.cr4);
    engine.setControl('cr3', context.cr3);
    if (context.cr0 & CR0_PG) engine.setControl('cr0', context.cr0);
  } catch {
    // Xen takes what VM entry takes; what it does not ends the domain.
    return false;
  }
  for (const [i, register] of REGISTERS.entries()) engine.setGpr(register, context.registers[i] ?? 0n);
  for (const name of ['cs', 'ds', 'es', 'ss', 'tr'] as const) engine.setSegment(name, context.segments[name]);
  engine.rflags = context.rflags;
  engine.rip = context.rip;
  return true;
}
