// A domain's state as xl and xentop show it: one letter each, or a dash.

/** r: running, b: blocked, p: paused, s: shut down, c: crashed, d: dying. */
export function domainFlags(state: string, blocked: boolean): string {
  const running = state === 'running';
  const flags: readonly (readonly [string, boolean])[] = [
    ['r', running && !blocked],
    ['b', running && blocked],
    ['p', state === 'paused' || state === 'built'],
    ['s', state === 'shutdown' || state === 'suspended'],
    ['c', state === 'crashed'],
    ['d', state === 'destroyed'],
  ];
  return flags.map(([letter, on]) => (on ? letter : '-')).join('');
}
