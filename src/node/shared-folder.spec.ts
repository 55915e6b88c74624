// A real folder, served to a client; and everything that might lead out of it.
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LinuxErrno as E } from '../abi/linux-errno.ts';
import { P9 } from '../backends/9pfs/protocol/messages.ts';
import { P9Server } from '../backends/9pfs/protocol/server.ts';
import { P9Client } from '../backends/fixtures/p9-client.ts';
import type { TreeNode } from '../io/file-tree.ts';
import { openShare } from './open-share.ts';
import { SharedFolder, type SharedFolderOptions } from './shared-folder.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const NOTHING = { fid: 0, valid: 0, mode: 0, uid: 0, gid: 0, size: 0n, atimeSec: 0n, atimeNsec: 0n, mtimeSec: 0n, mtimeNsec: 0n };

let outside: string;
let folder: string;
beforeEach(async () => {
  outside = await mkdtemp(join(tmpdir(), 'dom1-folder-'));
  folder = join(outside, 'folder');
  await mkdir(folder);
  await writeFile(join(outside, 'secret'), 'of the host');
  await mkdir(join(outside, 'other'));
  await writeFile(join(outside, 'other', 'secret'), 'of the host');
});
afterEach(() => rm(outside, { recursive: true }));

const host = (name: string): string => join(folder, name);

async function serve(options: SharedFolderOptions = {}) {
  const tree = await SharedFolder.open(folder, options);
  const faults: unknown[] = [];
  const server = new P9Server(tree, { maxMessageBytes: 1 << 18, onFault: (error) => faults.push(error) });
  const client = new P9Client((message) => server.serve(message));
  await client.begin(1 << 18);
  const end = async (): Promise<void> => {
    await server.close();
    expect({ faults, open: tree.openFiles }).toEqual({ faults: [], open: 0 });
    await tree.close();
  };
  /** What a path leads to, name by name: a file's contents, 'directory', 'link', or the error. */
  const reach = async (...names: string[]): Promise<string | number> => {
    const walked = await client.walk(0, 900, ...names);
    if (typeof walked === 'number') return walked;
    if (walked.qids.length < names.length) return E.ENOENT;
    const { type } = walked.qids.at(-1) ?? { type: 0x80 };
    try {
      if (type === 0x80) return 'directory';
      if (type === 2) return 'link';
      const opened = await client.ask(P9.lopen, { fid: 900, flags: 0 });
      if (typeof opened === 'number') return opened;
      const { data } = await client.get(P9.read, { fid: 900, offset: 0n, count: 1000 });
      return new TextDecoder().decode(data);
    } finally {
      await client.get(P9.clunk, { fid: 900 });
    }
  };
  return { tree, server, client, end, reach };
}

