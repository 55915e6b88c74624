// A PV network card under Linux's own driver, in a network in user mode: an address, the way out and the way in.
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpioDirectory, cpioFile } from '../../src/image/cpio.ts';
import { readKernelModules } from '../../src/node/guest-parts.ts';
import { BOOT_TIME } from './kernels.ts';
import { XenGuest, xenGuestParts } from './xen-guest.ts';

const parts = await xenGuestParts();
const MIB = 1 << 20;
const TRANSFERS = 24;
/** What udhcpc runs with each lease. */
const LEASE = `#!/bin/sh
[ -n "$ip" ] || exit 0
ip addr flush dev $interface
ip addr add $ip/$mask dev $interface
ip route add default via $router
echo "nameserver $dns" > /etc/resolv.conf
echo "$ip $router $dns $hostname"
`;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** A port of the loopback that is free now. */
async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe.skipIf(parts === undefined)('a guest with a PV network card', { timeout: BOOT_TIME }, () => {
  const contents = randomBytes(MIB);
  let guest: XenGuest;
  let web: Server;
  let [port, forwarded] = [0, 0];
  const sh = (command: string): Promise<string> => guest.sh(command, { timeout: 90_000 });

  beforeAll(async () => {
    if (parts === undefined) return;
    web = createServer((request, response) => {
      if (request.method !== 'POST') return void response.end(contents);
      const hash = createHash('sha256');
      request.on('data', (piece: Uint8Array) => void hash.update(piece)).on('end', () => response.end(hash.digest('hex')));
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => web.once('listening', resolve));
    ({ port } = web.address() as AddressInfo);
    forwarded = await freePort();
    const modules = await readKernelModules(parts, ['xen-netfront']);
    const files = [
      cpioDirectory('net'),
      cpioFile('net/lease', LEASE, 0o755),
      ...modules.map(({ data, name }) => cpioFile(`net/${name}.ko`, data)),
    ];
    const vif = {
      mac: '00:16:3e:12:34:56',
      hostname: 'web',
      allowHostLoopback: true,
      forwards: [`tcp:127.0.0.1:${forwarded}-:7`],
    };
    guest = await XenGuest.boot(parts, { files, vifs: [vif] });
    await sh(modules.map(({ name }) => `insmod /net/${name}.ko`).join('; '));
    await sh('ip link set lo up; ip link set eth0 up');
  }, BOOT_TIME);
  afterAll(async () => {
    await guest?.[Symbol.asyncDispose]();
    web?.close();
  });

  it('has the address it was given, and gets one by DHCP', async () => {
    expect(await sh('cat /sys/class/net/eth0/address')).toBe('00:16:3e:12:34:56');
    expect(await sh('udhcpc -i eth0 -n -q -s /net/lease 2>/dev/null')).toContain('10.0.2.15 10.0.2.2 10.0.2.3 web');
  });

  it('reaches its gateway', async () => {
    expect(await sh('ping -c 2 10.0.2.2')).toContain('2 packets received');
  });

  it('fetches over many connections at a time what the host has', async () => {
    await sh(`for i in $(seq ${TRANSFERS}); do wget -q -O - http://10.0.2.2:${port}/ | sha256sum > /tmp/sum.$i & done; wait`);
    expect(await sh("cat /tmp/sum.* | sort | uniq -c | sed 's/^ *//'")).toBe(`${TRANSFERS} ${sha256(contents)}  -`);
  });

  it('sends the host what the host receives', async () => {
    // busybox's wget posts text.
    await sh('dd if=/dev/urandom bs=1M count=8 2>/dev/null | base64 > /tmp/upload');
    const sum = await sh("sha256sum < /tmp/upload | cut -d ' ' -f 1");
    expect(await sh(`wget -q -O - --post-file=/tmp/upload http://10.0.2.2:${port}/`)).toBe(sum);
  });

  it('is reached through a forwarded port', async () => {
    await sh('nc -l -p 7 -e cat > /dev/null 2>&1 & sleep 0.5');
    const echoed = await new Promise<Buffer>((resolve, reject) => {
      const pieces: Buffer[] = [];
      const socket = connect(forwarded, '127.0.0.1', () => socket.end(contents));
      socket.on('data', (piece) => void pieces.push(piece)).on('error', reject);
      socket.on('end', () => resolve(Buffer.concat(pieces)));
    });
    expect(sha256(echoed)).toBe(sha256(contents));
  });

  it('keeps its card over a suspend as if restored, and over driver reloads', async () => {
    const { domain } = guest;
    const suspended = expect.poll(() => domain.state, { timeout: 20_000 }).toBe('suspended');
    domain.shutdown('suspend');
    await suspended;
    await domain.resume();
    expect(await sh('ping -c 1 -W 10 10.0.2.2')).toContain('1 packets received');
    for (let time = 0; time < 5; time++)
      await sh(
        'ip link set eth0 down; echo vif-0 > /sys/bus/xen/drivers/vif/unbind; rmmod xen_netfront && insmod /net/xen-netfront.ko && until [ -d /sys/class/net/eth0 ]; do sleep 0.1; done',
      );
    await sh('while ! ip link set eth0 up 2>/dev/null; do sleep 0.1; done');
    expect(await sh('udhcpc -i eth0 -n -q -s /net/lease 2>/dev/null')).toContain('10.0.2.15');
    expect(await sh('ping -c 1 -W 10 10.0.2.2')).toContain('1 packets received');
  });

  it('has nothing to complain of', async () => {
    await guest.log();
  });
});
