// The MSR through which a guest asks for a page of hypercall stubs. Writing it also samples the guest's width.

import type { Gfn, Gpa } from '../../abi/types.ts';
import { PAGE_SIZE } from '../../abi/types.ts';
import { MSR_HYPERCALL_PAGE, MSR_RANGE, VIRIDIAN_SHIFT } from '../../abi/xen/hvm.ts';
import { HYPERVISOR, STUB, TRAP, UD2 } from '../../abi/xen/hypercall.ts';
import { P2M } from '../../memory/guest-memory.ts';
import type { GuestCaller } from '../../vcpu/contract.ts';
import type { XenDomain } from '../domain.ts';
import { EMULATION, DomainHeader as Header } from '../domain-layout.ts';
import type { XenVcpu } from '../vcpu.ts';
import { type MsrValue, readViridianMsr, writeViridianMsr } from '../viridian/msrs.ts';

/** Whether Xen, not the CPU, answers for an MSR. */
export const isXenMsr = (msr: number): boolean => msr >= MSR_RANGE.first && msr <= MSR_RANGE.last;

/** Microsoft's MSRs take the place of Xen's, which are then above them (xen/arch/x86/msr.c). */
const hasViridian = (domain: XenDomain): boolean => domain.emulates(EMULATION.viridian);
const pageMsr = (viridian: boolean): number => MSR_HYPERCALL_PAGE + (viridian ? VIRIDIAN_SHIFT.msr : 0);

/** RDMSR of an MSR that `isXenMsr`. The hypercall page MSR reads 0. Returns false for #GP. */
export function readXenMsr(vcpu: XenVcpu, msr: number, out: MsrValue): boolean {
  const viridian = hasViridian(vcpu.domain);
  out.dataLow = 0;
  out.dataHigh = 0;
  if (viridian && msr < pageMsr(true)) return readViridianMsr(vcpu, msr, out);
  return msr === pageMsr(viridian);
}

/** WRMSR of an MSR that `isXenMsr`, the value in two halves. Returns false for #GP. */
export function writeXenMsr(vcpu: XenVcpu, caller: GuestCaller, msr: number, low: number, high: number): boolean {
  const viridian = hasViridian(vcpu.domain);
  if (viridian && msr < pageMsr(true)) return writeViridianMsr(vcpu, msr, low, high);
  return msr === pageMsr(viridian) && writeHypercallPage(vcpu.domain, caller, low, high);
}

/** False: another page index, or a page that is no RAM. */
function writeHypercallPage(domain: XenDomain, caller: GuestCaller, low: number, high: number): boolean {
  const index = low & (PAGE_SIZE - 1);
  if (index !== 0) return false;
  const gpa = (high >>> 0) * 0x1_0000_0000 + (low >>> 0);
  const gfn = (gpa / PAGE_SIZE) as Gfn;
  const { memory, trace } = domain;
  if ((memory.entry(gfn) & P2M.writable) === 0) return false;
  domain.latchWidth(caller.longMode);
  writeStubs(domain, gpa as Gpa);
  if (trace.hypercall_page.on) trace.hypercall_page(gfn, domain.narrow ? 1 : 0);
  return true;
}

/** What lies between the stubs stays as it was. IRET has no meaning for an HVM guest: UD2. */
function writeStubs(domain: XenDomain, gpa: Gpa): void {
  const trap = Header.vmmcall.get(domain.memory.view, domain.at) === 0 ? TRAP.vmcall : TRAP.vmmcall;
  const stub = new Uint8Array([STUB.mov_eax, 0, 0, 0, 0, ...trap, STUB.ret]);
  const undefinedStub = new Uint8Array(UD2);
  for (let nr = 0; nr < STUB.count; nr++) {
    stub[1] = nr;
    domain.memory.write((gpa + nr * STUB.size) as Gpa, nr === HYPERVISOR.iret ? undefinedStub : stub);
  }
}
