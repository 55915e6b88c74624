// Numbers of Xen's public headers, written down a second time: what the guests here expect does not come from src/abi.

/** public/xen.h */
export const HYPERVISOR = {
  platform_op: 7,
  memory_op: 12,
  multicall: 13,
  set_timer_op: 15,
  xen_version: 17,
  console_io: 18,
  grant_table_op: 20,
  vm_assist: 21,
  vcpu_op: 24,
  mmuext_op: 26,
  xsm_op: 27,
  sched_op: 29,
  event_channel_op: 32,
  physdev_op: 33,
  hvm_op: 34,
  sysctl: 35,
  domctl: 36,
  argo_op: 39,
  xenpmu_op: 40,
  dm_op: 41,
  hypfs_op: 42,
  /** arch_1 on x86 */
  paging_domctl_cont: 49,
} as const;

export const DOMID = { self: 0x7ff0, io: 0x7ff1, xen: 0x7ff2, invalid: 0x7ff4, missing: 1234, zero: 0 } as const;

/** public/errno.h, negated: as results. */
export const E = {
  PERM: -1,
  NOENT: -2,
  SRCH: -3,
  NXIO: -6,
  TOOBIG: -7,
  ACCES: -13,
  FAULT: -14,
  BUSY: -16,
  EXIST: -17,
  NODEV: -19,
  INVAL: -22,
  NOSPC: -28,
  RANGE: -34,
  NOSYS: -38,
  OPNOTSUPP: -95,
  NOBUFS: -105,
} as const;

/** public/event_channel.h */
export const EVTCHNOP = {
  bind_interdomain: 0,
  bind_virq: 1,
  bind_pirq: 2,
  close: 3,
  send: 4,
  status: 5,
  alloc_unbound: 6,
  bind_ipi: 7,
  bind_vcpu: 8,
  unmask: 9,
  reset: 10,
  init_control: 11,
  expand_array: 12,
  set_priority: 13,
  /** Not public: xen/include/xen/event.h. */
  reset_cont: 14,
} as const;

/** public/version.h */
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

/** public/xen.h */
export const CONSOLEIO = { write: 0, read: 1 } as const;
/** public/xen.h: commands of vm_assist, and the one type for HVM guests. */
export const VMASST = { enable: 0, disable: 1, runstate_update_flag: 5 } as const;

/** public/memory.h */
export const XENMEM = {
  increase_reservation: 0,
  decrease_reservation: 1,
  maximum_ram_page: 2,
  current_reservation: 3,
  maximum_reservation: 4,
  machphys_mfn_list: 5,
  populate_physmap: 6,
  add_to_physmap: 7,
  memory_map: 9,
  machine_memory_map: 10,
  exchange: 11,
  machphys_mapping: 12,
  set_memory_map: 13,
  maximum_gpfn: 14,
  remove_from_physmap: 15,
  set_pod_target: 16,
  get_pod_target: 17,
  get_sharing_freed_pages: 18,
  get_sharing_shared_pages: 19,
  paging_op: 20,
  access_op: 21,
  sharing_op: 22,
  add_to_physmap_batch: 23,
  claim_pages: 24,
  machphys_compat_mfn_list: 25,
  get_vnumainfo: 26,
  reserved_device_memory_map: 27,
  acquire_resource: 28,
} as const;
export const SPACE = { shared_info: 0, grant_table: 1, gmfn: 2, gmfn_range: 3, gmfn_foreign: 4, dev_mmio: 5 } as const;

/** public/hvm/hvm_op.h */
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
/** public/hvm/params.h: CALLBACK_IRQ by vector, by GSI, and by a PCI device's pin. */
export const callbackVector = (vector: number): bigint => (2n << 56n) | BigInt(vector);
export const callbackGsi = (gsi: number): bigint => BigInt(gsi);
export const callbackIntx = (device: number, pin: number): bigint => (1n << 56n) | BigInt((device << 11) | pin);

/** public/vcpu.h */
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

/** public/sched.h */
export const SCHEDOP = {
  yield: 0,
  block: 1,
  shutdown: 2,
  poll: 3,
  remote_shutdown: 4,
  shutdown_code: 5,
  watchdog: 6,
  pin_override: 7,
} as const;

/** public/grant_table.h */
export const GNTTABOP = {
  map_grant_ref: 0,
  unmap_grant_ref: 1,
  setup_table: 2,
  dump_table: 3,
  transfer: 4,
  copy: 5,
  query_size: 6,
  unmap_and_replace: 7,
  set_version: 8,
  get_status_frames: 9,
  get_version: 10,
  swap_grant_ref: 11,
  cache_flush: 12,
} as const;
