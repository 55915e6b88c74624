// Sound images of many kinds to be damaged: our own, and those of qemu-img where it is installed.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createImage, type NewImage } from '../../src/image/qcow2/create-image.ts';
import { openQcow2 } from '../../src/image/qcow2/open-qcow2.ts';
import { RamFile } from '../../src/io/ram-file.ts';
import { RamStore } from '../../src/io/ram-store.ts';
import { nodeInflater } from '../../src/node/node-inflater.ts';
import { Random } from '../native/random.ts';

export interface SampleImage {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** What the disk holds. */
  readonly raw: Uint8Array;
  /** Whether it lies over `base()`. */
  readonly backed: boolean;
}

const SIZE = 384 * 1024;

/** The disk below images that have one: shorter than they are. */
export const base = (): Uint8Array => BASE.slice();
const BASE = new Uint8Array(200 * 1024).map((_, i) => (i >>> 9) | 1);

const OWN: readonly (Omit<NewImage, 'size'> & { readonly name: string })[] = [
  { name: 'own-v3', clusterSize: 65_536 },
  { name: 'own-4k', clusterSize: 4096 },
  { name: 'own-512', clusterSize: 512 },
  { name: 'own-v2', clusterSize: 4096, version: 2 },
  { name: 'own-v2-backed', clusterSize: 4096, version: 2, backing: { name: 'base.raw', format: 'raw' } },
  { name: 'own-backed', clusterSize: 4096, backing: { name: 'base.raw', format: 'raw' } },
  { name: 'own-1-bit', clusterSize: 1024, refcountBits: 1 },
  { name: 'own-64-bits', clusterSize: 1024, refcountBits: 64 },
  { name: 'own-lazy', clusterSize: 2048, lazyRefcounts: true, refcountBits: 8 },
];

/** A disk with data here and there. */
function contents(backed: boolean): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  if (backed) bytes.set(base());
  const random = new Random(7);
  for (let i = 0; i < 12; i++) {
    const at = random.below(SIZE / 512) * 512;
    const length = Math.min(SIZE - at, 512 * (1 + random.below(40)));
    for (let done = 0; done < length; done += 512) bytes.fill(1 + random.below(255), at + done, at + done + 512);
  }
  return bytes;
}

export async function ownImages(): Promise<SampleImage[]> {
  const samples: SampleImage[] = [];
  for (const { name, ...image } of OWN) {
    const file = new RamFile('evil.qcow2');
    await createImage(file, { ...image, size: SIZE });
    const backed = image.backing !== undefined;
    const store = await openQcow2(file, {
      inflater: nodeInflater,
      openBacking: async () => new RamStore(base().length, { readOnly: true, contents: base() }),
    });
    const raw = contents(backed);
    const below = new Uint8Array(SIZE);
    if (backed) below.set(base());
    for (let at = 0; at < SIZE; at += 512)
      if (Buffer.compare(raw.subarray(at, at + 512), below.subarray(at, at + 512)) !== 0)
        await store.write(at, raw.subarray(at, at + 512));
    await store.close();
    samples.push({ name, bytes: file.contents(), raw, backed });
  }
  return samples;
}

export function hasQemuImg(): boolean {
  try {
    execFileSync('qemu-img', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** @param folder an empty one, for scratch; `base.raw` is in it afterwards */
export function qemuImages(folder: string): SampleImage[] {
  mkdirSync(folder, { recursive: true });
  const path = (name: string): string => join(folder, name);
  const run = (...args: string[]): void =>
    void execFileSync('qemu-img', args, { stdio: ['ignore', 'ignore', 'pipe'], cwd: folder });
  writeFileSync(path('base.raw'), base());
  writeFileSync(path('plain.raw'), contents(false));
  const samples: SampleImage[] = [];
  const add = (name: string, backed = false): void => {
    run('convert', '-f', 'qcow2', '-O', 'raw', `${name}.qcow2`, 'out.raw');
    samples.push({ name, bytes: readFileSync(path(`${name}.qcow2`)), raw: readFileSync(path('out.raw')), backed });
  };
  const convert = (name: string, options: string, ...flags: string[]): void =>
    run('convert', '-f', 'raw', '-O', 'qcow2', ...flags, '-o', options, 'plain.raw', `${name}.qcow2`);
  convert('qemu-v3', 'compat=1.1');
  add('qemu-v3');
  convert('qemu-v2', 'compat=0.10,cluster_size=4096');
  add('qemu-v2');
  convert('qemu-zlib', 'cluster_size=4096', '-c');
  add('qemu-zlib');
  convert('qemu-zlib-64k', 'cluster_size=65536', '-c');
  add('qemu-zlib-64k');
  convert('qemu-zstd', 'cluster_size=8192,compression_type=zstd', '-c');
  add('qemu-zstd');
  convert('qemu-lazy', 'lazy_refcounts=on,cluster_size=2048,refcount_bits=8');
  add('qemu-lazy');
  convert('qemu-extended', 'extended_l2=on,cluster_size=16384');
  add('qemu-extended');
  convert('qemu-snapshots', 'cluster_size=4096');
  run('snapshot', '-c', 'first', 'qemu-snapshots.qcow2');
  execFileSync('qemu-io', ['-c', 'write -P 99 0 20k', path('qemu-snapshots.qcow2')], { stdio: 'ignore' });
  run('snapshot', '-c', 'second', 'qemu-snapshots.qcow2');
  execFileSync('qemu-io', ['-c', 'write -z 40k 20k', path('qemu-snapshots.qcow2')], { stdio: 'ignore' });
  add('qemu-snapshots');
  convert('qemu-bitmap', 'cluster_size=4096');
  run('bitmap', '--add', 'qemu-bitmap.qcow2', 'dirty');
  execFileSync('qemu-io', ['-c', 'write -P 99 0 20k', path('qemu-bitmap.qcow2')], { stdio: 'ignore' });
  add('qemu-bitmap');
  run('create', '-f', 'qcow2', '-b', 'base.raw', '-F', 'raw', '-o', 'cluster_size=4096', 'qemu-backed.qcow2', String(SIZE));
  execFileSync('qemu-io', ['-c', 'write -P 77 30k 9k', '-c', 'write -z 60k 16k', path('qemu-backed.qcow2')], { stdio: 'ignore' });
  add('qemu-backed', true);
  run('create', '-f', 'qcow2', '-o', 'preallocation=metadata,cluster_size=4096', 'qemu-preallocated.qcow2', String(SIZE));
  add('qemu-preallocated');
  return samples;
}
