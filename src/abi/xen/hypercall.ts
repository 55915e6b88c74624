// Hypercall numbers (public/xen.h), the entries of a multicall and the stubs of the hypercall page.
import { struct, u32, u64 } from '../layout.ts';
import type { ByWidth } from './guest-pointer.ts';

export const HYPERVISOR = {
  set_trap_table: 0,
  mmu_update: 1,
  set_gdt: 2,
  stack_switch: 3,
  set_callbacks: 4,
  fpu_taskswitch: 5,
  sched_op_compat: 6,
  platform_op: 7,
  set_debugreg: 8,
  get_debugreg: 9,
  update_descriptor: 10,
  memory_op: 12,
  multicall: 13,
  update_va_mapping: 14,
  set_timer_op: 15,
  event_channel_op_compat: 16,
  xen_version: 17,
  console_io: 18,
  physdev_op_compat: 19,
  grant_table_op: 20,
  vm_assist: 21,
  update_va_mapping_otherdomain: 22,
  iret: 23,
  vcpu_op: 24,
  set_segment_base: 25,
  mmuext_op: 26,
  xsm_op: 27,
  nmi_op: 28,
  sched_op: 29,
  callback_op: 30,
  xenoprof_op: 31,
  event_channel_op: 32,
  physdev_op: 33,
  hvm_op: 34,
  sysctl: 35,
  domctl: 36,
  kexec_op: 37,
  tmem_op: 38,
  argo_op: 39,
  xenpmu_op: 40,
  dm_op: 41,
  hypfs_op: 42,
  /** Machine checks, of PV domains. */
  arch_0: 48,
  /** The continuation of a paging domctl. */
  arch_1: 49,
  arch_2: 50,
  arch_3: 51,
  arch_4: 52,
  arch_5: 53,
  arch_6: 54,
  arch_7: 55,
} as const;
/** Numbers below this one exist; each has a counter. */
export const NR_HYPERCALLS = 64;

/** `args`: six registers, of which a call takes five at most. */
const MulticallEntry64 = struct(64, { op: u64, result: u64, args: { ...u64, size: 48 } });
const MulticallEntry32 = struct(32, { op: u32, result: u32, args: { ...u32, size: 24 } });
export const MulticallEntry: ByWidth<typeof MulticallEntry64, typeof MulticallEntry32> = {
  wide: MulticallEntry64,
  narrow: MulticallEntry32,
};

/** The hypercall page: stub n lies at 32 * n and is `mov eax, n; <trap>; ret`. */
export const STUB = { size: 32, count: 128, mov_eax: 0xb8, ret: 0xc3 } as const;
/** The instruction a guest chooses from the CPUID vendor: `0f 01 c1` VMCALL, `0f 01 d9` VMMCALL. */
export const TRAP = { vmcall: [0x0f, 0x01, 0xc1], vmmcall: [0x0f, 0x01, 0xd9] } as const;
export const UD2 = [0x0f, 0x0b] as const;
