// vcpu_op, set_timer_op and their arguments. public/vcpu.h.
import { aligned, struct, u16, u32, u64, uint53 } from '../layout.ts';
import type { ByWidth } from './guest-pointer.ts';

export const VCPUOP = {
  initialise: 0,
  up: 1,
  down: 2,
  is_up: 3,
  get_runstate_info: 4,
  register_runstate_memory_area: 5,
  set_periodic_timer: 6,
  stop_periodic_timer: 7,
  set_singleshot_timer: 8,
  stop_singleshot_timer: 9,
  register_vcpu_info: 10,
  send_nmi: 11,
  get_physid: 12,
  register_vcpu_time_memory_area: 13,
  register_runstate_phys_area: 14,
  register_vcpu_time_phys_area: 15,
} as const;

export const RegisterVcpuInfo = struct(16, { mfn: uint53, offset: u32, rsvd: u32 });
const SetSingleshotTimer64 = struct(16, { timeout_abs_ns: uint53, flags: u32, pad: u32 });
const SetSingleshotTimer32 = struct(12, { timeout_abs_ns: aligned(uint53, 4), flags: u32 });
export const SetSingleshotTimer: ByWidth<typeof SetSingleshotTimer64, typeof SetSingleshotTimer32> = {
  wide: SetSingleshotTimer64,
  narrow: SetSingleshotTimer32,
};
export const SetPeriodicTimer = struct(8, { period_ns: uint53 });
/** The union of a guest pointer and a guest-physical address. */
export const RegisterArea = struct(8, { p: u64 });

/** `struct vcpu_hvm_context` (hvm/hvm_vcpu.h): the mode, then the registers of that mode. Alike in both widths. */
export const VCPU_HVM_MODE = { b32: 0, b64: 1 } as const;
export const VcpuHvmContext = struct(128, { mode: u32, pad: u32, registers: { ...u64, size: 120 } });
export const VcpuHvmContext32 = struct(128, {
  mode: u32,
  pad: u32,
  eax: u32,
  ecx: u32,
  edx: u32,
  ebx: u32,
  esp: u32,
  ebp: u32,
  esi: u32,
  edi: u32,
  eip: u32,
  eflags: u32,
  cr0: u32,
  cr3: u32,
  cr4: u32,
  pad1: u32,
  efer: u64,
  cs_base: u32,
  ds_base: u32,
  ss_base: u32,
  es_base: u32,
  tr_base: u32,
  cs_limit: u32,
  ds_limit: u32,
  ss_limit: u32,
  es_limit: u32,
  tr_limit: u32,
  cs_ar: u16,
  ds_ar: u16,
  ss_ar: u16,
  es_ar: u16,
  tr_ar: u16,
  pad2_0: u16,
  pad2_1: u16,
  pad2_2: u16,
});
export const VcpuHvmContext64 = struct(128, {
  mode: u32,
  pad: u32,
  rax: u64,
  rcx: u64,
  rdx: u64,
  rbx: u64,
  rsp: u64,
  rbp: u64,
  rsi: u64,
  rdi: u64,
  rip: u64,
  rflags: u64,
  cr0: u64,
  cr3: u64,
  cr4: u64,
  efer: u64,
  /** The union is as long as its 32-bit member. */
  unused: u64,
});
