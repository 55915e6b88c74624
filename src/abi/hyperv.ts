// Microsoft's hypervisor interface: CPUID leaves, MSRs, pages and hypercalls. Hypervisor Top Level Functional Specification.
import { struct, u32, u64 } from './layout.ts';

/** CPUID leaves, from 0x40000000. */
export const HV_LEAF = {
  vendor: 0x4000_0000,
  interface: 0x4000_0001,
  version: 0x4000_0002,
  features: 0x4000_0003,
  recommendations: 0x4000_0004,
  limits: 0x4000_0005,
  hardware: 0x4000_0006,
} as const;
/** "Microsoft Hv" in EBX, ECX, EDX of leaf 0, and "Hv#1" in EAX of leaf 1. */
export const HV_SIGNATURE = { ebx: 0x7263_694d, ecx: 0x666f_736f, edx: 0x7648_2074, interface: 0x3123_7648 } as const;
/** EAX of the features leaf: the low half of the partition's privileges. */
export const HV_PRIVILEGE = {
  time_ref_count: 1 << 1,
  intr_ctrl_regs: 1 << 4,
  hypercall_msrs: 1 << 5,
  vp_index: 1 << 6,
  reference_tsc: 1 << 9,
  frequency_regs: 1 << 11,
} as const;
/** EDX of the features leaf. */
export const HV_FEATURE = { cpu_dynamic_partitioning: 1 << 3, crash_msrs: 1 << 10 } as const;
/** EAX of the recommendations leaf. */
export const HV_RECOMMEND = {
  remote_tlb_flush: 1 << 2,
  msr_based_apic: 1 << 3,
  relaxed_timing: 1 << 5,
  cluster_ipi: 1 << 10,
  ex_processor_masks: 1 << 11,
} as const;
/** EAX of the hardware leaf: what the hypervisor itself uses. */
export const HV_HARDWARE = { msr_bitmaps: 1 << 1, nested_paging: 1 << 3 } as const;

export const HV_MSR = {
  guest_os_id: 0x4000_0000,
  hypercall: 0x4000_0001,
  vp_index: 0x4000_0002,
  reset: 0x4000_0003,
  vp_runtime: 0x4000_0010,
  time_ref_count: 0x4000_0020,
  reference_tsc: 0x4000_0021,
  tsc_frequency: 0x4000_0022,
  apic_frequency: 0x4000_0023,
  eoi: 0x4000_0070,
  icr: 0x4000_0071,
  tpr: 0x4000_0072,
  vp_assist_page: 0x4000_0073,
  crash_p0: 0x4000_0100,
  crash_p4: 0x4000_0104,
  crash_ctl: 0x4000_0105,
} as const;
/** The MSRs that name a guest page: bit 0 enables, bits 59:12 are the frame. */
export const HV_PAGE_MSR = { enable: 1 << 0 } as const;
/** Bit 63 of CRASH_CTL, as a bit of its upper half. */
export const HV_CRASH_NOTIFY_HIGH = 0x8000_0000;

/** The page of HV_MSR.reference_tsc: time in 100 ns = (TSC * scale >> 64) + offset, unless `sequence` is 0. */
export const HvReferenceTsc = struct(24, { sequence: u32, reserved: u32, scale: u64, offset: u64 });

export const HV_CALL = {
  flush_virtual_address_space: 0x0002,
  flush_virtual_address_list: 0x0003,
  notify_long_spin_wait: 0x0008,
  send_ipi: 0x000b,
  flush_virtual_address_space_ex: 0x0013,
  flush_virtual_address_list_ex: 0x0014,
  send_ipi_ex: 0x0015,
} as const;
/** Fields of a hypercall's input value: bits 15:0 code, 16 fast; bits 43:32 repetitions, as bits of the upper half. */
export const HV_INPUT = { code: 0xffff, fast: 1 << 16, rep_count_high: 0xfff } as const;
export const HV_STATUS = { success: 0, invalid_hypercall_code: 2, invalid_parameter: 5 } as const;

/** Input of the flush calls. */
export const HvFlush = struct(24, { address_space: u64, flags: u64, vcpu_mask: u64 });
/** Bit 0 of `flags`: the mask does not count. */
export const HV_FLUSH_ALL_PROCESSORS = 1n;
/** Input of the flush calls with a sparse set of processors. */
export const HvFlushEx = struct(32, { address_space: u64, flags: u64, format: u64, valid_bank_mask: u64 });
/** Input of send_ipi. `target_vtl`: a byte and three that must be 0. */
export const HvSendIpi = struct(16, { vector: u32, target_vtl: u32, vcpu_mask: u64 });
/** Input of send_ipi_ex. */
export const HvSendIpiEx = struct(24, { vector: u32, target_vtl: u32, format: u64, valid_bank_mask: u64 });
/** How a sparse set names processors: a bit mask of banks of 64, and a u64 for each bank in it; or all of them. */
export const HV_SET = { sparse_4k: 0n, all: 1n, banks: 64, bankSize: 8 } as const;
