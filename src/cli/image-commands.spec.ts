// `dom1 image` as a person uses it, but for the process.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDisk } from '../node/open-disk.ts';
import { type Invocation, parseCommandLine } from './arguments.ts';
import { formatDiskSize, parseDiskSize } from './disk-size.ts';
import { describeFailure } from './failure.ts';
import { IMAGE_IMPLEMENTATIONS } from './image-commands.ts';
import { ProgressLine } from './progress-line.ts';

let directory: string;
const at = (name: string): string => join(directory, name);
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dom1-image-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Words that begin with @ are files in the spec's directory, and that directory is left out of what is printed. */
async function image(words: string, terminal = false): Promise<Run> {
  let stdout = '';
  let progress = '';
  const plain = (text: string): string => text.replaceAll(`${directory}/`, '');
  try {
    const args = words
      .split(' ')
      .filter(Boolean)
      .map((word) => (word.startsWith('@') ? at(word.slice(1)) : word));
    const invocation = parseCommandLine(['image', ...args]) as Invocation;
    const code = await (IMAGE_IMPLEMENTATIONS[invocation.command.name] as (typeof IMAGE_IMPLEMENTATIONS)[string])(invocation, {
      io: {
        out(data) {
          stdout += Buffer.from(data).toString();
        },
        input: Readable.from([]),
        columns: undefined,
      },
      progress: new ProgressLine({
        isTTY: terminal,
        write(text) {
          progress += text;
        },
      }),
    });
    return { code, stdout: plain(stdout), stderr: plain(progress) };
  } catch (error) {
    const { line, code } = describeFailure(error);
    return { code, stdout: plain(stdout), stderr: plain(line) };
  }
}

const ok = (stdout = ''): Run => ({ code: 0, stdout, stderr: '' });

describe('dom1 image', () => {
  it('creates images and says what they are', async () => {
    expect(await image('create @base 10MiB -f raw')).toEqual(ok());
    expect(await image('create @disk -b base --cluster-size 4K --compat 2')).toEqual(ok());
    const { stdout } = await image('info @disk');
    expect(stdout).toContain('format:        qcow2 version 2\ndisk size:     10 MiB (10485760 bytes)\n');
    expect(stdout).toContain('cluster size:  4 KiB\n');
    expect(stdout).toContain('backing file:  base (raw)\n');
    expect(JSON.parse((await image('info @disk --json')).stdout)).toMatchObject({
      format: 'qcow2',
      virtualSize: 10485760,
      qcow2: { version: 2, clusterSize: 4096, backingFile: 'base', backingFormat: 'raw', snapshots: [] },
    });
  });

  it('converts, commits and resizes, and the disk stays what it was', async () => {
    writeFileSync(at('raw'), new Uint8Array(2 ** 20).fill(7));
    const converted = await image('convert @raw @disk', true);
    expect(converted.code).toBe(0);
    expect(converted.stderr).toContain('converting raw  100 %');
    expect(await image('resize @disk +1M')).toEqual(ok('disk has 2 MiB (2097152 bytes) now\n'));
    await image('create @top -b disk');
    const top = await openDisk({ path: at('top') });
    await top.store.write(2 ** 20, new Uint8Array(512).fill(8));
    await top.close();
    expect(await image('commit @top')).toEqual(ok());
    expect(await image('convert @disk @flat -O raw')).toEqual(ok());
    const flat = await openDisk({ path: at('flat'), readOnly: true });
    const bytes = new Uint8Array(2 ** 20 + 1024);
    await flat.store.read(0, bytes);
    await flat.close();
    expect([bytes[0], bytes[2 ** 20 - 1], bytes[2 ** 20], bytes[2 ** 20 + 512]]).toEqual([7, 7, 8, 0]);
    expect(await image('resize @flat 1M')).toEqual({
      code: 65,
      stdout: '',
      stderr: 'dom1: flat has 2097152 bytes, and shrinking loses what lies behind the new end; say --shrink if that is meant\n',
    });
    expect((await image('resize @flat 1M --shrink')).code).toBe(0);
  });

  it('checks and repairs, with exit codes for errors and for leaks', async () => {
    await image('create @disk 1M --cluster-size 4K');
    expect(await image('check @disk')).toEqual(ok('no errors\n'));
    const damage = async (bytes: readonly number[]): Promise<void> => {
      const disk = await openDisk({ path: at('disk'), format: 'raw' });
      const sector = new Uint8Array(512);
      // Header, L1, refcount table, refcount block: 16 bits for each cluster.
      await disk.store.read(3 * 4096, sector);
      sector.set(bytes, 20);
      await disk.store.write(3 * 4096, sector);
      await disk.close();
    };
    await damage([0, 1]);
    expect(await image('check @disk')).toEqual({
      code: 3,
      stdout: '0 errors, 1 leaked clusters; `dom1 image check --repair` repairs what can be repaired\n',
      stderr: '',
    });
    expect(await image('check @disk --repair')).toEqual(ok('0 errors, 1 leaked clusters, all repaired\n'));
    expect(await image('check @disk')).toEqual(ok('no errors\n'));
    expect(JSON.parse((await image('check @disk --json')).stdout)).toMatchObject({ errors: 0, leaks: 0, repaired: false });
  });

  it('says what is wrong with what it was given', async () => {
    const failure = async (words: string): Promise<string> => (await image(words)).stderr;
    expect(await failure('')).toContain('dom1 image is no command of its own; it is one of `dom1 image create`');
    expect(await failure('chekc @x')).toBe("dom1: there is no command 'image chekc'; did you mean image check?\n");
    expect(await failure('info')).toBe('dom1: dom1 image info needs a path; write `dom1 image info <path>`\n');
    expect(await failure('create @x ten')).toBe("dom1: 'ten' is no size of a disk; write it as 10GiB or 512MiB\n");
    expect(await failure('create @x 1G --cluster-size 3K')).toContain('give a power of two from 512 to 2 MiB');
    expect(await failure('create @x 1G -f vmdk')).toBe("dom1: 'vmdk' is no format of a disk; write raw or qcow2\n");
    expect(await failure('info @x')).toBe('dom1: x: there is no such disk file; check the path\n');
    writeFileSync(at('raw'), 'no image');
    expect(await failure('check @raw')).toContain('raw is raw: there is nothing to check in it');
    expect(await failure('create @raw 1G')).toContain('raw is there already');
    expect(await failure('commit @raw')).toContain('raw has no backing file');
  });
});

describe('the size of a disk', () => {
  it('is read and written with its unit', () => {
    expect(['512', '1K', '10MiB', '1.5g', '2TB', '700'].map(parseDiskSize)).toEqual([
      512,
      1024,
      10 * 2 ** 20,
      1.5 * 2 ** 30,
      2 * 2 ** 40,
      1024,
    ]);
    expect([512, 1536, 10 * 2 ** 30].map(formatDiskSize)).toEqual(['512 bytes', '1.5 KiB', '10 GiB']);
  });
});
