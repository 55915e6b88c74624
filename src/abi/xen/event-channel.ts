// Event channels: sub-operations and their arguments. public/event_channel.h. All the same in both widths.
import { struct, u16, u32 } from '../layout.ts';

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
