// What clients are told when the domain changes its state, under QEMU's names.
import type { DomainEnd, DomainState } from '../machine/domain-config.ts';

export type ControlEventName =
  | 'STOP'
  | 'RESUME'
  | 'RESET'
  | 'SUSPEND'
  | 'SHUTDOWN'
  | 'GUEST_PANICKED'
  | 'XENSTORE_WATCH'
  | 'CONSOLE_OUTPUT'
  | 'CONSOLE_RESIZE';

export interface ControlEvent {
  readonly event: ControlEventName;
  readonly data?: Readonly<Record<string, unknown>>;
}

/** The event of a change after which the domain is still there. A domain that starts for the first time resumes, too. */
export function stateEvent(before: DomainState, state: DomainState, cause?: 'reset'): ControlEvent | undefined {
  if (cause === 'reset') return { event: 'RESET' };
  if (state === before) return undefined;
  switch (state) {
    case 'paused':
      return { event: 'STOP' };
    case 'running':
      return { event: 'RESUME' };
    case 'suspended':
      return { event: 'SUSPEND' };
    default:
      return undefined;
  }
}

const PANICS: readonly DomainEnd['reason'][] = ['crash', 'watchdog', 'triple-fault'];

/**
 * The events of the domain's end, in order; without an end the monitor itself failed.
 * @param action what is done about it, when the domain is not simply gone
 */
export function endEvents(end: DomainEnd | undefined, action?: string): readonly ControlEvent[] {
  const reason = end?.reason ?? 'monitor-failure';
  const panicked = PANICS.some((one) => one === reason);
  const guest = end !== undefined && reason !== 'destroyed';
  return [
    ...(panicked ? [{ event: 'GUEST_PANICKED', data: { reason } } as const] : []),
    { event: 'SHUTDOWN', data: { guest, reason, ...(action !== undefined && { action }) } },
  ];
}
