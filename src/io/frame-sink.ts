// What a network card is plugged into: a user mode network, a switch, a tap device, another process. The card's side (a PV
// network backend) implements FrameReceiver; everything a card can be plugged into implements FrameSink.
//
//     card ── sink.send(frame) ──▶ network          card ◀── receiver.receive(frame) ── network
//
// Both calls may refuse a frame (back-pressure): the frame was not taken, and whoever refused calls back once when there is room:
// `receiver.writable()` after a refused `send`, `sink.resume()` after a refused `receive`. Nobody has to keep what was refused,
// but a TCP relay does, so refusing is better than dropping.
//
// All calls happen on one thread. `receive` and `writable` may be called from inside `send` or `resume`; a receiver must not call
// `send` from inside `receive`, and a sink must not call `receive` from inside `attach` or `resume` of another receiver.

/** How a frame larger than the MTU is to be cut. The numbers are XEN_NETIF_GSO_TYPE_* (public/io/netif.h). */
export const GSO = { none: 0, tcpv4: 1, tcpv6: 2 } as const;
export type GsoType = (typeof GSO)[keyof typeof GSO];

/** The largest frame anybody sends: an Ethernet header with a VLAN tag and an IP packet of 65535 bytes. */
export const MAX_FRAME_BYTES = 18 + 0xffff;
export const ETHERNET_HEADER_BYTES = 14;

/**
 * One Ethernet frame, from the destination address on, without the frame check sequence; short frames are not padded. The object
 * and its bytes belong to the caller and are valid only during the call: both may be used again for the next frame, so whoever
 * needs them later copies.
 */
export interface Frame {
  readonly bytes: Uint8Array;
  /**
   * Not 0: the checksum is partial. The 16 bits at `checksumStart + checksumOffset` hold the folded sum of the pseudo header (not
   * complemented); the checksum is to be taken over the bytes from `checksumStart` to the end. Whoever cannot pass that on fills
   * it in (`completeChecksum`). 0: the frame's checksums are what they are.
   */
  readonly checksumStart: number;
  readonly checksumOffset: number;
  /** The sender vouches for the transport checksum, partial or not: nobody has to verify it (NETTXF_data_validated). */
  readonly checksumValid: boolean;
  /** Not `none`: one TCP segment with the payload of several, and a partial checksum. The IP header says the large length. */
  readonly gsoType: GsoType;
  /** TCP payload bytes in each segment that it stands for; 0 when `gsoType` is `none`. */
  readonly gsoSize: number;
}

/** What the other side understands. Read for each frame: a card's may change when its driver connects again. */
export interface FrameOffloads {
  /** Frames over IPv4, or IPv6, may carry a partial checksum. */
  readonly checksumIpv4: boolean;
  readonly checksumIpv6: boolean;
  /** Frames may be GSO.tcpv4, or GSO.tcpv6, up to `maxFrameBytes`. Implies the checksum flag of that family. */
  readonly gsoIpv4: boolean;
  readonly gsoIpv6: boolean;
  /** The largest frame taken with GSO, Ethernet header included; at most MAX_FRAME_BYTES. Without GSO: the MTU and the header. */
  readonly maxFrameBytes: number;
}

export const NO_OFFLOADS: FrameOffloads = {
  checksumIpv4: false,
  checksumIpv6: false,
  gsoIpv4: false,
  gsoIpv6: false,
  maxFrameBytes: ETHERNET_HEADER_BYTES + 1500,
};

export const ALL_OFFLOADS: FrameOffloads = {
  checksumIpv4: true,
  checksumIpv6: true,
  gsoIpv4: true,
  gsoIpv6: true,
  maxFrameBytes: ETHERNET_HEADER_BYTES + 0xffff,
};

/** Which multicast frames the card wants. Only a hint that saves work: a card gets more than it asked for from most sinks. */
export interface FrameFilter {
  /** Every frame, whomever it is for. */
  readonly promiscuous: boolean;
  /** Multicast destinations (6 bytes each) wanted beside broadcast and the card's own address; 'all' is the default. */
  readonly multicast: 'all' | readonly Uint8Array[];
}

/** The card's end of the cable. */
export interface FrameReceiver {
  /** What may be in a frame given to `receive`. */
  readonly offloads: FrameOffloads;
  /**
   * A frame for the card, with no offload that `offloads` does not allow. False: no room, the frame was not taken; the card calls
   * `resume` of its sink when there is room. A card that is to lose a frame (a broken ring) takes it and drops it.
   */
  receive(frame: Frame): boolean;
  /** There is room again after `send` answered false. */
  writable(): void;
  /** The cable's state changed; `linkUp` of the sink has the new value. */
  linkChanged(up: boolean): void;
}

/** The network's end of the cable. */
export interface FrameSink {
  /** Largest IP packet in bytes on this link, for frames without GSO: 1500 unless configured. */
  readonly mtu: number;
  readonly linkUp: boolean;
  /** What may be in a frame given to `send`. */
  readonly offloads: FrameOffloads;
  /**
   * Plugs a card in, in place of the one before; undefined unplugs. Nothing is delivered while no card is plugged in. What the
   * network knows (leases, connections) stays, so that a driver may be unloaded and come back.
   */
  attach(receiver: FrameReceiver | undefined): void;
  /**
   * A frame from the card. False: no room, the frame was not taken, and `writable` will be called. A malformed frame is taken and
   * dropped. Never throws for anything a guest put into `frame.bytes`, whatever its length; the other fields must be consistent
   * (`checksumStart + checksumOffset + 2 <= bytes.length`).
   */
  send(frame: Frame): boolean;
  /** The card has room again after `receive` answered false. A call without need does no harm. */
  resume(): void;
  /** A hint, see FrameFilter. */
  setFilter(filter: FrameFilter): void;
  /**
   * The card is another machine's from here on: ends the connections of the guest that is gone (with a reset, on the host's side)
   * and forgets its addresses and leases. What the owner asked for stays: ports of the host that lead to the guest, links. Left out
   * by networks that keep nothing of a guest.
   */
  forgetGuest?(): void;
  /** Unplugs the card and frees what the network holds on the host (sockets, files). Frames sent afterwards are dropped. */
  close(): Promise<void>;
}

/** A frame with nothing offloaded. Allocates: for control traffic and tests. */
export function plainFrame(bytes: Uint8Array): Frame {
  return { bytes, checksumStart: 0, checksumOffset: 0, checksumValid: false, gsoType: GSO.none, gsoSize: 0 };
}
