// Damages an image where it hurts: the fields of its header, entries of its tables, snapshots, extensions; or anywhere.
import { getU64, HEADER, setU64, viewOf } from '../../src/image/qcow2/layout.ts';
import type { Random } from '../native/random.ts';

/** A field of an image. */
interface Site {
  readonly at: number;
  readonly bytes: 4 | 8;
}

const FIELDS: readonly Site[] = [
  ...[HEADER.version, HEADER.backingLength, HEADER.clusterBits, HEADER.cryptMethod, HEADER.l1Size].map(
    (at) => ({ at, bytes: 4 }) as const,
  ),
  ...[HEADER.refcountTableClusters, HEADER.snapshotCount, HEADER.refcountOrder, HEADER.headerLength].map(
    (at) => ({ at, bytes: 4 }) as const,
  ),
  ...[HEADER.backingOffset, HEADER.size, HEADER.l1Offset, HEADER.refcountTableOffset, HEADER.snapshotsOffset].map(
    (at) => ({ at, bytes: 8 }) as const,
  ),
  ...[HEADER.incompatible, HEADER.compatible, HEADER.autoclear].map((at) => ({ at, bytes: 8 }) as const),
];

/** Groups of fields of a sound image; each is damaged about as often as the others. */
export function sitesOf(image: Uint8Array): readonly (readonly Site[])[] {
  const view = viewOf(image);
  const clusterSize = 2 ** view.getUint32(HEADER.clusterBits);
  const v3 = view.getUint32(HEADER.version) === 3;
  const header = v3 ? FIELDS : FIELDS.filter(({ at }) => at < HEADER.incompatible);
  const entries = (offset: number, count: number): Site[] =>
    Array.from({ length: count }, (_, i) => ({ at: offset + i * 8, bytes: 8 as const })).filter(
      ({ at }) => at + 8 <= image.length,
    );
  const l1 = entries(getU64(view, HEADER.l1Offset), Math.max(1, view.getUint32(HEADER.l1Size)));
  const table = getU64(view, HEADER.refcountTableOffset);
  const blocks = entries(table, Math.min(64, (view.getUint32(HEADER.refcountTableClusters) * clusterSize) / 8));
  const pointed = (sites: readonly Site[]): number[] => {
    const offsets = sites.map(
      ({ at }) => (view.getUint32(at) & 0x00ff_ffff) * 2 ** 32 + ((view.getUint32(at + 4) & 0xffff_fe00) >>> 0),
    );
    return offsets.filter((offset) => offset > 0 && offset < image.length);
  };
  const l2 = pointed(l1).flatMap((offset) => entries(offset, clusterSize / 8));
  const counts = pointed(blocks).flatMap((offset) => entries(offset, Math.min(64, clusterSize / 8)));
  const used = l2.filter(({ at }) => view.getUint32(at) !== 0 || view.getUint32(at + 4) !== 0);
  const snapshots = view.getUint32(HEADER.snapshotCount) > 0 ? entries(getU64(view, HEADER.snapshotsOffset), 24) : [];
  const extensions = entries(v3 ? 104 : 72, 20);
  return [header, l1, used, used, l2, blocks, counts, snapshots, extensions].filter((group) => group.length > 0);
}

/** Changes one thing. */
export function damage(image: Uint8Array, sites: readonly (readonly Site[])[], random: Random): Uint8Array {
  const view = viewOf(image);
  if (random.oneIn(16)) return image.slice(0, random.below(image.length + 1));
  if (random.oneIn(10)) {
    const at = random.below(image.length);
    image[at] = (image[at] as number) ^ (1 << random.below(8));
    return image;
  }
  const { at, bytes } = random.pick(random.pick(sites));
  if (at + bytes > image.length) return image;
  if (bytes === 4) {
    const old = view.getUint32(at);
    view.setUint32(
      at,
      random.pick([old + 1, old - 1, old * 2, 0, 1, 2, random.u32(), 0xffff_ffff, 0x8000_0000, random.below(64)]) >>> 0,
    );
    return image;
  }
  const other = random.pick(random.pick(sites));
  const cluster = 2 ** (9 + random.below(8));
  switch (random.below(9)) {
    case 0:
      // The flags of an entry.
      view.setUint32(at, (view.getUint32(at) ^ random.pick([0x8000_0000, 0x4000_0000, 0x2000_0000, 0x0100_0000])) >>> 0);
      break;
    case 1:
      view.setUint32(at + 4, (view.getUint32(at + 4) ^ (1 << random.below(32))) >>> 0);
      break;
    case 2:
      if (other.bytes === 8 && other.at + 8 <= image.length) image.copyWithin(at, other.at, other.at + 8);
      break;
    case 3:
      setU64(view, at, random.below(Math.ceil((image.length * 1.5) / cluster)) * cluster);
      break;
    case 4:
      // The same, as an entry for a cluster that nobody else uses.
      setU64(view, at, random.below(Math.ceil((image.length * 1.5) / cluster)) * cluster);
      view.setUint32(at, (view.getUint32(at) | 0x8000_0000) >>> 0);
      break;
    case 5:
      view.setUint32(
        at,
        random.pick([0x7fff_ffff, 0x8000_0000, 0x001f_ffff, 0x00ff_ffff, 0xffff_ffff, 0x80ff_ffff, 0x4000_0000]),
      );
      view.setUint32(at + 4, random.pick([0, 0xffff_ffff, 0xffff_fe00, 0xffff_0000, 1]));
      break;
    case 6:
      view.setUint32(at, random.u32());
      view.setUint32(at + 4, random.u32());
      break;
    case 7:
      image.fill(0, at, at + 8);
      break;
    default:
      setU64(view, at, random.oneIn(2) ? random.below(0x1_0000) : random.pick([2 ** 40, 2 ** 32, 2 ** 31, 2 ** 52, 2 ** 21]));
  }
  return image;
}
