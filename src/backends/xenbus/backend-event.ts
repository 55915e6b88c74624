import type { BackendDevice } from './backend-device.ts';
import type { Refusal } from './refusal.ts';

/** What the owner of the domain is told about its devices. */
export type BackendEvent =
  /** The backend's state changed, to an XenbusState. */
  | { readonly kind: 'state'; readonly device: BackendDevice; readonly state: number }
  /** The frontend did what no frontend may do; it is written in the store too. */
  | { readonly kind: 'refused'; readonly device: BackendDevice; readonly refusal: Refusal }
  /** The host's side failed, such as a disk that cannot be read. The device goes on. */
  | { readonly kind: 'error'; readonly device: BackendDevice; readonly error: unknown };
