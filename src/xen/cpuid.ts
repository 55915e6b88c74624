// The CPUID leaves by which a guest knows that it runs on Xen. arch-x86/cpuid.h; values as Xen 4.20 gives an HVM guest.
import { CPUID_BASE, CPUID_HVM, CPUID_TIME, MSR_HYPERCALL_PAGE } from '../abi/xen/hvm.ts';
import { XEN_VERSION } from './calls/version-op.ts';
import { DomainHeader as Header } from './domain-layout.ts';
import { tscScale } from './time/pvclock.ts';
import type { XenVcpu } from './vcpu.ts';

export interface CpuidResult {
  eax: number;
  ebx: number;
  ecx: number;
  edx: number;
}

const MAX_LEAF = CPUID_BASE + 5;
const SIGNATURE = { ebx: 0x566e_6558, ecx: 0x6558_4d4d, edx: 0x4d4d_566e } as const; // XenVMMXenVMM
/** Leaves 0x40000000..0x4000ffff belong to the hypervisor. */
export const isHypervisorLeaf = (leaf: number): boolean => leaf >>> 16 === CPUID_BASE >>> 16;

/**
 * Answers CPUID for a leaf that `isHypervisorLeaf`, into `out` (u32 values); beyond the largest leaf all are 0. The engine
 * itself sets CPUID.1:ECX[31], "hypervisor present".
 */
export function xenCpuid(vcpu: XenVcpu, leaf: number, subleaf: number, out: CpuidResult): void {
  out.eax = 0;
  out.ebx = 0;
  out.ecx = 0;
  out.edx = 0;
  const { memory, at, domid } = vcpu.domain;
  switch (leaf) {
    case CPUID_BASE:
      out.eax = MAX_LEAF;
      out.ebx = SIGNATURE.ebx;
      out.ecx = SIGNATURE.ecx;
      out.edx = SIGNATURE.edx;
      return;
    case CPUID_BASE + 1:
      out.eax = XEN_VERSION.packed;
      return;
    case CPUID_BASE + 2:
      out.eax = 1; // pages of hypercall stubs
      out.ebx = MSR_HYPERCALL_PAGE;
      return;
    case CPUID_BASE + 3:
      timeLeaf(Header.tsc_khz.get(memory.view, at), subleaf, out);
      return;
    case CPUID_BASE + 4:
      if (subleaf !== 0) return;
      out.eax = CPUID_HVM.IOMMU_MAPPINGS | CPUID_HVM.VCPU_ID_PRESENT | CPUID_HVM.DOMID_PRESENT | CPUID_HVM.UPCALL_VECTOR;
      out.ebx = vcpu.id;
      out.ecx = domid;
      return;
  }
}

/** tsc_mode 0 and incarnation 0 (EBX, EDX of sub-leaf 0): the TSC counts system time at one rate and is never emulated. */
function timeLeaf(khz: number, subleaf: number, out: CpuidResult): void {
  switch (subleaf) {
    case 0:
      out.eax = CPUID_TIME.tscReliable | CPUID_TIME.rdtscp;
      out.ecx = khz;
      return;
    case 1: {
      const { mul, shift } = tscScale(khz);
      out.ecx = mul;
      out.edx = shift >>> 0;
      return;
    }
    case 2:
      out.eax = khz;
      return;
  }
}
