// The commands on disk images, after qemu-img.
import type { CommandRow, OptionRow } from './command-row.ts';
import { JSON_OPTION } from './control-rows.ts';

const ROW = { options: [], guestCommandLine: false, on: 'image', notes: [] } as const;
const SIZES = 'Sizes are bytes, or a number with K, M, G or T (2^10, 2^20, 2^30, 2^40), as in 10G or 10GiB.';
const CLUSTER_SIZE: OptionRow = { name: 'cluster-size', value: 'size', help: 'of qcow2: from 512 to 2M (default 64K)' };
const COMPAT: OptionRow = { name: 'compat', value: 'version', help: 'of qcow2: 2 or 3 (default 3)' };

export const IMAGE_ROWS: readonly CommandRow[] = [
  {
    ...ROW,
    name: 'image create',
    arguments: ['path', '[size]'],
    summary: 'make an empty disk image, or one upon a backing file',
    options: [
      { name: 'format', short: 'f', value: 'format', help: 'qcow2 or raw (default qcow2)' },
      {
        name: 'backing',
        short: 'b',
        value: 'file',
        help: 'what the disk shows where it was not written; as seen from the image',
      },
      { name: 'backing-format', short: 'F', value: 'format', help: 'format of the backing file (default: what it looks like)' },
      CLUSTER_SIZE,
      COMPAT,
      { name: 'refcount-bits', value: 'bits', help: 'of qcow2: 1, 2, 4, 8, 16, 32 or 64 (default 16)' },
      { name: 'lazy-refcounts', help: 'of qcow2: allow others to count later' },
    ],
    notes: [SIZES, 'Without a size the disk is as large as its backing file. A file that is there already is left alone.'],
  },
  {
    ...ROW,
    name: 'image info',
    arguments: ['path'],
    summary: 'show what a disk image is, with its snapshots',
    options: [JSON_OPTION],
    notes: [
      'The path may be an http: or https: address. The image may be in use.',
      '--json prints {"path", "format", "virtualSize", "actualSize", "qcow2": {"version", "clusterSize", "refcountBits", "lazyRefcounts", "compression", "dirty", "corrupt", "backingFile", "backingFormat", "snapshots": [{"id", "name", "seconds", "size"}]}}, sizes in bytes.',
    ],
  },
  {
    ...ROW,
    name: 'image check',
    arguments: ['path'],
    summary: 'check the tables of a qcow2 image',
    options: [{ name: 'repair', short: 'r', help: 'repair what is found' }, JSON_OPTION],
    notes: [
      'Leaked clusters only take room. Errors can lose data: repair the image before it is written to.',
      '--json prints {"path", "repaired", "errors", "leaks", "errorsLeft", "problems"}.',
      'Exits with 0 if the image is sound (or is so after the repair), with 2 if there are errors, with 3 if there are only leaks.',
    ],
  },
  {
    ...ROW,
    name: 'image convert',
    arguments: ['source', 'target'],
    summary: 'copy a disk into a new file of another format, with what its backing files hold',
    options: [
      { name: 'from', short: 'f', value: 'format', help: 'format of the source (default: what it looks like)' },
      { name: 'format', short: 'O', value: 'format', help: 'of the target: qcow2 or raw (default qcow2)' },
      { name: 'snapshot', short: 'l', value: 'name', help: 'a snapshot in the source, by id or name' },
      CLUSTER_SIZE,
      COMPAT,
    ],
    notes: ['The source may be an http: or https: address. Zeroes take no room in the target.'],
  },
  {
    ...ROW,
    name: 'image commit',
    arguments: ['path'],
    summary: "write a qcow2 image's changes into its backing file, and empty it",
    notes: ['Other images upon the same backing file show garbage afterwards.'],
  },
  {
    ...ROW,
    name: 'image resize',
    arguments: ['path', 'size'],
    summary: 'make a disk larger, or a raw one smaller',
    options: [
      { name: 'format', short: 'f', value: 'format', help: 'qcow2 or raw (default: what it looks like)' },
      { name: 'shrink', help: 'allow it to become smaller: what lies behind the new end is lost' },
      JSON_OPTION,
    ],
    notes: [SIZES, 'With a plus sign, as in +10G, it becomes so much larger. --json prints {"path", "bytes"}.'],
  },
];
