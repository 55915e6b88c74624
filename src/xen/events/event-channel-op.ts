// event_channel_op: from argument structures to the event channels.

import { EFAULT, EINVAL, ENOSYS, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import {
  EVTCHN_FIFO,
  EVTCHNOP,
  EVTCHNSTAT,
  EvtchnAllocUnbound,
  EvtchnBindInterdomain,
  EvtchnBindIpi,
  EvtchnBindPirq,
  EvtchnBindVcpu,
  EvtchnBindVirq,
  EvtchnExpandArray,
  EvtchnInitControl,
  EvtchnPortOnly,
  EvtchnReset,
  EvtchnSetPriority,
  EvtchnStatus,
} from '../../abi/xen/event-channel.ts';
import type { HypercallContext } from '../calls/hypercall-context.ts';

export function eventChannelOp(c: HypercallContext): number {
  switch (c.args.low(0)) {
    case EVTCHNOP.send:
      return copyIn(c, EvtchnPortOnly.sizeof) ? c.domain.events.send(EvtchnPortOnly.port.get(c.buffer.view, 0)) : -EFAULT;
    case EVTCHNOP.unmask:
      return copyIn(c, EvtchnPortOnly.sizeof) ? c.domain.events.unmask(EvtchnPortOnly.port.get(c.buffer.view, 0)) : -EFAULT;
    case EVTCHNOP.close:
      return copyIn(c, EvtchnPortOnly.sizeof) ? c.domain.events.close(EvtchnPortOnly.port.get(c.buffer.view, 0)) : -EFAULT;
    case EVTCHNOP.alloc_unbound:
      return allocUnbound(c);
    case EVTCHNOP.bind_interdomain:
      return bindInterdomain(c);
    case EVTCHNOP.bind_virq:
      return bindVirq(c);
    case EVTCHNOP.bind_ipi:
      return bindIpi(c);
    case EVTCHNOP.bind_pirq:
      return bindPirq(c);
    case EVTCHNOP.status:
      return status(c);
    case EVTCHNOP.bind_vcpu:
      return bindVcpu(c);
    case EVTCHNOP.reset:
      return reset(c, false);
    case EVTCHNOP.reset_cont:
      return reset(c, true);
    case EVTCHNOP.init_control:
      return initControl(c);
    case EVTCHNOP.expand_array:
      return copyIn(c, EvtchnExpandArray.sizeof)
        ? c.domain.events.expandArray(EvtchnExpandArray.array_gfn.get(c.buffer.view, 0))
        : -EFAULT;
    case EVTCHNOP.set_priority:
      return setPriority(c);
    default:
      return -ENOSYS;
  }
}

const copyIn = (c: HypercallContext, size: number): boolean => c.buffer.copyIn(c.caller, c.args.pointer(1), size);

/** Answers a bind: the port goes back in the structure. When that fails the port stays bound, as in Xen. */
function answer(
  c: HypercallContext,
  port: number,
  size: number,
  field: { set(v: DataView, at: number, x: number): void },
): number {
  if (port < 0) return port;
  field.set(c.buffer.view, 0, port);
  return c.buffer.copyOut(c.caller, c.args.pointer(1), size) ? 0 : -EFAULT;
}

function allocUnbound(c: HypercallContext): number {
  const S = EvtchnAllocUnbound;
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  const dom = c.domain.resolve(S.dom.get(c.buffer.view, 0));
  if (dom === undefined) return -ESRCH;
  if (dom !== c.domain.domid) return -EPERM;
  return answer(c, c.domain.events.allocUnbound(S.remote_dom.get(c.buffer.view, 0)), S.sizeof, S.port);
}

function bindInterdomain(c: HypercallContext): number {
  const S = EvtchnBindInterdomain;
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  const port = c.domain.events.bindInterdomain(S.remote_dom.get(view, 0), S.remote_port.get(view, 0));
  return answer(c, port, S.sizeof, S.local_port);
}

function bindVirq(c: HypercallContext): number {
  const S = EvtchnBindVirq;
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  return answer(c, c.domain.events.bindVirq(S.virq.get(view, 0), S.vcpu.get(view, 0)), S.sizeof, S.port);
}

function bindIpi(c: HypercallContext): number {
  const S = EvtchnBindIpi;
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  return answer(c, c.domain.events.bindIpi(S.vcpu.get(c.buffer.view, 0)), S.sizeof, S.port);
}

function bindVcpu(c: HypercallContext): number {
  const S = EvtchnBindVcpu;
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  return c.domain.events.bindVcpu(S.port.get(c.buffer.view, 0), S.vcpu.get(c.buffer.view, 0));
}

function bindPirq(c: HypercallContext): number {
  const S = EvtchnBindPirq;
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  return answer(c, c.domain.events.bindPirq(S.pirq.get(c.buffer.view, 0)), S.sizeof, S.port);
}

function reset(c: HypercallContext, continued: boolean): number {
  if (!copyIn(c, EvtchnReset.sizeof)) return -EFAULT;
  const dom = c.domain.resolve(EvtchnReset.dom.get(c.buffer.view, 0));
  if (dom === undefined) return -ESRCH;
  return dom === c.domain.domid ? c.domain.events.reset(continued) : -EPERM;
}

function initControl(c: HypercallContext): number {
  const S = EvtchnInitControl;
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  const { events } = c.domain;
  const result = events.initControl(S.vcpu.get(view, 0), S.control_gfn.get(view, 0), S.offset.get(view, 0));
  if (result < 0) return result;
  S.link_bits.set(view, 0, EVTCHN_FIFO.link_bits);
  return c.buffer.copyOut(c.caller, c.args.pointer(1), S.sizeof) ? 0 : -EFAULT;
}

function setPriority(c: HypercallContext): number {
  const S = EvtchnSetPriority;
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  return c.domain.events.setPriority(S.port.get(c.buffer.view, 0), S.priority.get(c.buffer.view, 0));
}

function status(c: HypercallContext): number {
  const S = EvtchnStatus;
  if (!copyIn(c, S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  const dom = c.domain.resolve(S.dom.get(view, 0));
  if (dom === undefined) return -ESRCH;
  if (dom !== c.domain.domid) return -EPERM;
  const port = S.port.get(view, 0);
  const { events } = c.domain;
  if (!events.isValid(port)) return -EINVAL;
  const state = events.ports.state(port);
  S.status.set(view, 0, state);
  S.vcpu.set(view, 0, events.ports.vcpu(port));
  const remote = events.ports.remote(port);
  if (state === EVTCHNSTAT.virq || state === EVTCHNSTAT.pirq) S.u0.set(view, 0, remote);
  if (state === EVTCHNSTAT.unbound || state === EVTCHNSTAT.interdomain) view.setUint16(S.u0.offset, remote, true);
  if (state === EVTCHNSTAT.interdomain) S.u1.set(view, 0, events.ports.remotePort(port));
  return c.buffer.copyOut(c.caller, c.args.pointer(1), S.sizeof) ? 0 : -EFAULT;
}
