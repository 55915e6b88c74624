import { describe, expect, it } from 'vitest';
import { LinuxErrno as E } from '../../../abi/linux-errno.ts';
import { P9Client } from '../../fixtures/p9-client.ts';
import { RamTree } from '../../fixtures/ram-tree.ts';
import { decode, encode, NO_FID, NO_TAG, P9, RLERROR } from './messages.ts';
import { P9Server, type P9ServerOptions } from './server.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function setup(options: Partial<P9ServerOptions> & { readonly tree?: RamTree } = {}) {
  const { tree = new RamTree(), ...rest } = options;
  const faults: unknown[] = [];
  const server = new P9Server(tree, { maxMessageBytes: 65_536, onFault: (error) => faults.push(error), ...rest });
  const client = new P9Client((message) => server.serve(message));
  await client.begin();
  const end = async (): Promise<void> => {
    await server.close();
    expect({ references: tree.references, open: tree.open, fids: server.fids, faults }).toEqual({
      references: 0,
      open: 0,
      fids: 0,
      faults: [],
    });
  };
  return { tree, server, client, faults, end };
}

describe('a session', () => {
  it('is of the version that both know, with messages that both can carry', async () => {
    const { client, server, end } = await setup();
    const version = (msize: number, name: string) => client.ask(P9.version, { msize, version: name }, NO_TAG);
    expect(await version(1 << 20, '9P2000.L')).toEqual({ msize: 65_536, version: '9P2000.L' });
    expect(await version(8192, '9P2000.u')).toEqual({ msize: 8192, version: 'unknown' });
    expect(await version(8192, '9P2000.Lx')).toEqual({ msize: 8192, version: 'unknown' });
    expect(await version(4095, '9P2000.L')).toBe(E.EMSGSIZE);
    expect(server.messageBytes).toBe(8192);
    await end();
  });

  it('ends when another begins', async () => {
    const { client, server, tree, end } = await setup();
    await client.put(0, 1, 'file', bytes('x'));
    await client.walk(0, 1, 'file');
    await client.get(P9.lopen, { fid: 1, flags: 0 });
    expect(tree.open).toBe(1);
    await client.begin();
    expect({ open: tree.open, fids: server.fids }).toEqual({ open: 0, fids: 1 });
    expect(await client.ask(P9.read, { fid: 1, offset: 0n, count: 1 })).toBe(E.EBADF);
    await end();
  });

  it('attaches without authentication, to the whole folder, once a fid', async () => {
    const { client, end } = await setup();
    const attach = (fid: number, afid: number, aname: string) => client.ask(P9.attach, { fid, afid, uname: '', aname, uid: 0 });
    expect(await attach(1, NO_FID, '/')).toMatchObject({ qid: { type: 0x80 } });
    expect(await attach(0, NO_FID, '')).toBe(E.EINVAL);
    expect(await attach(2, 7, '')).toBe(E.EINVAL);
    expect(await attach(2, NO_FID, '/etc')).toBe(E.ENOENT);
    await end();
  });

  it('answers messages that it does not know, cannot read, or that are too long, with errors', async () => {
    const { client, server, end } = await setup();
    const errno = async (message: Uint8Array) => decode(RLERROR.fields, await server.serve(message))?.errno;
    for (const type of [0, 6, 7, 30, 32, 98, 102, 106, 109, 112, 124, 126, 255])
      expect(await errno(encode(type, 1, {}, {}))).toBe(E.EOPNOTSUPP);
    expect(await errno(encode(P9.walk.type, 1, {}, {}))).toBe(E.EINVAL);
    expect(await errno(new Uint8Array(65_537).fill(P9.write.type))).toBe(E.EMSGSIZE);
    await client.ask(P9.version, { msize: 4096, version: '9P2000.L' }, NO_TAG);
    expect(await errno(new Uint8Array(4097).fill(P9.write.type))).toBe(E.EMSGSIZE);
    await end();
  });

  it('has a bounded number of fids', async () => {
    const { client, end } = await setup({ maxFids: 3 });
    expect(await client.walk(0, 1)).toEqual({ qids: [] });
    expect(await client.walk(0, 2)).toEqual({ qids: [] });
    expect(await client.walk(0, 3)).toBe(E.ENFILE);
    await client.get(P9.clunk, { fid: 2 });
    expect(await client.walk(0, 3)).toEqual({ qids: [] });
    await end();
  });

  it('tells its owner of a host that fails, and the client EIO', async () => {
    const { client, tree, faults, server } = await setup();
    tree.status = () => Promise.reject(new Error('the disk is on fire'));
    expect(await client.ask(P9.statfs, { fid: 0 })).toBe(E.EIO);
    expect(faults).toMatchObject([{ message: 'the disk is on fire' }]);
    await server.close();
  });
});

