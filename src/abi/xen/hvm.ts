// hvm_op, HVM parameters and CPUID leaves. public/hvm/hvm_op.h, hvm/params.h, arch-x86/cpuid.h.
import { struct, u8, u16, u32, u64, uint53 } from '../layout.ts';

export const HVMOP = {
  set_param: 0,
  get_param: 1,
  flush_tlbs: 5,
  pagetable_dying: 9,
  get_time: 10,
  xentrace: 11,
  get_mem_type: 15,
  set_evtchn_upcall_vector: 23,
  guest_request_vm_event: 24,
  altp2m: 25,
} as const;

export const HVM_PARAM = {
  CALLBACK_IRQ: 0,
  STORE_PFN: 1,
  STORE_EVTCHN: 2,
  PAE_ENABLED: 4,
  IOREQ_PFN: 5,
  BUFIOREQ_PFN: 6,
  VIRIDIAN: 9,
  TIMER_MODE: 10,
  HPET_ENABLED: 11,
  IDENT_PT: 12,
  DM_DOMAIN: 13,
  ACPI_S_STATE: 14,
  VM86_TSS: 15,
  VPT_ALIGN: 16,
  CONSOLE_PFN: 17,
  CONSOLE_EVTCHN: 18,
  ACPI_IOPORTS_LOCATION: 19,
  MEMORY_EVENT_CR0: 20,
  MEMORY_EVENT_CR3: 21,
  MEMORY_EVENT_CR4: 22,
  MEMORY_EVENT_INT3: 23,
  NESTEDHVM: 24,
  MEMORY_EVENT_SINGLE_STEP: 25,
  BUFIOREQ_EVTCHN: 26,
  PAGING_RING_PFN: 27,
  MONITOR_RING_PFN: 28,
  SHARING_RING_PFN: 29,
  MEMORY_EVENT_MSR: 30,
  TRIPLE_FAULT_REASON: 31,
  IOREQ_SERVER_PFN: 32,
  NR_IOREQ_SERVER_PAGES: 33,
  VM_GENERATION_ID_ADDR: 34,
  ALTP2M: 35,
  X87_FIP_WIDTH: 36,
  VM86_TSS_SIZED: 37,
  MCA_CAP: 38,
} as const;
export const HVM_NR_PARAMS = 39;
/** Bits 63:56 of CALLBACK_IRQ. */
export const CALLBACK_TYPE = { gsi: 0, pci_intx: 1, vector: 2 } as const;

export const HvmParam = struct(16, { domid: u16, pad: u16, index: u32, value: u64 });
export const HvmEvtchnUpcallVector = struct(8, { vcpu: u32, vector: u8, pad0: u8, pad1: u16 });
export const HvmGetTime = struct(8, { now: uint53 });
export const HvmGetMemType = struct(16, { domid: u16, mem_type: u16, pad: u32, pfn: uint53 });
/** A trace record of the guest's own: `event` is 12 bits, `extra_bytes` at most 28. */
export const HvmXentrace = struct(32, { event: u16, extra_bytes: u16, extra: { ...u32, size: 28 } });
export const HVM_XENTRACE_MAX = { event: 0xfff, extra: 28 } as const;
export const HvmPagetableDying = struct(16, { domid: u16, pad0: u16, pad1: u32, gpa: u64 });
export const HVMMEM = { ram_rw: 0, ram_ro: 1, mmio_dm: 2 } as const;

/** Guest frames of the special pages a toolstack populates for an HVM guest: 8 from here. tools/include/xenguest.h */
export const SPECIAL_PAGES = { first: 0xfeff8, count: 8, xenstore: 0xfeffc, console: 0xfefff } as const;

export const CPUID_BASE = 0x4000_0000;
/** EAX of leaf base+4. */
export const CPUID_HVM = {
  IOMMU_MAPPINGS: 1 << 2,
  VCPU_ID_PRESENT: 1 << 3,
  DOMID_PRESENT: 1 << 4,
  UPCALL_VECTOR: 1 << 6,
} as const;
/** EAX of leaf base+3. */
export const CPUID_TIME = { tscEmulated: 1 << 0, tscReliable: 1 << 1, rdtscp: 1 << 2 } as const;
/** Bits of HVM_PARAM.VIRIDIAN: what of Microsoft's interface the domain has. */
export const HVMPV = {
  base_freq: 1 << 0,
  no_freq: 1 << 1,
  time_ref_count: 1 << 2,
  reference_tsc: 1 << 3,
  hcall_remote_tlb_flush: 1 << 4,
  apic_assist: 1 << 5,
  crash_ctl: 1 << 6,
  synic: 1 << 7,
  stimer: 1 << 8,
  hcall_ipi: 1 << 9,
  ex_processor_masks: 1 << 10,
  no_vp_limit: 1 << 11,
  cpu_hotplug: 1 << 12,
} as const;
export const MSR_HYPERCALL_PAGE = 0x4000_0000;
/** How far Xen's CPUID leaves and MSRs move when Microsoft's are below them. */
export const VIRIDIAN_SHIFT = { cpuid: 0x100, msr: 0x200 } as const;
/** The MSR numbers Xen decodes itself; an unassigned one raises #GP. */
export const MSR_RANGE = { first: 0x4000_0000, last: 0x4000_02ff } as const;
