// What the guest asks of the platform when it leaves: hypercalls and the platform's MSRs.
import type { WasmEngine } from '../cpu/engine.ts';
import { GPR } from '../vcpu/contract.ts';
import { CONTINUE } from '../xen/calls/hypercall-context.ts';
import { isXenMsr, readXenMsr, writeXenMsr } from '../xen/calls/hypercall-page.ts';
import type { Hypercalls } from '../xen/calls/hypercalls.ts';
import type { XenVcpu } from '../xen/vcpu.ts';
import { VIRIDIAN_CALL } from '../xen/viridian/viridian-call.ts';

/** The registers of the calling convention: public/arch-x86/xen-x86_64.h and xen-x86_32.h. */
const ARGUMENTS64 = [GPR.rdi, GPR.rsi, GPR.rdx, GPR.r10, GPR.r8, GPR.r9] as const;
const ARGUMENTS32 = [GPR.rbx, GPR.rcx, GPR.rdx, GPR.rsi, GPR.rdi, GPR.rbp] as const;

export function serveHypercall(engine: WasmEngine, hypercalls: Hypercalls): void {
  const { longMode, cpu } = engine;
  const registers = longMode ? ARGUMENTS64 : ARGUMENTS32;
  for (let i = 0; i < 6; i++) {
    const register = registers[i] as number;
    hypercalls.args.u32[i * 2] = cpu.gpr32(register);
    hypercalls.args.u32[i * 2 + 1] = longMode ? cpu.get32(register * 8 + 4) : 0;
  }
  // A number beyond 32 bits is as unknown as any other, but bit 31 marks Microsoft's calls whatever is above it.
  const low = cpu.gpr32(GPR.rax);
  const nr = longMode && low < VIRIDIAN_CALL && cpu.get32(GPR.rax * 8 + 4) !== 0 ? -1 : low;
  const result = hypercalls.call(engine, nr);
  if (result === CONTINUE) {
    for (let i = 0; i < 6; i++) engine.setGpr(registers[i] as number, hypercalls.args.u64[i] as bigint);
    return;
  }
  // -1 above a negated errno; Microsoft's calls count repetitions there.
  engine.completeHypercall(result, longMode ? Math.floor(result / 0x1_0000_0000) : 0);
}

/** False raises #GP(0). */
export function serveXenMsr(vcpu: XenVcpu, engine: WasmEngine): boolean {
  const { exit } = engine;
  if (!isXenMsr(exit.msr)) return false;
  if (exit.write) return writeXenMsr(vcpu, engine, exit.msr, exit.dataLow, exit.dataHigh);
  return readXenMsr(vcpu, exit.msr, exit);
}
