// The CPUID leaves by which a guest knows that it runs on Xen. arch-x86/cpuid.h; values as Xen 4.20 gives an HVM guest.
import { CPUID_BASE, CPUID_HVM, CPUID_TIME, MSR_HYPERCALL_PAGE, VIRIDIAN_SHIFT } from '../abi/xen/hvm.ts';
import { XEN_VERSION } from './calls/version-op.ts';
import { EMULATION, DomainHeader as Header } from './domain-layout.ts';
import { tscScale } from './time/pvclock.ts';
import type { XenVcpu } from './vcpu.ts';
import { viridianCpuid } from './viridian/cpuid.ts';

export interface CpuidResult {
  eax: number;
  ebx: number;
  ecx: number;
  edx: number;
}

/** Of Xen's own leaves, counted from their base. The last one is for PV guests and all 0 here. */
export const LEAF = { signature: 0, version: 1, hypercalls: 2, time: 3, hvm: 4, last: 5 } as const;
/** TSC mode "default", and the count of lives: 1 for a domain that was created, not restored (xen/arch/x86/time.c). */
const TSC_MODE_DEFAULT = 0;
const FIRST_INCARNATION = 1;
const SIGNATURE = { ebx: 0x566e_6558, ecx: 0x6558_4d4d, edx: 0x4d4d_566e } as const; // XenVMMXenVMM
/** Leaves 0x40000000..0x4000ffff belong to the hypervisor. */
export const isHypervisorLeaf = (leaf: number): boolean => leaf >>> 16 === CPUID_BASE >>> 16;

/**
 * Answers CPUID for a leaf that `isHypervisorLeaf`, into `out` (u32 values); beyond the largest leaf all are 0. With Microsoft's
 * interface its leaves come first, and Xen's at 0x40000100. The engine itself sets CPUID.1:ECX[31], "hypervisor present".
 */
export function xenCpuid(vcpu: XenVcpu, leaf: number, subleaf: number, out: CpuidResult): void {
  out.eax = 0;
  out.ebx = 0;
  out.ecx = 0;
  out.edx = 0;
  const { memory, at } = vcpu.domain;
  const viridian = vcpu.domain.emulates(EMULATION.viridian);
  const base = CPUID_BASE + (viridian ? VIRIDIAN_SHIFT.cpuid : 0);
  if (leaf < base) {
    viridianCpuid(vcpu.domain, leaf, out);
    return;
  }
  switch (leaf - base) {
    case LEAF.signature:
      out.eax = base + LEAF.last;
      out.ebx = SIGNATURE.ebx;
      out.ecx = SIGNATURE.ecx;
      out.edx = SIGNATURE.edx;
      return;
    case LEAF.version:
      out.eax = XEN_VERSION.packed;
      return;
    case LEAF.hypercalls:
      out.eax = 1; // pages of hypercall stubs
      out.ebx = MSR_HYPERCALL_PAGE + (viridian ? VIRIDIAN_SHIFT.msr : 0);
      return;
    case LEAF.time:
      timeLeaf(Header.tsc_khz.get(memory.view, at), subleaf, out);
      return;
    case LEAF.hvm:
      if (subleaf !== 0) return;
      out.eax = CPUID_HVM.IOMMU_MAPPINGS | CPUID_HVM.VCPU_ID_PRESENT | CPUID_HVM.DOMID_PRESENT | CPUID_HVM.UPCALL_VECTOR;
      out.ebx = vcpu.id;
      out.ecx = vcpu.domain.domid;
      return;
  }
}

/** The TSC counts system time at one rate from 0 on and is never emulated: the offset of sub-leaf 1 (EAX, EBX) is 0. */
function timeLeaf(khz: number, subleaf: number, out: CpuidResult): void {
  switch (subleaf) {
    case 0:
      out.eax = CPUID_TIME.tscReliable | CPUID_TIME.rdtscp;
      out.ebx = TSC_MODE_DEFAULT;
      out.ecx = khz;
      out.edx = FIRST_INCARNATION;
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