describe('a walk', () => {
  it('goes as far as there are names, and makes a fid only at its end', async () => {
    const { client, end } = await setup();
    await client.get(P9.mkdir, { dfid: 0, name: 'a', mode: 0o755, gid: 0 });
    await client.walk(0, 1, 'a');
    await client.get(P9.mkdir, { dfid: 1, name: 'b', mode: 0o755, gid: 0 });
    expect(await client.walk(0, 2, 'a', 'b')).toMatchObject({ qids: [{ type: 0x80 }, { type: 0x80 }] });
    expect(await client.walk(0, 3, 'x', 'b')).toBe(E.ENOENT);
    expect(await client.walk(0, 3, 'a', 'x')).toMatchObject({ qids: [{ type: 0x80 }] });
    expect(await client.ask(P9.getattr, { fid: 3, mask: 0n })).toBe(E.EBADF);
    expect(await client.walk(0, 2)).toBe(E.EINVAL);
    expect(await client.walk(9, 3)).toBe(E.EBADF);
    expect(await client.walk(0, 3, ...Array.from({ length: 17 }, () => 'a'))).toBe(E.EINVAL);
    await end();
  });

  it('stays at the root however far up it goes', async () => {
    const { client, tree, end } = await setup();
    await client.get(P9.mkdir, { dfid: 0, name: 'a', mode: 0o755, gid: 0 });
    const up = Array.from({ length: 15 }, () => '..');
    expect(await client.walk(0, 1, 'a', ...up)).toMatchObject({
      qids: [{}, ...up.map(() => ({ path: tree.top.path }))],
    });
    await end();
  });

  it.each(['', '.', '/', 'a/b', '../a', 'a\0b', '/etc/passwd'])('takes %j for no name', async (name) => {
    const { client, end } = await setup();
    expect(await client.walk(0, 1, name)).toBe(E.ENOENT);
    for (const made of [
      client.ask(P9.mkdir, { dfid: 0, name, mode: 0o755, gid: 0 }),
      client.ask(P9.symlink, { fid: 0, name, target: 'x', gid: 0 }),
      client.ask(P9.link, { dfid: 0, fid: 0, name }),
    ])
      expect([E.ENOENT, E.EEXIST]).toContain(await made);
    expect([E.ENOENT, E.EINVAL]).toContain(await client.ask(P9.unlinkat, { dirfid: 0, name, flags: 0 }));
    expect([E.ENOENT, E.EISDIR]).toContain(
      await client.ask(P9.renameat, { olddirfid: 0, oldname: name, newdirfid: 0, newname: 'x' }),
    );
    await end();
  });
});

