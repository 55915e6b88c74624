// The handshake between a device's two ends in XenStore. public/io/xenbus.h.

/** `enum xenbus_state`: what a `state` node holds, in decimal. */
export const XenbusState = {
  Unknown: 0,
  Initialising: 1,
  InitWait: 2,
  Initialised: 3,
  Connected: 4,
  Closing: 5,
  Closed: 6,
  Reconfiguring: 7,
  Reconfigured: 8,
} as const;
export type XenbusState = (typeof XenbusState)[keyof typeof XenbusState];

const NAMES = Object.fromEntries(Object.entries(XenbusState).map(([name, state]) => [state, name]));

/** The state's name, or its number when it has none. */
export const xenbusStateName = (state: number): string => NAMES[state] ?? String(state);
