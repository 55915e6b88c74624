import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { commitDisk, convertDisk, createDisk, diskInfo } from './disk-images.ts';
import { hasQemuImg, qemuImg } from './fixtures/qemu-img.ts';
import { backingPath, openDisk } from './open-disk.ts';

let directory: string;
const at = (name: string): string => join(directory, name);
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dom1-disk-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const sector = (fill: number): Uint8Array => new Uint8Array(512).fill(fill);

describe('opening a disk', () => {
  it('tells the format by the contents, and moves bytes of shared memory', async () => {
    writeFileSync(at('raw'), new Uint8Array(10_000).fill(5));
    await createDisk(at('image'), { format: 'qcow2', size: 2 ** 20 });
    for (const [name, format] of [
      ['raw', 'raw'],
      ['image', 'qcow2'],
    ] as const) {
      const disk = await openDisk({ path: at(name) });
      expect(disk.format).toBe(format);
      const memory = new Uint8Array(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer);
      memory.fill(0x42, 1024, 2048);
      await disk.store.writev?.(512, [memory.subarray(1024, 1536), memory.subarray(1536, 2048)]);
      await disk.store.flush();
      await disk.store.readv?.(512, [memory.subarray(4096, 4608), memory.subarray(8192, 8704)]);
      expect([memory[4096], memory[4607], memory[8192], memory[8703], memory[8704]]).toEqual([0x42, 0x42, 0x42, 0x42, 0]);
      await disk.close();
    }
    // The last 272 bytes are no whole sector.
    const raw = await openDisk({ path: at('raw') });
    expect(raw.store.sizeBytes).toBe(9728);
    await raw.close();
  });

  it('writes to memory only when asked for an overlay', async () => {
    writeFileSync(at('raw'), new Uint8Array(4096).fill(5));
    const disk = await openDisk({ path: at('raw'), overlay: true });
    await disk.store.write(0, sector(9));
    const bytes = new Uint8Array(1024);
    await disk.store.read(0, bytes);
    expect([bytes[0], bytes[512]]).toEqual([9, 5]);
    await disk.close();
    expect(readFileSync(at('raw')).every((byte) => byte === 5)).toBe(true);
  });

  it('keeps a guest from making an image of a disk whose format was guessed', async () => {
    writeFileSync(at('raw'), new Uint8Array(4096));
    const magic = new Uint8Array(512);
    magic.set([0x51, 0x46, 0x49, 0xfb]);
    const guessed = await openDisk({ path: at('raw') });
    await expect(guessed.store.write(0, magic)).rejects.toThrow('must not begin like qcow2');
    await guessed.close();
    const said = await openDisk({ path: at('raw'), format: 'raw' });
    await said.store.write(0, magic);
    await said.close();
  });

  it('refuses what is not there, no disk, or a chain without an end', async () => {
    await expect(openDisk({ path: at('none') })).rejects.toThrow('there is no such disk file; check the path');
    await expect(openDisk({ path: directory, readOnly: true })).rejects.toThrow('is no file and no block device');
    await createDisk(at('a'), { format: 'qcow2', size: 65536 });
    await createDisk(at('b'), { format: 'qcow2', backing: 'a' });
    rmSync(at('a'));
    await expect(openDisk({ path: at('b') })).rejects.toThrow(/a, the backing file of .*b, is not there/);
    symlinkSync('b', at('a'));
    await expect(openDisk({ path: at('b') })).rejects.toThrow(/its own backing file|in use/);
  });

  it('finds backing files as the image names them', () => {
    expect(backingPath('/x/top', 'base')).toBe('/x/base');
    expect(backingPath('/x/top', '/y/base')).toBe('/y/base');
    expect(backingPath('/x/top', 'file:base')).toBe('/x/base');
    expect(backingPath('http://h/x/top', 'base')).toBe('http://h/x/base');
    expect(() => backingPath('/x/top', 'json:{"driver":"nbd"}')).toThrow("its backing file is named by 'json:'");
    expect(() => backingPath('/x/top', 'nbd://host/disk')).toThrow("its backing file is named by 'nbd:'");
  });
});

