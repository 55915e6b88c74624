// XenStore as Debian's programs in a guest find it, through Linux's /dev/xen/xenbus and the ring.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BOOT_TIME } from './kernels.ts';
import { requests, STORE_SESSION } from './store-session.ts';
import { XenGuest, xenGuestParts } from './xen-guest.ts';

const parts = await xenGuestParts();
const HOME = '/local/domain/1';

describe.skipIf(parts === undefined)('XenStore in a guest', { timeout: 120_000 }, () => {
  let guest: XenGuest;
  const sh = (command: string, status: number | 'any' = 0) => guest.sh(command, { status, timeout: 60_000 });
  /** Waits in the guest, ten seconds at most. */
  const until = (condition: string) => sh(`for _ in $(seq 200); do ${condition} && exit 0; sleep 0.05; done; exit 1`);

  beforeAll(async () => {
    if (parts !== undefined) guest = await XenGuest.boot(parts, { files: [STORE_SESSION], name: 'storekeeper' });
  }, BOOT_TIME);
  afterAll(async () => {
    // Nothing that happened here is worth a line in the kernel's log.
    await guest?.log();
    await guest?.[Symbol.asyncDispose]();
  }, 60_000);

  it('has the domain directory that libxl makes', async () => {
    expect(await sh('xenstore-read domid name vm')).toBe(`1\nstorekeeper\n/vm/${guest.domain.uuid}`);
    expect(await sh(`xenstore-read /vm/${guest.domain.uuid}/uuid`)).toBe(guest.domain.uuid);
    expect(await sh('cat /sys/hypervisor/uuid')).toBe(guest.domain.uuid);
    const tree = (await sh(`xenstore-ls -f -p ${HOME}`)).split('\n');
    for (const node of [
      '/memory/static-max = "262144"   (n0,r1)',
      '/memory/target = "262144"   (n0,r1)',
      '/cpu/0/availability = "online"   (n0,r1)',
      '/control/shutdown = ""   (n1)',
      '/control/feature-poweroff = "1"   (n1)',
      '/control/feature-reboot = "1"   (n1)',
      '/control/feature-suspend = "1"   (n1)',
      '/control/platform-feature-xs_reset_watches = "1"   (n0,r1)',
      '/device/suspend/event-channel = ""   (n1)',
      '/store/port = "1"   (n0,r1)',
      '/console/port = "2"   (n0,r1)',
      '/data = ""   (n1)',
    ])
      expect(tree).toContain(`${HOME}${node}`);
  });

  it('reads, writes, lists, removes and gives away', async () => {
    await sh('xenstore-write data/a 1 data/b "two words"');
    expect(await sh('xenstore-read -p data/a data/b')).toBe('data/a: 1\ndata/b: two words');
    expect(await sh('xenstore-ls data')).toBe('a = "1"\nb = "two words"');
    expect((await sh('xenstore-list data')).split('\n').sort()).toEqual(['a', 'b']);
    expect(guest.domain.xenstore.read(`${HOME}/data/b`)).toBe('two words');
    guest.domain.xenstore.write(`${HOME}/data/a`, 'from the host');
    expect(await sh('xenstore-read data/a')).toBe('from the host');
    await sh('xenstore-exists data/a');
    await sh('xenstore-exists data/none', 1);
    await sh('xenstore-chmod data/b n1 r0 b7');
    expect(await sh('xenstore-ls -p data')).toContain('b = "two words"   (n1,r0,b7)');
    expect(guest.domain.xenstore.permissions(`${HOME}/data/b`)).toHaveLength(3);
    await sh('xenstore-rm data/a data/b');
    expect(await sh('xenstore-list data')).toBe('');
    expect(guest.domain.xenstore.exists(`${HOME}/data/a`)).toBe(false);
  });

  it('says why it refuses', async () => {
    const long = 'x'.repeat(2100);
    const answers = await sh(
      requests(
        ['READ', 'data/none\0'],
        ['READ', '/local/domain/0/name\0'],
        ['DIRECTORY', '/\0'],
        ['WRITE', 'memory/target\x001'],
        ['WRITE', '/local/domain/0/mine\x001'],
        ['RM', 'memory\0'],
        ['SET_PERMS', 'memory/target\0n1\0'],
        ['SET_PERMS', 'data\0z1\0'],
        ['WRITE', 'data//twice\x001'],
        ['READ', 'data/\0'],
        ['READ', 'data/with space\0'],
        ['READ', 'no NUL'],
        ['WRITE', `data/long\0${long}`],
        ['INTRODUCE', '1\x001\x001\0'],
        ['GET_DOMAIN_PATH', '7\0'],
      ),
    );
    expect(answers.split('\n')).toEqual([
      '16 ENOENT',
      '16 EACCES',
      '16 EACCES',
      '16 EACCES',
      '16 EACCES',
      '16 EACCES',
      '16 EACCES',
      '16 EINVAL',
      '16 EINVAL',
      '16 EINVAL',
      '16 EINVAL',
      '16 EINVAL',
      '16 ENOSPC',
      '16 EACCES',
      '10 /local/domain/7',
    ]);
    expect(await sh(`xenstore-ls /`, 1)).toBe('xenstore-ls: xs_directory (/): Permission denied');
    expect(await sh('xenstore-read data/none', 1)).toBe("xenstore-read: couldn't read path data/none");
  });

  it('commits a transaction that nobody disturbed, and no other', async () => {
    const store = guest.domain.xenstore;
    store.write(`${HOME}/data/counter`, 1);
    // The host writes what the second transaction read, between that and its end.
    using _ = store.watch(`${HOME}/data/disturb`, () => {
      if (!store.exists(`${HOME}/data/disturb`)) return;
      store.write(`${HOME}/data/counter`, 'other');
      store.write(`${HOME}/data/disturbed`, '');
    });
    const script = `. store-session
store 6 0 '\\000'; tx=\${reply#6 }
request 11 $tx 'data/counter\\0002'
xenstore-read data/counter
request 7 $tx 'T\\000'
xenstore-read data/counter
store 6 0 '\\000'; tx=\${reply#6 }
request 2 $tx 'data/counter\\000'
request 11 $tx 'data/counter\\0003'
xenstore-write data/disturb ''
for _ in $(seq 100); do xenstore-exists data/disturbed && break; sleep 0.1; done
request 7 $tx 'T\\000'
xenstore-read data/counter
store 6 0 '\\000'; tx=\${reply#6 }
request 13 $tx 'data/counter\\000'
request 2 $tx 'data/counter\\000'
request 7 $tx 'F\\000'
xenstore-read data/counter`;
    const answers = (await sh(script)).split('\n');
    expect(answers).toEqual([
      '11 OK',
      '1',
      '7 OK',
      '2',
      '2 2',
      '11 OK',
      '16 EAGAIN',
      'other',
      '13 OK',
      '16 ENOENT',
      '7 OK',
      'other',
    ]);
    await sh('xenstore-rm data/counter data/disturb data/disturbed');
  });

  it('tells both sides of changes', async () => {
    const store = guest.domain.xenstore;
    await sh('xenstore-watch -n 5 data/w device > /tmp/watched 2>&1 &');
    await until('[ "$(wc -l < /tmp/watched)" -ge 2 ]');
    const seen: string[] = [];
    using _ = store.watch(`${HOME}/data/w`, (path) => void seen.push(path));
    await sh('xenstore-write data/w/x 1');
    store.write(`${HOME}/data/w/y`, 2);
    store.write(`${HOME}/device/vbd`, '');
    await until('[ "$(wc -l < /tmp/watched)" -ge 5 ]');
    const lines = (await sh('cat /tmp/watched')).split('\n');
    expect(lines.slice(0, 2).sort()).toEqual(['data/w', 'device']);
    expect(lines.slice(2)).toEqual(['data/w/x', 'data/w/y', 'device/vbd']);
    expect(seen).toEqual(expect.arrayContaining([`${HOME}/data/w/x`, `${HOME}/data/w/y`]));
    store.remove(`${HOME}/device/vbd`);
    await sh('xenstore-rm data/w');
  });

  it('lists a directory that fits no message', async () => {
    guest.domain.xenstore.transaction((view) => {
      view.mkdir(`${HOME}/data/big`);
      view.setPermissions(`${HOME}/data/big`, 'n0,r1');
      for (let i = 0; i < 3000; i++) view.write(`${HOME}/data/big/node-number-${i}`, i);
    });
    expect(await sh(requests(['DIRECTORY', 'data/big\0']))).toBe('16 E2BIG');
    expect(await sh('xenstore-list data/big | sort | md5sum')).toBe(
      await sh("seq 0 2999 | sed 's/^/node-number-/' | sort | md5sum"),
    );
    expect(await sh('xenstore-ls data/big | tail -n 1')).toBe('node-number-2999 = "2999"');
    guest.domain.xenstore.remove(`${HOME}/data/big`);
  });

  it('serves many clients at a time', async () => {
    // As many as may have a transaction open: xenstore-rm takes one.
    const clients = 10;
    const turn =
      'for j in 1 2 3 4 5; do xenstore-write data/p$i/$j $i.$j; xenstore-read data/p$i/$j; xenstore-rm data/p$i/$j; done';
    const answers = await sh(`for i in $(seq ${clients}); do (${turn}) & done; wait`);
    const wanted = Array.from({ length: 5 * clients }, (_, k) => `${Math.floor(k / 5) + 1}.${(k % 5) + 1}`);
    expect(answers.split('\n').sort()).toEqual(wanted.sort());
    await sh(`for i in $(seq ${clients}); do xenstore-rm data/p$i; done`);
  });

  it('lets a guest own a thousand nodes', async () => {
    for (let d = 1; d <= 9; d++) await sh(`xenstore-write $(seq 100 | sed 's|.*|data/q${d}/& x|')`);
    const fill = await sh(`. store-session
for i in $(seq 100); do store 11 0 "data/q10/$i\\\\000x"; [ "$reply" = '11 OK' ] || break; done
echo "$reply"`);
    expect(fill).toBe('16 ENOSPC');
    const owned = (path: string): number => {
      const { xenstore } = guest.domain;
      const children = xenstore.list(path) ?? [];
      const mine = xenstore.permissions(path)[0]?.domid === guest.domain.id ? 1 : 0;
      return children.reduce((sum, name) => sum + owned(`${path}/${name}`), mine);
    };
    expect(owned(HOME)).toBe(1000);
    await sh('for d in $(seq 10); do xenstore-rm data/q$d; done; xenstore-write data/again 1');
  });
});
