// Images that name each other as their backing files: chains, loops, files that are not there or are no images.
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ImageError } from '../../src/image/image-error.ts';
import { createImage } from '../../src/image/qcow2/create-image.ts';
import { BlockStoreError } from '../../src/io/block-store-error.ts';
import { RamFile } from '../../src/io/ram-file.ts';
import { openDisk } from '../../src/node/open-disk.ts';
import { Random } from '../native/random.ts';

const FILES = ['a.qcow2', 'b.qcow2', 'c.qcow2', 'd.qcow2', 'e.qcow2', 'plain.raw', 'link'] as const;
/** Of this process, without the one that counts them. */
const openFiles = (): number => readdirSync('/proc/self/fd').length;

/** @param scratch a folder for a while @returns what is wrong, if anything, and whether the disk opened */
export async function runChainCase(
  seed: number,
  scratch: string,
): Promise<{ readonly problem: string | undefined; readonly opened: boolean }> {
  const random = new Random(seed);
  const folder = mkdtempSync(join(scratch, 'chain-'));
  try {
    await makeImages(folder, random);
    const before = new Map(FILES.slice(0, 6).map((name) => [name, readFileSync(join(folder, name))]));
    const files = openFiles();
    const result = await useDisk(join(folder, random.pick(FILES.slice(0, 5))), random);
    if (result.problem !== undefined) return result;
    if (openFiles() !== files) return { ...result, problem: `${openFiles() - files} files are left open` };
    for (const [name, bytes] of before)
      if (!result.written.includes(name) && !readFileSync(join(folder, name)).equals(bytes))
        return { ...result, problem: `${name} was written to` };
    return result;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function makeImages(folder: string, random: Random): Promise<void> {
  writeFileSync(join(folder, 'plain.raw'), new Uint8Array(8192).fill(1));
  symlinkSync(random.pick(FILES.slice(0, 6)), join(folder, 'link'));
  for (const name of FILES.slice(0, 5)) {
    const file = new RamFile(name);
    const target = random.pick(FILES);
    const names = [target, target, target, `./${target}`, `../x/${target}`, join(folder, target), 'none', '/', '.', ''];
    names.push('json:{"driver":"null-co"}', 'file:a.qcow2', 'nbd://127.0.0.1/x', 'a'.repeat(900), 'a\nb', '\u202e');
    const backing = random.oneIn(6) ? '' : random.pick(names);
    await createImage(file, {
      size: 65_536,
      clusterSize: 4096,
      ...(backing !== '' && { backing: { name: backing, format: random.oneIn(3) ? 'raw' : 'qcow2' } }),
    });
    writeFileSync(join(folder, name), file.contents());
  }
}

async function useDisk(path: string, random: Random): Promise<{ problem: string | undefined; opened: boolean; written: string }> {
  const readOnly = random.oneIn(3);
  const written = readOnly ? '' : path;
  let opened = false;
  try {
    const disk = await openDisk({ path, readOnly, ...(random.oneIn(4) && { overlay: true }) });
    opened = true;
    try {
      await disk.store.read(0, new Uint8Array(Math.min(65_536, disk.store.sizeBytes)));
      if (!readOnly && !disk.store.readOnly) await disk.store.write(4096, new Uint8Array(1024).fill(9));
    } finally {
      await disk.close();
    }
  } catch (error) {
    if (!(error instanceof ImageError || error instanceof BlockStoreError))
      return { problem: error instanceof Error ? (error.stack ?? error.message) : String(error), opened, written };
  }
  return { problem: undefined, opened, written };
}