describe('the lock of a disk', () => {
  it('keeps a second writer and readers out, until the first one is done or dead', async () => {
    await createDisk(at('image'), { format: 'qcow2', size: 65536 });
    const first = await openDisk({ path: at('image') });
    symlinkSync('image', at('link'));
    await expect(openDisk({ path: at('link') })).rejects.toThrow(`in use: process ${process.pid} has it open for writing`);
    await expect(openDisk({ path: at('image'), readOnly: true })).rejects.toThrow('in use');
    await (await openDisk({ path: at('image'), readOnly: true, ignoreLocks: true })).close();
    expect((await diskInfo(at('image'))).virtualSize).toBe(65536);
    await first.close();
    expect(existsSync(at('image.dom1-lock'))).toBe(false);
    // Left by a process that is gone.
    writeFileSync(at('image.dom1-lock'), JSON.stringify({ pid: 2 ** 22 + 1, key: 'x' }));
    await (await openDisk({ path: at('image') })).close();
    expect(existsSync(at('image.dom1-lock'))).toBe(false);
  });

  it.skipIf(!hasQemuImg)('sees that QEMU writes to the disk', async () => {
    await createDisk(at('image'), { format: 'qcow2', size: 65536 });
    const qemu = spawn('qemu-io', [at('image')], { stdio: ['pipe', 'pipe', 'ignore'] });
    try {
      qemu.stdin.write('read 0 512\n');
      await new Promise((resolve) => qemu.stdout.once('data', resolve));
      await expect(openDisk({ path: at('image') })).rejects.toThrow('in use: QEMU');
    } finally {
      const gone = new Promise((resolve) => qemu.on('close', resolve));
      qemu.stdin.end();
      await gone;
    }
    await (await openDisk({ path: at('image') })).close();
  });
});

describe('images', () => {
  it('are converted without their zeroes, and back', async () => {
    writeFileSync(at('raw'), new Uint8Array(100_000).fill(7));
    truncateSync(at('raw'), 50 * 2 ** 20);
    await convertDisk(at('raw'), at('image'), { to: 'qcow2' });
    await convertDisk(at('image'), at('again'), { to: 'raw' });
    expect(Buffer.compare(readFileSync(at('again')), readFileSync(at('raw')))).toBe(0);
    const info = await diskInfo(at('image'));
    expect(info).toMatchObject({ format: 'qcow2', virtualSize: 50 * 2 ** 20 });
    expect(info.actualSize).toBeLessThan(2 ** 20);
    if (hasQemuImg) expect(qemuImg('compare', at('raw'), at('image'))).toContain('identical');
  });

  it.each(['raw', 'qcow2'] as const)('are committed into a %s backing file, which grows', async (format) => {
    await createDisk(at('base'), { format, size: 2 ** 20 });
    const base = await openDisk({ path: at('base') });
    await base.store.write(0, new Uint8Array(2 ** 20).fill(1));
    await base.close();
    await createDisk(at('top'), { format: 'qcow2', size: 2 ** 21, backing: 'base' });
    const top = await openDisk({ path: at('top') });
    await top.store.write(512, sector(2));
    await top.store.write(2 ** 20 + 2 ** 19, sector(3));
    await top.store.writeZeroes?.(2 ** 18, 2 ** 17);
    const before = new Uint8Array(2 ** 21);
    await top.store.read(0, before);
    await top.close();
    await commitDisk(at('top'));
    for (const name of ['base', 'top']) {
      const disk = await openDisk({ path: at(name), readOnly: true });
      const after = new Uint8Array(2 ** 21);
      await disk.store.read(0, after);
      expect(Buffer.compare(after, before), name).toBe(0);
      if (name === 'top') expect(await disk.qcow2?.extentAt(0, 2 ** 21)).toMatchObject({ kind: 'unallocated', length: 2 ** 21 });
      await disk.close();
    }
  });
});

describe('a disk file', () => {
  it('says so when it is used after it was closed', async () => {
    writeFileSync(at('raw'), new Uint8Array(4096));
    const disk = await openDisk({ path: at('raw') });
    await disk.close();
    await expect(disk.store.read(0, sector(0))).rejects.toThrow('is closed; open it again');
    await expect(disk.store.write(0, sector(0))).rejects.toThrow('is closed; open it again');
    await expect(disk.store.flush()).rejects.toThrow('is closed; open it again');
  });

  it('tells listeners of its new size', async () => {
    writeFileSync(at('raw'), new Uint8Array(4096));
    await createDisk(at('image'), { format: 'qcow2', size: 4096 });
    for (const name of ['raw', 'image']) {
      const disk = await openDisk({ path: at(name) });
      const sizes: number[] = [];
      using _listening = disk.store.onResize?.(() => sizes.push(disk.store.sizeBytes));
      await disk.resize(1_048_576);
      expect(sizes).toEqual([1_048_576]);
      await disk.close();
    }
  });
});
