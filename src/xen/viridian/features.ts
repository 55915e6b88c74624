// What of Microsoft's interface ("viridian") a domain has: the feature mask that a toolstack puts into an HVM parameter.
import { HVM_PARAM, HVMPV } from '../../abi/xen/hvm.ts';
import type { XenDomain } from '../domain.ts';

/** What `viridian=1` stands for in Xen 4.20: tools/libs/light/libxl_x86.c. Synthetic interrupts and timers are not in it. */
export const VIRIDIAN_DEFAULT: number =
  HVMPV.base_freq | HVMPV.time_ref_count | HVMPV.apic_assist | HVMPV.crash_ctl | HVMPV.no_vp_limit | HVMPV.cpu_hotplug;

/** Whether the domain has a feature; `which` is of HVMPV. */
export const hasViridian = (domain: XenDomain, which: number): boolean =>
  (Number(domain.param(HVM_PARAM.VIRIDIAN)) & which) !== 0;
