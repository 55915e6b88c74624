// The platform's tracepoints.
import { type Points, type Sink, tracepoints } from '../trace/points.ts';

const FORMATS = {
  hypercall: 'vcpu=%u nr=%u op=%x result=%d',
  unimplemented: 'vcpu=%u nr=%u op=%x',
  evtchn_bind: 'port=%u state=%u remote=%u remote_port=%u',
  evtchn_close: 'port=%u',
  evtchn_send: 'port=%u state=%u',
  evtchn_pending: 'port=%u vcpu=%u masked=%u',
  upcall: 'vcpu=%u vector=%x',
  timer: 'vcpu=%u deadline=%u',
  timer_fired: 'vcpu=%u late=%u',
  runstate: 'vcpu=%u state=%u',
  param: 'index=%u value=%x',
  overlay: 'page=%u gfn=%x',
  hypercall_page: 'gfn=%x narrow=%u',
  shutdown: 'reason=%u',
} as const;

export type XenTrace = Points<typeof FORMATS>;

/** The points named `xen.*`, all off. */
export const xenTrace = (sink: Sink): XenTrace => tracepoints('xen', FORMATS, sink);
