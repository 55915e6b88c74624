// One request as it is served: decoded from a copy of its ring entry, and checked against the disk.
import {
  BLKIF_DISCARD_SECURE,
  BLKIF_MAX_SEGMENTS,
  BLKIF_OP,
  BLKIF_RSP,
  BLKIF_SECTOR,
  BLKIF_SECTORS_PER_PAGE,
  BLKIF_SEGMENTS_PER_INDIRECT_PAGE,
  type BlkifLayout,
  BlkifSegment,
} from '../../abi/xen/blkif.ts';
import { GNTST } from '../../abi/xen/grant-table.ts';
import type { BackendGrants } from '../../xen/grants/backend-grants.ts';

/** Segments of one indirect request, as Linux's backend: 1 MiB. */
export const MAX_INDIRECT_SEGMENTS = 256;

/** What a disk takes. */
export interface DiskLimits {
  readonly sizeBytes: number;
  readonly sectorSize: number;
  readonly writable: boolean;
  readonly discard: boolean;
}

export interface BlockRequest {
  /** The words of `id`. */
  readonly idLow: number;
  readonly idHigh: number;
  /** What the response says: of an indirect request the inner operation, as frontends expect. */
  readonly operation: number;
  /** BLKIF_RSP.OKAY, or why it is not done. */
  status: number;
  /** On the disk, in bytes. */
  offset: number;
  length: number;
  /** The granted page of each segment, and which sectors of it: first | last << 8. */
  readonly refs: number[];
  readonly spans: number[];
}

/** Decodes requests of one ring. */
export class RequestDecoder {
  readonly #layout: BlkifLayout;
  readonly #grants: BackendGrants;
  readonly #segments = new Uint8Array(MAX_INDIRECT_SEGMENTS * BlkifSegment.sizeof);
  readonly #segmentsView: DataView = new DataView(this.#segments.buffer);

  constructor(layout: BlkifLayout, grants: BackendGrants) {
    this.#layout = layout;
    this.#grants = grants;
  }

  /** `entry`: a copy that the guest cannot change. `limits` is undefined while there is no medium. */
  decode(entry: DataView, limits: DiskLimits | undefined): BlockRequest {
    const { request, indirect } = this.#layout;
    const outer = request.operation.get(entry, 0);
    const { offset: id } = request.id;
    const decoded: BlockRequest = {
      idLow: entry.getUint32(id, true),
      idHigh: entry.getUint32(id + 4, true),
      operation: outer === BLKIF_OP.INDIRECT ? indirect.indirect_op.get(entry, 0) : outer,
      status: BLKIF_RSP.OKAY,
      offset: 0,
      length: 0,
      refs: [],
      spans: [],
    };
    decoded.status = this.#check(entry, outer, decoded, limits);
    return decoded;
  }