describe('files', () => {
  it('are made, written and read at any offset', async () => {
    const { client, end } = await setup();
    await client.walk(0, 1);
    const { iounit } = await client.get(P9.lcreate, { fid: 1, name: 'f', flags: 2, mode: 0o640, gid: 7 });
    expect(iounit).toBe(65_536 - 24);
    expect(await client.get(P9.write, { fid: 1, offset: 3n, data: bytes('abc') })).toEqual({ count: 3 });
    const read = async (offset: bigint, count: number) => [...(await client.get(P9.read, { fid: 1, offset, count })).data];
    expect(await read(0n, 100)).toEqual([0, 0, 0, 97, 98, 99]);
    expect(await read(4n, 1)).toEqual([98]);
    expect(await read(6n, 100)).toEqual([]);
    expect(await client.ask(P9.read, { fid: 1, offset: 1n << 60n, count: 1 })).toBe(E.EFBIG);
    expect(await client.ask(P9.write, { fid: 1, offset: (1n << 64n) - 1n, data: bytes('x') })).toBe(E.EFBIG);
    expect(await client.get(P9.getattr, { fid: 1, mask: 0x7ffn })).toMatchObject({ mode: 0o100640, gid: 7, size: 6n });
    await end();
  });

  it('are read no further than a message can carry', async () => {
    const { client, end } = await setup();
    await client.begin(4096);
    await client.put(0, 1, 'f', new Uint8Array(4000));
    await client.put(0, 1, 'g', new Uint8Array(4000));
    await client.walk(0, 1, 'f');
    await client.get(P9.setattr, { ...NOTHING, fid: 1, valid: 8, size: 9000n });
    await client.get(P9.lopen, { fid: 1, flags: 0 });
    expect((await client.get(P9.read, { fid: 1, offset: 0n, count: 0xffff_ffff })).data).toHaveLength(4096 - 11);
    await end();
  });

  it('are used only as they were opened', async () => {
    const { client, end } = await setup();
    await client.put(0, 1, 'f', bytes('x'));
    const io = async (flags: number) => {
      await client.walk(0, 1, 'f');
      const opened = await client.ask(P9.lopen, { fid: 1, flags });
      const results = [
        typeof opened === 'number' ? opened : 0,
        await client.ask(P9.read, { fid: 1, offset: 0n, count: 1 }),
        await client.ask(P9.write, { fid: 1, offset: 0n, data: bytes('y') }),
      ].map((result) => (typeof result === 'number' ? result : 'done'));
      await client.get(P9.clunk, { fid: 1 });
      return results;
    };
    expect(await io(0)).toEqual([0, 'done', E.EBADF]);
    expect(await io(1)).toEqual([0, E.EBADF, 'done']);
    expect(await io(2)).toEqual([0, 'done', 'done']);
    expect(await io(3)).toEqual([E.EINVAL, E.EBADF, E.EBADF]);
    expect(await io(0o200000)).toEqual([E.ENOTDIR, E.EBADF, E.EBADF]);
    await client.walk(0, 1, 'f');
    await client.get(P9.lopen, { fid: 1, flags: 0 });
    expect(await client.ask(P9.lopen, { fid: 1, flags: 0 })).toBe(E.EINVAL);
    expect(await client.walk(1, 1)).toBe(E.EINVAL);
    expect(await client.walk(1, 2)).toEqual({ qids: [] });
    await end();
  });

  it('stay open while a request uses them, whatever is clunked', async () => {
    const { client, tree, end } = await setup();
    await client.put(0, 1, 'f', bytes('hello'));
    await client.walk(0, 1, 'f');
    await client.get(P9.lopen, { fid: 1, flags: 0 });
    let go = (): void => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    tree.pace = () => gate;
    const reading = client.get(P9.read, { fid: 1, offset: 0n, count: 5 });
    const clunked = client.get(P9.clunk, { fid: 1 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(tree.open).toBe(1);
    go();
    expect((await reading).data).toEqual(bytes('hello'));
    await clunked;
    expect(tree.open).toBe(0);
    await end();
  });

  it('are locked without asking anybody', async () => {
    const { client, end } = await setup();
    await client.put(0, 1, 'f', bytes('x'));
    await client.walk(0, 1, 'f');
    const lock = { fid: 1, type: 1, flags: 1, start: 0n, length: 0n, procId: 3, clientId: 'me' };
    expect(await client.ask(P9.lock, lock)).toBe(E.EBADF);
    await client.get(P9.lopen, { fid: 1, flags: 2 });
    expect(await client.ask(P9.lock, lock)).toEqual({ status: 0 });
    expect(await client.ask(P9.lock, { ...lock, type: 9 })).toBe(E.EINVAL);
    const { flags: _, ...range } = lock;
    expect(await client.ask(P9.getlock, range)).toEqual({ type: 2, start: 0n, length: 0n, procId: 3, clientId: 'me' });
    await client.get(P9.fsync, { fid: 1, datasync: 1 });
    await end();
  });
});

const NOTHING = { fid: 0, valid: 0, mode: 0, uid: 0, gid: 0, size: 0n, atimeSec: 0n, atimeNsec: 0n, mtimeSec: 0n, mtimeNsec: 0n };

describe('directories', () => {
  it('are listed with both dots, in pieces of any size, from any offset', async () => {
    const { client, tree, end } = await setup();
    const names = Array.from({ length: 100 }, (_, i) => `file-${i}`);
    for (const name of names) await client.put(0, 1, name, bytes(name));
    for (const count of [60, 200, 8192, 1 << 30])
      expect((await client.list(0, 1, count)).map(({ name }) => name)).toEqual(['.', '..', ...names]);
    expect((await client.list(0, 1))[0]).toEqual({ name: '.', path: tree.top.path, type: 4 });
    await client.walk(0, 1);
    await client.get(P9.lopen, { fid: 1, flags: 0 });
    const at = async (offset: bigint) => {
      const { data } = await client.get(P9.readdir, { fid: 1, offset, count: 40 });
      return String.fromCharCode(...data.subarray(24));
    };
    expect(await at(50n)).toBe('file-48');
    expect(await at(2n)).toBe('file-0');
    expect(await at(51n)).toBe('file-49');
    expect(await at(200n)).toBe('');
    expect(await at(0n)).toContain('.');
    expect(await client.ask(P9.readdir, { fid: 1, offset: 2n, count: 20 })).toBe(E.EINVAL);
    await end();
  });

  it('change as asked', async () => {
    const { client, tree, end } = await setup();
    await client.get(P9.mkdir, { dfid: 0, name: 'd', mode: 0o700, gid: 5 });
    expect(await client.ask(P9.mkdir, { dfid: 0, name: 'd', mode: 0o700, gid: 5 })).toBe(E.EEXIST);
    await client.put(0, 1, 'f', bytes('x'));
    await client.walk(0, 1, 'd');
    await client.walk(0, 2, 'f');
    await client.get(P9.link, { dfid: 1, fid: 2, name: 'hard' });
    await client.get(P9.symlink, { fid: 1, name: 'soft', target: '/etc/passwd', gid: 0 });
    await client.walk(1, 3, 'soft');
    expect(await client.ask(P9.readlink, { fid: 3 })).toEqual({ target: '/etc/passwd' });
    expect(await client.ask(P9.readlink, { fid: 2 })).toBe(E.EINVAL);
    expect(await client.ask(P9.lopen, { fid: 3, flags: 0 })).toBe(E.ELOOP);
    await client.get(P9.rename, { fid: 2, dfid: 1, name: 'g' });
    await client.get(P9.renameat, { olddirfid: 1, oldname: 'g', newdirfid: 0, newname: 'h' });
    expect([...tree.top.entries.keys()]).toEqual(['d', 'h']);
    expect(await client.ask(P9.unlinkat, { dirfid: 0, name: 'd', flags: 0 })).toBe(E.EISDIR);
    expect(await client.ask(P9.unlinkat, { dirfid: 0, name: 'd', flags: 0x200 })).toBe(E.ENOTEMPTY);
    expect(await client.ask(P9.unlinkat, { dirfid: 0, name: 'h', flags: 1 })).toBe(E.EINVAL);
    await client.get(P9.remove, { fid: 3 });
    expect(await client.ask(P9.clunk, { fid: 3 })).toBe(E.EBADF);
    await client.get(P9.unlinkat, { dirfid: 1, name: 'hard', flags: 0 });
    await client.get(P9.unlinkat, { dirfid: 0, name: 'd', flags: 0x200 });
    expect([...tree.top.entries.keys()]).toEqual(['h']);
    await end();
  });

  it('get no devices', async () => {
    const { client, tree, end } = await setup();
    const mknod = (mode: number) => client.ask(P9.mknod, { dfid: 0, name: 'n', mode, major: 8, minor: 0, gid: 0 });
    for (const mode of [0o60600, 0o20600, 0o10600, 0o140600]) expect(await mknod(mode)).toBe(E.EPERM);
    expect(await mknod(0o100600)).toMatchObject({ qid: { type: 0 } });
    expect(tree.top.entries.get('n')?.mode).toBe(0o100600);
    await end();
  });
});

it('changes nothing of what is read-only', async () => {
  const tree = new RamTree();
  const first = await setup({ tree });
  await first.client.put(0, 1, 'f', bytes('x'));
  await first.end();
  const { client, end } = await setup({ tree, readOnly: true });
  await client.walk(0, 1, 'f');
  const refused = [
    () => client.ask(P9.lopen, { fid: 1, flags: 1 }),
    () => client.ask(P9.lopen, { fid: 1, flags: 0o1000 }),
    () => client.ask(P9.lcreate, { fid: 0, name: 'n', flags: 0, mode: 0o600, gid: 0 }),
    () => client.ask(P9.setattr, { ...NOTHING, fid: 1, valid: 1 }),
    () => client.ask(P9.mkdir, { dfid: 0, name: 'n', mode: 0o700, gid: 0 }),
    () => client.ask(P9.symlink, { fid: 0, name: 'n', target: 'x', gid: 0 }),
    () => client.ask(P9.mknod, { dfid: 0, name: 'n', mode: 0o100600, major: 0, minor: 0, gid: 0 }),
    () => client.ask(P9.link, { dfid: 0, fid: 1, name: 'n' }),
    () => client.ask(P9.rename, { fid: 1, dfid: 0, name: 'n' }),
    () => client.ask(P9.renameat, { olddirfid: 0, oldname: 'f', newdirfid: 0, newname: 'n' }),
    () => client.ask(P9.unlinkat, { dirfid: 0, name: 'f', flags: 0 }),
    () => client.ask(P9.remove, { fid: 1 }),
  ];
  for (const ask of refused) expect(await ask()).toBe(E.EROFS);
  expect([...tree.top.entries.keys()]).toEqual(['f']);
  await end();
});

it('sets what setattr says, and nothing else', async () => {
  const { client, tree, end } = await setup();
  await client.put(0, 1, 'f', bytes('hello'));
  await client.walk(0, 1, 'f');
  const node = tree.top.entries.get('f')!;
  const set = (values: Partial<typeof NOTHING>) => client.ask(P9.setattr, { ...NOTHING, fid: 1, ...values });
  await set({ valid: 1, mode: 0o104600, uid: 9 });
  await set({ valid: 2, uid: 3, gid: 9 });
  await set({ valid: 4, gid: 4 });
  await set({ valid: 8, size: 2n });
  await set({ valid: 0x20 | 0x100 | 0x40, mtimeSec: 5n, mtimeNsec: 500_000_000n, atimeSec: 9n });
  expect(node.stat()).toMatchObject({ mode: 0o104600, uid: 3, gid: 4, sizeBytes: 2, mtimeNs: 5_500_000_000n, atimeNs: 0n });
  expect(await set({ valid: 0x20 | 0x100, mtimeNsec: 1_000_000_000n })).toBe(E.EINVAL);
  expect(await set({ valid: 0x20 | 0x100, mtimeSec: (1n << 64n) - 1n })).toBe(E.EINVAL);
  expect(await set({ valid: 8, size: 1n << 63n })).toBe(E.EFBIG);
  expect(await client.get(P9.getattr, { fid: 1, mask: 0n })).toMatchObject({ mtimeSec: 5n, mtimeNsec: 500_000_000n });
  await end();
});

describe('requests under way', () => {
  it('are flushed when they are answered', async () => {
    const { client, tree, server, end } = await setup();
    let go = (): void => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    tree.pace = () => gate;
    const order: string[] = [];
    const ask = (tag: number) => client.ask(P9.statfs, { fid: 0 }, tag).then(() => order.push(`answer ${tag}`));
    const flush = (tag: number, oldtag: number) =>
      client.ask(P9.flush, { oldtag }, tag).then(() => order.push(`flush ${oldtag}`));
    const all = [ask(1), ask(2), flush(3, 1), flush(4, 99), flush(5, 5)];
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(order).toEqual(['flush 99', 'flush 5']);
    expect(server.underWay).toBe(3);
    go();
    await Promise.all(all);
    expect(order.indexOf('flush 1')).toBeGreaterThan(order.indexOf('answer 1'));
    await end();
  });

  it('cannot wait for one another in a circle', async () => {
    const { client, end } = await setup();
    await Promise.all([
      client.ask(P9.flush, { oldtag: 11 }, 10),
      client.ask(P9.flush, { oldtag: 12 }, 11),
      client.ask(P9.version, { msize: 8192, version: '9P2000.L' }, 12),
      client.ask(P9.flush, { oldtag: 12 }, 13),
      client.ask(P9.version, { msize: 8192, version: '9P2000.L' }, 14),
    ]);
    await end();
  });

  it('have tags of their own', async () => {
    const { client, end } = await setup();
    const [first, second] = await Promise.all([client.ask(P9.statfs, { fid: 0 }, 7), client.ask(P9.statfs, { fid: 0 }, 7)]);
    expect(typeof first).toBe('object');
    expect(second).toBe(E.EINVAL);
    await end();
  });

  it('leave nothing behind when a session begins among them', async () => {
    const { client, tree, end } = await setup();
    await client.put(0, 1, 'f', bytes('x'));
    await client.walk(0, 1, 'f');
    tree.pace = () => new Promise((resolve) => setTimeout(resolve, 1));
    await Promise.all([
      client.ask(P9.lopen, { fid: 1, flags: 0 }),
      client.walk(0, 2, 'f'),
      client.walk(0, 3),
      client.ask(P9.version, { msize: 8192, version: '9P2000.L' }),
      client.walk(0, 4, 'f'),
      client.ask(P9.attach, { fid: 0, afid: NO_FID, uname: '', aname: '', uid: 0 }),
    ]);
    await end();
  });
});
