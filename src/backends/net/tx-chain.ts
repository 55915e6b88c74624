// The slots of one frame on a tx ring: its first request, extra_infos after that, and a request for each further piece.

import { PAGE_SIZE } from '../../abi/types.ts';
import {
  NETIF_EXTRA,
  NETIF_EXTRA_MORE,
  NETIF_RSP,
  NETIF_SLOTS_MIN,
  NETTXF,
  NetifExtraGso,
  NetifExtraMcast,
  NetifTxRequest,
  NetifTxResponse,
} from '../../abi/xen/netif.ts';
import { ETHERNET_HEADER_BYTES, GSO } from '../../io/frame-sink.ts';
import type { BackendGrants } from '../../xen/grants/backend-grants.ts';
import type { BackRing } from '../ring.ts';

/**
 * frame:     it can be copied.
 * multicast: no frame, but a change of what multicast is wanted.
 * error:     it makes no sense; its end is known, so it can be answered.
 * broken:    the ring ends in the middle of it.
 */
export type ChainKind = 'frame' | 'multicast' | 'error' | 'broken';

export class TxChain {
  /** NETTXF of the first request. */
  flags = 0;
  /** Bytes of the frame. */
  size = 0;
  gsoType = 0;
  gsoSize = 0;
  /** NETIF_EXTRA.MCAST_ADD or MCAST_DEL; 0 for none. */
  multicast = 0;
  readonly address = new Uint8Array(6);
  /** Slots it takes on the ring, and the identifier of each; -1 for an extra_info. */
  slots = 0;
  readonly #ids: Int32Array;
  #pieces = 0;
  readonly #refs = new Uint32Array(NETIF_SLOTS_MIN);
  readonly #offsets = new Uint16Array(NETIF_SLOTS_MIN);
  readonly #sizes = new Uint16Array(NETIF_SLOTS_MIN);
  readonly #entry = new Uint32Array(NetifTxRequest.sizeof / 4);
  readonly #view = new DataView(this.#entry.buffer);
  readonly #response = new Uint32Array(NetifTxResponse.sizeof / 4);
  readonly #responseView = new DataView(this.#response.buffer);

  /** For a ring of so many entries. */
  constructor(entries: number) {
    this.#ids = new Int32Array(entries);
  }

  /** Takes a chain from the ring, of which `pending` slots, at least one, are the frontend's word. */
  take(ring: BackRing, pending: number): ChainKind {
    this.slots = this.#pieces = this.gsoType = this.gsoSize = this.multicast = 0;
    this.#takeRequest(ring);
    const view = this.#view;
    this.flags = NetifTxRequest.flags.get(view, 0);
    this.size = NetifTxRequest.size.get(view, 0);
    let more = (this.flags & NETTXF.more_data) !== 0;
    let good = true;
    for (let extra = (this.flags & NETTXF.extra_info) !== 0; extra; ) {
      if (this.slots === pending) return 'broken';
      this.#takeEntry(ring, -1);
      good = this.#readExtra() && good;
      extra = (NetifExtraGso.flags.get(view, 0) & NETIF_EXTRA_MORE) !== 0;
    }
    let rest = this.size;
    while (more) {
      if (this.slots === pending) return 'broken';
      this.#takeRequest(ring);
      rest -= NetifTxRequest.size.get(view, 0);
      more = (NetifTxRequest.flags.get(view, 0) & NETTXF.more_data) !== 0;
    }
    if (!good) return 'error';
    if (this.multicast !== 0) return this.#pieces === 1 && this.gsoType === GSO.none ? 'multicast' : 'error';
    if (this.#pieces > NETIF_SLOTS_MIN || rest < 0 || this.size < ETHERNET_HEADER_BYTES) return 'error';
    // What the first request holds itself is what the others leave.
    this.#sizes[0] = rest;
    return this.#withinPages() ? 'frame' : 'error';
  }

  /** Copies the frame out of the guest's pages; false when one of them is not granted so. */
  copy(grants: BackendGrants, into: Uint8Array): boolean {
    let at = 0;
    for (let i = 0; i < this.#pieces; i++) {
      const size = this.#sizes[i] as number;
      const status = grants.copyFrom(this.#refs[i] as number, this.#offsets[i] as number, into.subarray(at, at + size));
      if (status !== 0) return false;
      at += size;
    }
    return true;
  }

  /** Answers all slots. An extra_info has a response of its own that says nothing. */
  respond(ring: BackRing, status: number): void {
    for (let i = 0; i < this.slots; i++) {
      const id = this.#ids[i] as number;
      NetifTxResponse.id.set(this.#responseView, 0, id < 0 ? 0 : id);
      NetifTxResponse.status.set(this.#responseView, 0, id < 0 ? NETIF_RSP.NULL : status);
      ring.respond(this.#response);
    }
  }

  #takeRequest(ring: BackRing): void {
    ring.take(this.#entry);
    const view = this.#view;
    this.#ids[this.slots++] = NetifTxRequest.id.get(view, 0);
    const piece = this.#pieces++;
    if (piece >= NETIF_SLOTS_MIN) return;
    this.#refs[piece] = NetifTxRequest.gref.get(view, 0);
    this.#offsets[piece] = NetifTxRequest.offset.get(view, 0);
    this.#sizes[piece] = NetifTxRequest.size.get(view, 0);
  }

  #takeEntry(ring: BackRing, id: number): void {
    ring.take(this.#entry);
    this.#ids[this.slots++] = id;
  }

  /** False for one that we do not know or that says nothing sensible. */
  #readExtra(): boolean {
    const view = this.#view;
    const type = NetifExtraGso.type.get(view, 0);
    if (type === NETIF_EXTRA.GSO) {
      this.gsoType = NetifExtraGso.gsoType.get(view, 0);
      this.gsoSize = NetifExtraGso.size.get(view, 0);
      return (this.gsoType === GSO.tcpv4 || this.gsoType === GSO.tcpv6) && this.gsoSize > 0;
    }
    if (type === NETIF_EXTRA.MCAST_ADD || type === NETIF_EXTRA.MCAST_DEL) {
      this.multicast = type;
      for (let i = 0; i < 6; i++) this.address[i] = view.getUint8(NetifExtraMcast.addr.offset + i);
      return true;
    }
    // A hash that the guest calculated; we have no use for it.
    return type === NETIF_EXTRA.HASH;
  }

  #withinPages(): boolean {
    for (let i = 0; i < this.#pieces; i++) {
      if ((this.#offsets[i] as number) + (this.#sizes[i] as number) > PAGE_SIZE) return false;
    }
    return true;
  }
}
