// xen_version and its arguments; features; vm_assist; console_io. public/version.h, features.h, xen.h.
import { struct, u32 } from '../layout.ts';

export const XENVER = {
  version: 0,
  extraversion: 1,
  compile_info: 2,
  capabilities: 3,
  changeset: 4,
  platform_parameters: 5,
  get_features: 6,
  pagesize: 7,
  guest_handle: 8,
  commandline: 9,
  build_id: 10,
  extraversion2: 11,
  capabilities2: 12,
  changeset2: 13,
  commandline2: 14,
} as const;
/** Sizes of the fixed-length strings. */
export const XENVER_SIZE = { extraversion: 16, capabilities: 1024, changeset: 64, commandline: 1024, compile_info: 144 } as const;
/** Members of `struct xen_compile_info`: offset and size. */
export const COMPILE_INFO = {
  compiler: [0, 64],
  compile_by: [64, 16],
  compile_domain: [80, 32],
  compile_date: [112, 32],
} as const;
export const FeatureInfo = struct(8, { submap_idx: u32, submap: u32 });
export const XENFEAT = {
  writable_page_tables: 0,
  writable_descriptor_tables: 1,
  auto_translated_physmap: 2,
  hvm_callback_vector: 8,
  hvm_safe_pvclock: 9,
  hvm_pirqs: 10,
  dom0: 11,
  memory_op_vnode_supported: 13,
  not_direct_mapped: 16,
  runstate_phys_area: 18,
  vcpu_time_phys_area: 19,
  dm_msix_all_writes: 20,
} as const;
export const VarbufHead = struct(4, { len: u32 });

export const VMASST_CMD = { enable: 0, disable: 1 } as const;
export const VMASST_TYPE_runstate_update_flag = 5;
export const CONSOLEIO = { write: 0, read: 1 } as const;
