// A temporary directory with disk images that a test may write to, and what the host's own tools say of them.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { DiskFormat } from '../../../src/node/open-disk.ts';
import { requireTools } from './require-tools.ts';
import { runTool } from './run-tool.ts';

/** e2fsck(8): corrected, the file system is good. */
const FSCK_CORRECTED = 1;

export class ScratchImages implements AsyncDisposable {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async create(): Promise<ScratchImages> {
    requireTools('qemu-img', 'e2fsck', 'debugfs');
    return new ScratchImages(await mkdtemp(join(tmpdir(), 'dom1-images-')));
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  /** A copy of a raw image, as raw or as qcow2 by qemu-img. Gives its path. */
  async copy(source: string, name: string, format: DiskFormat = 'raw'): Promise<string> {
    const path = this.path(name);
    if (format === 'raw') await runTool('cp', ['--sparse=always', '--reflink=auto', source, path]);
    else await runTool('qemu-img', ['convert', '-f', 'raw', '-O', format, source, path]);
    return path;
  }

  /** A new image, made by qemu-img. Gives its path. */
  async blank(name: string, format: DiskFormat, sizeMiB: number): Promise<string> {
    await runTool('qemu-img', ['create', '-q', '-f', format, this.path(name), `${sizeMiB}M`]);
    return this.path(name);
  }

  /** A new qcow2 image on top of another image. Gives its path. */
  async onTopOf(backing: string, backingFormat: DiskFormat, name: string): Promise<string> {
    await runTool('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', backing, '-F', backingFormat, this.path(name)]);
    return this.path(name);
  }

  /** An image's contents as a raw file that may be changed; of a raw image, a copy. */
  async rawCopy(path: string, format: DiskFormat, name: string): Promise<string> {
    if (format === 'raw') return this.copy(path, name);
    await runTool('qemu-img', ['convert', '-f', format, '-O', 'raw', path, this.path(name)]);
    return this.path(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** The file system in a raw image needs no recovery and has no faults. */
export async function expectCleanFileSystem(path: string): Promise<void> {
  const { status, stdout } = await runTool('e2fsck', ['-fn', path], { allow: [0, 1, 2, 4, 8] });
  expect({ status, stdout }).toMatchObject({ status: 0 });
}

/** Replays the journal, after which the file system in a raw image has no faults. */
export async function expectRecoverableFileSystem(path: string): Promise<void> {
  // -E journal_only: the journal and nothing else; any repair beyond it would be data lost.
  await runTool('e2fsck', ['-E', 'journal_only', '-y', path], { allow: [0, FSCK_CORRECTED] });
  await expectCleanFileSystem(path);
}

/** qemu-img finds neither a fault nor a leak. */
export async function expectSoundImage(path: string): Promise<void> {
  const { status, stdout } = await runTool('qemu-img', ['check', path], { allow: [0, 1, 2, 3] });
  expect({ status, stdout }).toMatchObject({ status: 0 });
}

/** MD5, which a guest is quick at, of the first bytes of a file, or of all of it. */
export async function md5OfFile(path: string, bytes = Number.POSITIVE_INFINITY): Promise<string> {
  const hash = createHash('md5');
  for await (const piece of createReadStream(path, { end: bytes - 1 })) hash.update(piece as Uint8Array);
  return hash.digest('hex');
}
