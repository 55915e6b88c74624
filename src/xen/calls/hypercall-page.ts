// The MSR through which a guest asks for a page of hypercall stubs. Writing it also samples the guest's width.

import type { Gfn, Gpa } from '../../abi/types.ts';
import { PAGE_SIZE } from '../../abi/types.ts';
import { MSR_HYPERCALL_PAGE, MSR_RANGE } from '../../abi/xen/hvm.ts';
import { HYPERVISOR, STUB, TRAP, UD2 } from '../../abi/xen/hypercall.ts';
import { P2M } from '../../memory/guest-memory.ts';
import type { GuestCaller } from '../../vcpu/contract.ts';
import type { XenDomain } from '../domain.ts';
import { DomainHeader as Header } from '../domain-layout.ts';

/** Whether Xen, not the CPU, answers for an MSR. */
export const isXenMsr = (msr: number): boolean => msr >= MSR_RANGE.first && msr <= MSR_RANGE.last;

/** RDMSR of a Xen MSR: the hypercall page MSR reads 0; false means #GP. */
export const readXenMsr = (msr: number): boolean => msr === MSR_HYPERCALL_PAGE;

/** WRMSR of a Xen MSR, the value in two halves. Returns false for #GP: another MSR, page index or a page that is no RAM. */
export function writeXenMsr(domain: XenDomain, caller: GuestCaller, msr: number, low: number, high: number): boolean {
  if (msr !== MSR_HYPERCALL_PAGE) return false;
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