describe.each(['handles', 'checked'] as const)('a shared folder by %s', (paths) => {
  it('is read and written', async () => {
    const { client, end, reach } = await serve({ paths });
    const data = Uint8Array.from({ length: 200_000 }, (_, i) => i * 31);
    await client.put(0, 1, 'file', data, 0o640);
    expect(new Uint8Array(await readFile(host('file')))).toEqual(data);
    expect((await stat(host('file'))).mode & 0o7777).toBe(0o640);
    await client.walk(0, 1, 'file');
    await client.get(P9.lopen, { fid: 1, flags: 2 });
    expect((await client.get(P9.read, { fid: 1, offset: 100_000n, count: 1 << 18 })).data).toEqual(data.subarray(100_000));
    await client.get(P9.fsync, { fid: 1, datasync: 0 });
    await client.get(P9.unlinkat, { dirfid: 0, name: 'file', flags: 0 });
    expect(await client.get(P9.getattr, { fid: 1, mask: 0n })).toMatchObject({ nlink: 0n, size: 200_000n });
    expect(await reach('file')).toBe(E.ENOENT);
    await end();
  });

  it('has directories, links and other names', async () => {
    const { client, end, reach } = await serve({ paths });
    await client.get(P9.mkdir, { dfid: 0, name: 'd', mode: 0o3751, gid: 0 });
    expect((await stat(host('d'))).mode & 0o7777).toBe(0o3751);
    await client.walk(0, 1, 'd');
    await client.put(1, 2, 'f', bytes('text'));
    await client.walk(1, 2, 'f');
    await client.get(P9.link, { dfid: 0, fid: 2, name: 'hard' });
    await client.get(P9.symlink, { fid: 0, name: 'soft', target: 'd/f', gid: 0 });
    expect(await readlink(host('soft'))).toBe('d/f');
    expect((await stat(host('hard'))).nlink).toBe(2);
    await client.get(P9.renameat, { olddirfid: 0, oldname: 'd', newdirfid: 0, newname: 'e' });
    expect(await reach('e', 'f')).toBe('text');
    // Fids go along with what they name.
    await client.get(P9.lopen, { fid: 2, flags: 0 });
    await client.put(1, 3, 'g', bytes('more'));
    await client.walk(1, 3, 'g');
    await client.get(P9.rename, { fid: 3, dfid: 0, name: 'h' });
    expect((await readdir(folder)).sort()).toEqual(['e', 'h', 'hard', 'soft']);
    await client.get(P9.remove, { fid: 3 });
    expect(await client.ask(P9.unlinkat, { dirfid: 0, name: 'e', flags: 0x200 })).toBe(E.ENOTEMPTY);
    await client.get(P9.unlinkat, { dirfid: 1, name: 'f', flags: 0 });
    await client.get(P9.unlinkat, { dirfid: 0, name: 'e', flags: 0x200 });
    expect(await client.ask(P9.getattr, { fid: 1, mask: 0n })).toSatisfy(
      (answer) => typeof answer === 'object' || answer === E.ESTALE || answer === E.ENOENT,
    );
    await end();
  });

  it('keeps names that are no text', async () => {
    const { client, end } = await serve({ paths });
    const name = '\xff\xfe \x01\n';
    await client.put(0, 1, name, bytes('x'));
    expect((await readdir(folder, { encoding: 'buffer' })).map((found) => found.toString('latin1'))).toEqual([name]);
    expect((await client.list(0, 1)).map((entry) => entry.name)).toEqual(['.', '..', name]);
    await end();
  });

  it('lists many files, with the numbers that stat gives', async () => {
    for (let i = 0; i < 300; i++) writeFileSync(host(`file-${i}`), '');
    const { client, end } = await serve({ paths });
    const entries = await client.list(0, 1, 4096);
    expect(entries.map(({ name }) => name).sort()).toEqual(['.', '..', ...(await readdir(folder))].sort());
    const { qid } = await client.get(P9.getattr, { fid: (await client.walk(0, 1, 'file-7'), 1), mask: 0n });
    expect(entries.find(({ name }) => name === 'file-7')?.path).toBe(qid.path);
    await end();
  });

  it('sets sizes, permissions and times', async () => {
    await writeFile(host('f'), 'hello');
    const { client, end } = await serve({ paths });
    await client.walk(0, 1, 'f');
    const set = (values: Partial<typeof NOTHING>) => client.ask(P9.setattr, { ...NOTHING, fid: 1, ...values });
    await set({ valid: 1 | 8, mode: 0o600, size: 3n });
    await set({ valid: 0x30 | 0x180, atimeSec: 100n, mtimeSec: 200n, mtimeNsec: 500_000_000n });
    const found = await stat(host('f'));
    expect(found).toMatchObject({ size: 3, atimeMs: 100_000, mtimeMs: 200_500 });
    expect(found.mode & 0o7777).toBe(0o600);
    await set({ valid: 0x20 });
    expect((await stat(host('f'))).mtimeMs).toBeGreaterThan(Date.now() - 60_000);
    expect((await stat(host('f'))).atimeMs).toBe(100_000);
    await symlink('f', host('l'));
    await client.walk(0, 2, 'l');
    expect(await client.ask(P9.setattr, { ...NOTHING, fid: 2, valid: 1, mode: 0o777 })).toBe(E.EOPNOTSUPP);
    expect(await client.ask(P9.setattr, { ...NOTHING, fid: 2, valid: 8 })).toBe(E.EINVAL);
    expect(await client.ask(P9.setattr, { ...NOTHING, fid: 2, valid: 0x30 | 0x180, mtimeSec: 7n })).toEqual({});
    expect([(await lstat(host('l'))).mtimeMs, (await stat(host('f'))).atimeMs]).toEqual([7000, 100_000]);
    await client.get(P9.setattr, { ...NOTHING, fid: 0, valid: 1, mode: 0o755 });
    expect(await client.ask(P9.setattr, { ...NOTHING, fid: 0, valid: 8 })).toBe(E.EISDIR);
    await end();
  });

  it.runIf(process.geteuid?.() === 0)('gives what is made to who made it, when it may', async () => {
    const { client, end } = await serve({ paths });
    await client.get(P9.attach, { fid: 5, afid: 0xffff_ffff, uname: '', aname: '', uid: 1234 });
    await client.get(P9.mkdir, { dfid: 5, name: 'd', mode: 0o755, gid: 56 });
    await client.get(P9.symlink, { fid: 5, name: 'l', target: '/etc/passwd', gid: 56 });
    await client.put(5, 6, 'f', bytes('x'));
    expect(await lstat(host('d'))).toMatchObject({ uid: 1234, gid: 56 });
    expect(await lstat(host('l'))).toMatchObject({ uid: 1234, gid: 56 });
    expect(await lstat(host('f'))).toMatchObject({ uid: 1234, gid: 0 });
    expect((await stat('/etc/passwd')).uid).toBe(0);
    await end();
  });

  it('is bounded in what is open', async () => {
    const { client, end } = await serve({ paths, maxOpenFiles: 2 });
    await client.put(0, 9, 'f', bytes('x'));
    for (const fid of [1, 2, 3]) await client.walk(0, fid, 'f');
    await client.get(P9.lopen, { fid: 1, flags: 0 });
    await client.get(P9.lopen, { fid: 2, flags: 0 });
    expect(await client.ask(P9.lopen, { fid: 3, flags: 0 })).toBe(E.ENFILE);
    await client.get(P9.clunk, { fid: 1 });
    await client.get(P9.lopen, { fid: 3, flags: 0 });
    await end();
  });

  it('opens nothing that is no file', async () => {
    const { execFileSync } = await import('node:child_process');
    execFileSync('mkfifo', [host('pipe')]);
    const { client, end } = await serve({ paths });
    await client.walk(0, 1, 'pipe');
    for (const flags of [0, 1, 2]) expect(await client.ask(P9.lopen, { fid: 1, flags })).toBe(E.ENXIO);
    expect(await client.ask(P9.setattr, { ...NOTHING, fid: 1, valid: 8 })).toBe(E.EINVAL);
    await end();
  });

  describe('lets nothing lead out of it:', () => {
    it("symbolic links, the host's and the guest's", async () => {
      await symlink(outside, host('up'));
      await symlink('../secret', host('relative'));
      await symlink(join(outside, 'secret'), host('absolute'));
      await symlink('/', host('root'));
      const { client, end, reach } = await serve({ paths });
      await client.get(P9.symlink, { fid: 0, name: 'own', target: join(outside, 'secret'), gid: 0 });
      for (const name of ['up', 'relative', 'absolute', 'root', 'own']) {
        expect(await reach(name)).toBe('link');
        expect([E.ENOTDIR, E.ENOENT]).toContain(await reach(name, 'secret'));
        await client.walk(0, 1, name);
        for (const flags of [0, 1, 2, 0o200000, 0o1001])
          expect(await client.ask(P9.lopen, { fid: 1, flags })).toSatisfy(Number.isInteger);
        expect(await client.ask(P9.mkdir, { dfid: 1, name: 'made', mode: 0o755, gid: 0 })).toBe(E.ENOTDIR);
        expect(await client.ask(P9.lcreate, { fid: 1, name: 'made', flags: 1, mode: 0o644, gid: 0 })).toBe(E.ENOTDIR);
        expect(await client.ask(P9.unlinkat, { dirfid: 1, name: 'secret', flags: 0 })).toBe(E.ENOTDIR);
        expect(await client.ask(P9.renameat, { olddirfid: 1, oldname: 'secret', newdirfid: 0, newname: 'x' })).toBe(E.ENOTDIR);
        expect(await client.ask(P9.lcreate, { fid: 0, name, flags: 0o1102, mode: 0o644, gid: 0 })).toBe(E.EEXIST);
        await client.ask(P9.setattr, { ...NOTHING, fid: 1, valid: 1 | 8, mode: 0 });
        await client.get(P9.clunk, { fid: 1 });
      }
      await end();
      expect(await readFile(join(outside, 'secret'), 'utf8')).toBe('of the host');
      expect((await readdir(outside)).sort()).toEqual(['folder', 'other', 'secret']);
    });

    it("'..', and names with slashes", async () => {
      await mkdir(host('d'));
      const { client, tree, end, reach } = await serve({ paths });
      for (const names of [
        ['..', 'secret'],
        ['d', '..', '..', 'secret'],
        ['d', '..', '..', '..', '..', '..', 'secret'],
      ])
        expect(await reach(...names)).toBe(E.ENOENT);
      for (const name of ['../secret', 'd/../../secret', join(outside, 'secret'), '/', 'd/', './d', ''])
        expect(await reach(name)).toBe(E.ENOENT);
      // The folder itself, should a server ask for such.
      const root: TreeNode = await tree.root();
      for (const name of ['..', '.', '../secret', 'a/b', 'a\0b', '']) {
        const node = { mode: 0o755, uid: 0, gid: 0 };
        const refused = { errno: E.EINVAL };
        await expect(root.lookup(name)).rejects.toMatchObject(refused);
        await expect(root.mkdir(name, node)).rejects.toMatchObject(refused);
        await expect(root.create(name, node, { read: true, write: true })).rejects.toMatchObject(refused);
        await expect(root.symlink(name, 'x', node)).rejects.toMatchObject(refused);
        await expect(root.link(name, root)).rejects.toThrow();
        await expect(root.unlink(name)).rejects.toMatchObject(refused);
        await expect(root.rmdir(name)).rejects.toMatchObject(refused);
        await expect(root.rename('d', root, name)).rejects.toMatchObject(refused);
        await expect(root.rename(name, root, 'x')).rejects.toMatchObject(refused);
      }
      await expect(root.remove()).rejects.toMatchObject({ errno: E.EBUSY });
      root.release();
      await end();
      void client;
    });

    it('a folder that the host replaces by a link on the way', async () => {
      await mkdir(host('d'));
      await writeFile(join(folder, 'd', 'secret'), 'of the guest');
      const { client, end, reach } = await serve({ paths, maxHandles: 1 });
      await client.walk(0, 1, 'd');
      await client.walk(0, 2, 'd', 'secret');
      renameSync(host('d'), join(outside, 'moved'));
      symlinkSync(join(outside, 'other'), host('d'));
      // Other nodes drive the handles of these out of the cache.
      for (const name of ['a', 'b', 'c']) await client.get(P9.mkdir, { dfid: 0, name, mode: 0o755, gid: 0 });
      for (const name of ['a', 'b', 'c']) await reach(name);
      expect(await client.walk(1, 3, 'secret')).toSatisfy(Number.isInteger);
      expect(await client.ask(P9.lopen, { fid: 2, flags: 2 })).toSatisfy(Number.isInteger);
      expect(await client.ask(P9.lcreate, { fid: 1, name: 'made', flags: 1, mode: 0o644, gid: 0 })).toSatisfy(Number.isInteger);
      expect(await client.ask(P9.unlinkat, { dirfid: 1, name: 'secret', flags: 0 })).toSatisfy(Number.isInteger);
      await end();
      expect(await readdir(join(outside, 'other'))).toEqual(['secret']);
    });
  });
});