  #check(entry: DataView, outer: number, into: BlockRequest, limits: DiskLimits | undefined): number {
    switch (outer) {
      case BLKIF_OP.READ:
      case BLKIF_OP.WRITE:
      case BLKIF_OP.WRITE_BARRIER:
      case BLKIF_OP.FLUSH_DISKCACHE:
        return this.#checkDirect(entry, outer, into, limits);
      case BLKIF_OP.INDIRECT:
        return this.#checkIndirect(entry, into, limits);
      case BLKIF_OP.DISCARD:
        return this.#checkDiscard(entry, into, limits);
      default:
        return BLKIF_RSP.EOPNOTSUPP;
    }
  }

  #checkDirect(entry: DataView, operation: number, into: BlockRequest, limits: DiskLimits | undefined): number {
    const { request } = this.#layout;
    const count = request.nr_segments.get(entry, 0);
    if (count > BLKIF_MAX_SEGMENTS) return BLKIF_RSP.ERROR;
    // A flush mostly writes nothing, and a barrier may.
    const mayBeEmpty = operation === BLKIF_OP.FLUSH_DISKCACHE || operation === BLKIF_OP.WRITE_BARRIER;
    if (count === 0) return mayBeEmpty && limits !== undefined ? BLKIF_RSP.OKAY : BLKIF_RSP.ERROR;
    if (!addSegments(into, entry, request.seg.offset, count)) return BLKIF_RSP.ERROR;
    return place(into, request.sector_number.get(entry, 0), limits, operation !== BLKIF_OP.READ);
  }

  #checkIndirect(entry: DataView, into: BlockRequest, limits: DiskLimits | undefined): number {
    const { indirect } = this.#layout;
    const operation = into.operation;
    const count = indirect.nr_segments.get(entry, 0);
    if (operation !== BLKIF_OP.READ && operation !== BLKIF_OP.WRITE) return BLKIF_RSP.ERROR;
    if (count === 0 || count > MAX_INDIRECT_SEGMENTS) return BLKIF_RSP.ERROR;
    for (let done = 0; done < count; done += BLKIF_SEGMENTS_PER_INDIRECT_PAGE) {
      const part = Math.min(count - done, BLKIF_SEGMENTS_PER_INDIRECT_PAGE) * BlkifSegment.sizeof;
      const ref = entry.getUint32(indirect.indirect_grefs.offset + (done / BLKIF_SEGMENTS_PER_INDIRECT_PAGE) * 4, true);
      const at = done * BlkifSegment.sizeof;
      if (this.#grants.copyFrom(ref, 0, this.#segments.subarray(at, at + part)) !== GNTST.okay) return BLKIF_RSP.ERROR;
    }
    if (!addSegments(into, this.#segmentsView, 0, count)) return BLKIF_RSP.ERROR;
    return place(into, indirect.sector_number.get(entry, 0), limits, operation === BLKIF_OP.WRITE);
  }

  #checkDiscard(entry: DataView, into: BlockRequest, limits: DiskLimits | undefined): number {
    const { discard } = this.#layout;
    if (limits?.discard !== true) return BLKIF_RSP.EOPNOTSUPP;
    // Whoever asks for that must not be told that nobody can read it any more.
    if (discard.flag.get(entry, 0) & BLKIF_DISCARD_SECURE) return BLKIF_RSP.EOPNOTSUPP;
    into.length = discard.nr_sectors.get(entry, 0) * BLKIF_SECTOR;
    return place(into, discard.sector_number.get(entry, 0), limits, true);
  }
}

/** False when one of them is no part of a page. */
function addSegments(into: BlockRequest, view: DataView, at: number, count: number): boolean {
  for (let i = 0; i < count; i++) {
    const segment = at + i * BlkifSegment.sizeof;
    const first = BlkifSegment.first_sect.get(view, segment);
    const last = BlkifSegment.last_sect.get(view, segment);
    if (last >= BLKIF_SECTORS_PER_PAGE || first > last) return false;
    into.refs.push(BlkifSegment.gref.get(view, segment));
    into.spans.push(first | (last << 8));
    into.length += (last - first + 1) * BLKIF_SECTOR;
  }
  return true;
}

/** Where on the disk it is, if it is within, aligned, and allowed. */
function place(into: BlockRequest, sector: number, limits: DiskLimits | undefined, writes: boolean): number {
  if (limits === undefined || (writes && !limits.writable)) return BLKIF_RSP.ERROR;
  // Sectors beyond 2^53 are not exact, but they are beyond any disk too.
  into.offset = sector * BLKIF_SECTOR;
  if (into.offset + into.length > limits.sizeBytes) return BLKIF_RSP.ERROR;
  if (into.offset % limits.sectorSize !== 0 || into.length % limits.sectorSize !== 0) return BLKIF_RSP.ERROR;
  for (const span of into.spans)
    if ((((span >>> 8) - (span & 0xff) + 1) * BLKIF_SECTOR) % limits.sectorSize !== 0) return BLKIF_RSP.ERROR;
  return BLKIF_RSP.OKAY;
}
