// Internal snapshots: the disk as it was, kept within the image.
import type { RandomAccessFile } from '../../io/random-access-file.ts';
import { badImage } from './errors.ts';
import { l1EntriesFor, type Qcow2Header } from './header.ts';
import { getU64, MAX_L1_BYTES, viewOf } from './layout.ts';

export interface Qcow2Snapshot {
  readonly id: string;
  readonly name: string;
  /** When it was taken, in seconds since the Epoch. */
  readonly seconds: number;
  /** Bytes of a virtual machine's state that lie behind the disk. */
  readonly vmStateSize: number;
  /** The disk's size then, in bytes; old images do not say it. */
  readonly diskSize: number | undefined;
  readonly l1Offset: number;
  readonly l1Size: number;
}

export interface SnapshotTable {
  readonly snapshots: readonly Qcow2Snapshot[];
  /** Bytes that the table takes in the file. */
  readonly length: number;
}

const FIXED = 40;
/** Of all entries together: id and name take 64 KiB each at most, and nobody has that many. */
const MAX_TABLE_BYTES = 64 * 2 ** 20;
const MAX_EXTRA = 1024;

/** @throws ImageError 'corrupt' */
export async function readSnapshots(file: RandomAccessFile, header: Qcow2Header): Promise<readonly Qcow2Snapshot[]> {
  return (await readSnapshotTable(file, header)).snapshots;
}

/** @throws ImageError 'corrupt' */
export async function readSnapshotTable(file: RandomAccessFile, header: Qcow2Header): Promise<SnapshotTable> {
  const snapshots: Qcow2Snapshot[] = [];
  let at = header.snapshotsOffset;
  for (let i = 0; i < header.snapshotCount; i++) {
    const fixed = new Uint8Array(FIXED);
    await file.read(at, fixed);
    const view = viewOf(fixed);
    const idLength = view.getUint16(12);
    const nameLength = view.getUint16(14);
    const extraLength = view.getUint32(36);
    const length = FIXED + extraLength + idLength + nameLength;
    if (extraLength > MAX_EXTRA || at + length > file.size || at + length - header.snapshotsOffset > MAX_TABLE_BYTES)
      throw badImage(file.name, `the entry of snapshot ${i + 1} is too long`);
    const variable = new Uint8Array(length - FIXED);
    await file.read(at + FIXED, variable);
    snapshots.push(readEntry(file, header, i, view, variable));
    at += Math.ceil(length / 8) * 8;
  }
  return { snapshots, length: at - header.snapshotsOffset };
}

export const findSnapshot = (snapshots: readonly Qcow2Snapshot[], idOrName: string): Qcow2Snapshot | undefined =>
  snapshots.find(({ id }) => id === idOrName) ?? snapshots.find(({ name }) => name === idOrName);

function readEntry(file: RandomAccessFile, header: Qcow2Header, i: number, view: DataView, variable: Uint8Array): Qcow2Snapshot {
  const extraLength = view.getUint32(36);
  const extra = viewOf(variable.subarray(0, extraLength));
  const idEnd = extraLength + view.getUint16(12);
  const l1Offset = getU64(view, 0);
  const l1Size = view.getUint32(8);
  const diskSize = extraLength >= 16 ? getU64(extra, 8) : undefined;
  if (l1Size * 8 > MAX_L1_BYTES || l1Offset % header.clusterSize !== 0 || l1Offset + l1Size * 8 > file.size)
    throw badImage(file.name, `the L1 table of snapshot ${i + 1} should lie at offset ${l1Offset}`);
  if (l1Size < l1EntriesFor(diskSize ?? header.size, header.clusterBits))
    throw badImage(file.name, `the L1 table of snapshot ${i + 1} has ${l1Size} entries, too few for its disk`);
  const decoder = new TextDecoder();
  return {
    id: decoder.decode(variable.subarray(extraLength, idEnd)),
    name: decoder.decode(variable.subarray(idEnd)),
    seconds: view.getUint32(16),
    vmStateSize: extraLength >= 8 ? getU64(extra, 0) : view.getUint32(32),
    diskSize,
    l1Offset,
    l1Size,
  };
}