it('is not misled by links that come and go while it walks', async () => {
  await mkdir(host('d'));
  await writeFile(join(folder, 'd', 'secret'), 'of the guest');
  const { end, reach } = await serve({ maxHandles: 2 });
  const found = new Set<string | number>();
  let swapping = true;
  const swapper = (async () => {
    for (let i = 0; swapping; i++) {
      renameSync(host('d'), host('away'));
      symlinkSync(join(outside, 'other'), host('d'));
      await new Promise((resolve) => setImmediate(resolve));
      rmSync(host('d'));
      renameSync(host('away'), host('d'));
      if (i % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  for (let i = 0; i < 300; i++) found.add(await reach('d', 'secret'));
  swapping = false;
  await swapper;
  expect([...found]).not.toContain('of the host');
  expect([...found]).toContain('of the guest');
  await end();
});

it('reaches all of a deep tree with few handles', async () => {
  const names = Array.from({ length: 60 }, (_, i) => `level-${i}`);
  mkdirSync(join(folder, ...names), { recursive: true });
  const { client, end } = await serve({ maxHandles: 4 });
  let fid = 0;
  for (const name of names) {
    await client.walk(fid, fid + 1, name);
    fid++;
  }
  await Promise.all(names.map((_, i) => client.put(i + 1, 500 + i, 'file', bytes(`${i}`))));
  expect(await readFile(join(folder, ...names, 'file'), 'utf8')).toBe('59');
  await end();
});

it('sees what the host changes', async () => {
  await writeFile(host('f'), 'one');
  const { client, end, reach } = await serve();
  await client.walk(0, 1, 'f');
  const before = await client.get(P9.getattr, { fid: 1, mask: 0n });
  await truncate(host('f'), 0);
  await writeFile(host('f'), 'longer');
  expect(await reach('f')).toBe('longer');
  const after = await client.get(P9.getattr, { fid: 1, mask: 0n });
  expect(after).toMatchObject({ size: 6n, qid: { path: before.qid.path } });
  expect(after.qid.version).not.toBe(before.qid.version);
  await rm(host('f'));
  await writeFile(host('f'), 'another');
  expect(await reach('f')).toBe('another');
  await end();
});

describe('opening a share', () => {
  it.each([
    ['missing', (): string => join(outside, 'nowhere'), /nowhere: there is no such folder; make it, or check the path/],
    ['not-a-folder', (): string => join(outside, 'secret'), /secret is no folder; give the path/],
    ['not-a-folder', (): string => join(outside, 'secret', 'x'), /x is no folder; give the path/],
  ])('says what is wrong: %s', async (code, path, message) => {
    const opened = openShare({ tag: 'work', path: path() });
    await expect(opened).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it.runIf(process.geteuid?.() !== 0)('says what is wrong: permission', async () => {
    await chmod(folder, 0o555);
    await expect(openShare({ tag: 'work', path: folder })).rejects.toMatchObject({ code: 'permission' });
    await (await openShare({ tag: 'work', path: folder, readOnly: true })).close();
  });

  it('refuses tags that no mount can name', async () => {
    await expect(openShare({ tag: 'my files', path: folder })).rejects.toMatchObject({ code: 'tag' });
    const device = await openShare({ tag: 'work', path: folder });
    expect([device.type, device.name]).toEqual(['9pfs', 'work']);
    await device.close();
  });
});
