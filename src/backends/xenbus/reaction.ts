// What a backend does about its frontend's state: Linux's backends do the same (frontend_changed of xen-blkback and xen-netback).
import { XenbusState } from '../../abi/xen/xenbus.ts';

const S = XenbusState;

/**
 * offer:   let go of what was connected, publish the features, InitWait.
 * connect: once, unless the frontend was refused: map rings, bind channels, Connected.
 * drain:   Closing; the connection stays, because the frontend may still have requests on the ring.
 * close:   let go of what was connected, then Closed.
 * wait:    the frontend is not there yet.
 * refuse:  no frontend of ours may be in that state.
 */
const REACTION = {
  [S.Unknown]: 'close',
  [S.Initialising]: 'offer',
  [S.InitWait]: 'wait',
  [S.Initialised]: 'connect',
  [S.Connected]: 'connect',
  [S.Closing]: 'drain',
  [S.Closed]: 'close',
  [S.Reconfiguring]: 'refuse',
  [S.Reconfigured]: 'refuse',
} as const satisfies Record<XenbusState, string>;

export type Reaction = (typeof REACTION)[XenbusState];

/** `frontend`: any number that a guest may have written. */
export const reaction = (frontend: number): Reaction => (REACTION as Record<number, Reaction>)[frontend] ?? 'refuse';
