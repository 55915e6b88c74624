// Event channels: sub-operations and their arguments. public/event_channel.h. All the same in both widths.
import { struct, u8, u16, u32, uint53 } from '../layout.ts';

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
  /** Xen's own continuation of a reset; a guest that calls it finds none to continue. */
  reset_cont: 14,
} as const;
export const EVTCHNSTAT = { closed: 0, unbound: 1, interdomain: 2, pirq: 3, virq: 4, ipi: 5 } as const;
export type EvtchnState = (typeof EVTCHNSTAT)[keyof typeof EVTCHNSTAT];

export const VIRQ = { TIMER: 0, DEBUG: 1, CONSOLE: 2, DOM_EXC: 3, XENOPROF: 7, XENPMU: 13 } as const;
export const NR_VIRQS = 24;
/** VIRQs each vCPU binds for itself; every other one is global and starts on vCPU 0. */
export const isPerVcpuVirq = (virq: number): boolean =>
  virq === VIRQ.TIMER || virq === VIRQ.DEBUG || virq === VIRQ.XENOPROF || virq === VIRQ.XENPMU;

export const EvtchnAllocUnbound = struct(8, { dom: u16, remote_dom: u16, port: u32 });
export const EvtchnBindInterdomain = struct(12, { remote_dom: u16, pad: u16, remote_port: u32, local_port: u32 });
export const EvtchnBindVirq = struct(12, { virq: u32, vcpu: u32, port: u32 });
export const EvtchnBindPirq = struct(12, { pirq: u32, flags: u32, port: u32 });
export const EvtchnBindIpi = struct(8, { vcpu: u32, port: u32 });
/** close, send and unmask. */
export const EvtchnPortOnly = struct(4, { port: u32 });
/** `u` by status: unbound {dom u16}; interdomain {dom u16, port u32}; pirq, virq {u32}. */
export const EvtchnStatus = struct(24, { dom: u16, pad: u16, port: u32, status: u32, vcpu: u32, u0: u32, u1: u32 });
export const EvtchnBindVcpu = struct(8, { port: u32, vcpu: u32 });
export const EvtchnReset = struct(2, { dom: u16 });
export const EvtchnSetPriority = struct(8, { port: u32, priority: u32 });
/** `link_bits` is [XEN]. */
export const EvtchnInitControl = struct(24, {
  control_gfn: uint53,
  offset: u32,
  vcpu: u32,
  link_bits: u8,
  pad0: u8,
  pad1: u16,
  pad2: u32,
});
export const EvtchnExpandArray = struct(8, { array_gfn: uint53 });

/** The FIFO ABI: limits, and the bits of an event word. Words lie in pages of the guest, 1024 to a page. */
export const EVTCHN_FIFO = {
  ports: 1 << 17,
  link_bits: 17,
  queues: 16,
  priority_min: 15,
  priority_default: 7,
  words_per_page: 1024,
  max_pages: 128,
} as const;
/** Xen sets PENDING, LINKED, BUSY and the link; the guest sets and clears MASKED, clears PENDING, LINKED and the link. */
export const EVENT_WORD = {
  pending: 1 << 31,
  masked: 1 << 30,
  linked: 1 << 29,
  busy: 1 << 28,
  link: (1 << 17) - 1,
} as const;
/** `struct evtchn_fifo_control_block`: `ready`, a bit a queue [XEN,GST], then the queues' heads [XEN]. */
export const FIFO_CONTROL_BLOCK = { sizeof: 72, ready: 0, head: 8 } as const;
