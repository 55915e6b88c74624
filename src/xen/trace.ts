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
  grant_map: 'ref=%u readonly=%u status=%d',
  grant_unmap: 'ref=%u',
  grant_copy: 'ref=%u readonly=%u bytes=%u status=%d',
  grant_version: 'version=%u result=%d',
  hypercall_page: 'gfn=%x narrow=%u',
  shutdown: 'reason=%u',
  viridian_write: 'vcpu=%u msr=%x high=%x low=%x',
  viridian_page: 'gfn=%x written=%u',
  viridian_call: 'vcpu=%u code=%x status=%u',
  viridian_crash: 'vcpu=%u p0=%x p1=%x p2=%x p3=%x p4=%x',
} as const;

export type XenTrace = Points<typeof FORMATS>;

/** The points named `xen.*`, all off. */
export const xenTrace = (sink: Sink): XenTrace => tracepoints('xen', FORMATS, sink);
