// The CPUID leaves of Microsoft's hypervisor interface, with the content Xen gives them: xen/arch/x86/hvm/viridian/viridian.c.
import { HV_FEATURE, HV_HARDWARE, HV_LEAF, HV_PRIVILEGE, HV_RECOMMEND, HV_SIGNATURE } from '../../abi/hyperv.ts';
import { HVMPV } from '../../abi/xen/hvm.ts';
import type { CpuidResult } from '../cpuid.ts';
import type { XenDomain } from '../domain.ts';
import { ViridianDomain } from '../domain-layout.ts';
import { hasViridian } from './features.ts';

/** The version Xen claims: Windows Server 2008. */
const VERSION = { build: 0x1772, major: 6, minor: 0 } as const;
/** Attempts to take a spin lock before HvNotifyLongSpinWait: Xen's default. */
const SPINLOCK_RETRIES = 2047;
/** Guests whose id has a smaller number than Windows NT's get no recommendations. */
const OS_WINDOWS_NT = 4n;

/** Answers a leaf of 0x40000000..0x400000ff into `out`, which is all 0 before. */
export function viridianCpuid(domain: XenDomain, leaf: number, out: CpuidResult): void {
  const has = (which: number, bit: number): number => (hasViridian(domain, which) ? bit : 0);
  const osId = ViridianDomain.guest_os_id.get(domain.memory.view, domain.at + domain.plan.viridian);
  switch (leaf) {
    case HV_LEAF.vendor:
      out.eax = HV_LEAF.hardware;
      out.ebx = HV_SIGNATURE.ebx;
      out.ecx = HV_SIGNATURE.ecx;
      out.edx = HV_SIGNATURE.edx;
      return;
    case HV_LEAF.interface:
      out.eax = HV_SIGNATURE.interface;
      return;
    case HV_LEAF.version:
      if (osId === 0n) return;
      out.eax = VERSION.build;
      out.ebx = (VERSION.major << 16) | VERSION.minor;
      return;
    case HV_LEAF.features:
      out.eax =
        HV_PRIVILEGE.intr_ctrl_regs |
        HV_PRIVILEGE.hypercall_msrs |
        HV_PRIVILEGE.vp_index |
        (hasViridian(domain, HVMPV.no_freq) ? 0 : HV_PRIVILEGE.frequency_regs) |
        has(HVMPV.time_ref_count, HV_PRIVILEGE.time_ref_count) |
        has(HVMPV.reference_tsc, HV_PRIVILEGE.reference_tsc);
      out.edx = has(HVMPV.cpu_hotplug, HV_FEATURE.cpu_dynamic_partitioning) | has(HVMPV.crash_ctl, HV_FEATURE.crash_msrs);
      return;
    case HV_LEAF.recommendations:
      if (((osId >> 40n) & 0xffn) < OS_WINDOWS_NT) return;
      out.eax =
        HV_RECOMMEND.relaxed_timing |
        // The APIC's registers are not virtualised by hardware here: an MSR is cheaper than the page.
        HV_RECOMMEND.msr_based_apic |
        has(HVMPV.hcall_remote_tlb_flush, HV_RECOMMEND.remote_tlb_flush) |
        has(HVMPV.hcall_ipi, HV_RECOMMEND.cluster_ipi) |
        has(HVMPV.ex_processor_masks, HV_RECOMMEND.ex_processor_masks);
      out.ebx = SPINLOCK_RETRIES;
      return;
    case HV_LEAF.limits:
      // All ones: no limit on the number of virtual processors.
      out.eax = has(HVMPV.no_vp_limit, 0xffff_ffff);
      return;
    case HV_LEAF.hardware:
      // As on a host with nested paging and without a virtual APIC.
      out.eax = HV_HARDWARE.msr_bitmaps | HV_HARDWARE.nested_paging;
      return;
  }
}
