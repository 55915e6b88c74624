// Network cards under Linux's own drivers, a PV one and an emulated RTL8139: each in a network in user mode, with an address, the way out and
// the way in; and both at one switch and one cable, in front of each other. Suspend and reloads of the PV driver.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpioFile } from '../../src/image/cpio.ts';
import { Switch } from '../../src/net/switch.ts';
import { kernelModuleFiles } from '../../src/node/kernel-modules.ts';
import type { VifConfig } from '../../src/node/open-vif.ts';
import { complaints } from './kernel-log.ts';
import { BOOT_TIME } from './kernels.ts';
import { XenGuest, xenGuestParts } from './xen-guest.ts';

const MIB = 1 << 20;
const TRANSFERS = 12;
/** What udhcpc runs with each lease. */
const LEASE = `#!/bin/sh
[ -n "$ip" ] || exit 0
ip addr flush dev $interface
ip addr add $ip/$mask dev $interface
ip route add default via $router
echo "nameserver $dns" > /etc/resolv.conf
echo "$ip $router $dns $hostname"
`;
/** Cards of each guest, in this order: a network of its own, the switch, the cable. Named by their addresses, whatever Linux calls them. */
const CARDS = ['user', 'lan', 'cable'] as const;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

interface Kind {
  readonly name: string;
  readonly emulated: boolean;
  /** Debian's cloud kernel has no driver for the RTL8139. */
  readonly kernel: string;
  readonly module: string;
  /** The fifth byte of its cards' addresses, and the host's part of its IP addresses. */
  readonly number: number;
}

const KINDS: readonly Kind[] = [
  { name: 'a PV network card', emulated: false, kernel: 'linux-image-cloud-amd64', module: 'xen-netfront', number: 1 },
  { name: 'an emulated network card', emulated: true, kernel: 'linux-image-amd64', module: '8139too', number: 2 },
];

const macOf = ({ number }: Kind, card: number): string => `00:16:3e:12:0${number}:0${card}`;

/** A port of the loopback that is free now. */
async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Frames of a capture in libpcap's format that were sent by a card, and that it was sent. */
function countFrames(pcap: Buffer, mac: string): { readonly sent: number; readonly received: number } {
  const address = Buffer.from(mac.replaceAll(':', ''), 'hex');
  let [sent, received] = [0, 0];
  for (let at = 24; at + 16 <= pcap.length; at += 16 + pcap.readUInt32LE(at + 8)) {
    const frame = pcap.subarray(at + 16, at + 16 + pcap.readUInt32LE(at + 8));
    if (frame.subarray(6, 12).equals(address)) sent++;
    else if (frame.subarray(0, 6).equals(address)) received++;
  }
  return { sent, received };
}

const parts = await Promise.all(KINDS.map(({ kernel }) => xenGuestParts(kernel)));

describe.skipIf(parts.includes(undefined))('guests with network cards', { timeout: 2 * BOOT_TIME }, () => {
  const contents = new Uint8Array(randomBytes(MIB));
  const lan = new Switch();
  const guests: XenGuest[] = [];
  const forwarded: number[] = [];
  let directory: string;
  let web: Server;
  let port = 0;
  const sh = ({ number }: Kind, command: string): Promise<string> =>
    (guests[number - 1] as XenGuest).sh(command, { timeout: 90_000 });

  async function boot(kind: Kind): Promise<XenGuest> {
    const { emulated, module, number } = kind;
    const own = parts[number - 1];
    if (own === undefined) throw new Error('without packages nothing runs');
    forwarded[number - 1] = await freePort();
    const vifs: VifConfig[] = [
      {
        hostname: 'web',
        allowHostLoopback: true,
        forwards: [`tcp:127.0.0.1:${forwarded[number - 1]}-:7`],
        pcap: join(directory, `${number}.pcap`),
      },
      { sink: lan.port() },
      { link: { kind: 'socket', role: number === 1 ? 'listen' : 'connect', address: { path: join(directory, 'cable') } } },
    ];
    const guest = await XenGuest.boot(own, {
      ...(emulated && { type: 'hvm', commandLine: 'xen_emul_unplug=never' }),
      files: [...(await kernelModuleFiles(own, [module], 'net')), cpioFile('net/lease', LEASE, 0o755)],
      vifs: vifs.map((vif, card) => ({ mac: macOf(kind, card), ...vif })),
    });
    guests[number - 1] = guest;
    await sh(kind, 'for m in $(cd /net; ls *.ko | sort -n); do insmod /net/$m || exit 1; done');
    for (const [card, name] of CARDS.entries()) {
      const found = `$(dirname $(grep -l ${macOf(kind, card)} /sys/class/net/*/address))`;
      await sh(kind, `until ip link set $(basename ${found}) name ${name} 2>/dev/null; do sleep 0.1; done`);
    }
    await sh(kind, 'ip link set lo up; for c in user lan cable; do ip link set $c up; done');
    await sh(kind, `ip addr add 192.168.7.${number}/24 dev lan; ip addr add 192.168.8.${number}/24 dev cable`);
    return guest;
  }

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'dom1-network-'));
    web = createServer((request, response) => {
      if (request.method !== 'POST') return void response.end(contents);
      const hash = createHash('sha256');
      request.on('data', (piece: Uint8Array) => void hash.update(piece)).on('end', () => response.end(hash.digest('hex')));
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => web.once('listening', resolve));
    ({ port } = web.address() as AddressInfo);
    // One after the other: the second connects where the first listens.
    for (const kind of KINDS) await boot(kind);
  }, 3 * BOOT_TIME);
  afterAll(async () => {
    for (const guest of guests) await guest?.[Symbol.asyncDispose]();
    web?.close();
    await rm(directory, { recursive: true, force: true });
  });

  describe.each(KINDS)('$name', (kind) => {
    it('has the address it was given, and gets one by DHCP', async () => {
      expect(await sh(kind, 'cat /sys/class/net/user/address /sys/class/net/user/carrier')).toBe(`${macOf(kind, 0)}\n1`);
      expect(await sh(kind, 'udhcpc -i user -n -q -s /net/lease 2>/dev/null')).toContain('10.0.2.15 10.0.2.2 10.0.2.3 web');
    });

    it('reaches its gateway', async () => {
      expect(await sh(kind, 'ping -c 2 10.0.2.2')).toContain('2 packets received');
    });

    it('fetches over many connections at a time what the host has', async () => {
      const fetch = `wget -q -O - http://10.0.2.2:${port}/ | sha256sum`;
      await sh(kind, `for i in $(seq ${TRANSFERS}); do ${fetch} > /tmp/sum.$i & done; wait`);
      expect(await sh(kind, "cat /tmp/sum.* | sort | uniq -c | sed 's/^ *//'")).toBe(`${TRANSFERS} ${sha256(contents)}  -`);
    });

    it('sends the host what the host receives', async () => {
      // busybox's wget posts text.
      await sh(kind, 'dd if=/dev/urandom bs=1M count=2 2>/dev/null | base64 > /tmp/upload');
      const sum = await sh(kind, "sha256sum < /tmp/upload | cut -d ' ' -f 1");
      expect(await sh(kind, `wget -q -O - --post-file=/tmp/upload http://10.0.2.2:${port}/`)).toBe(sum);
    });

    it('is reached through a forwarded port', async () => {
      await sh(kind, 'nc -l -p 7 -e cat > /dev/null 2>&1 & sleep 0.5');
      const echoed = await new Promise<Buffer>((resolve, reject) => {
        const pieces: Buffer[] = [];
        const socket = connect(forwarded[kind.number - 1] as number, '127.0.0.1', () => socket.end(contents));
        socket.on('data', (piece) => void pieces.push(piece)).on('error', reject);
        socket.on('end', () => resolve(Buffer.concat(pieces)));
      });
      expect(sha256(echoed)).toBe(sha256(contents));
    });

    it('exchanges frames of full size with the other at a switch and over a cable', async () => {
      const other = 3 - kind.number;
      // 1500 bytes less 28 of headers go into one frame.
      for (const net of [7, 8])
        expect(await sh(kind, `ping -c 2 -s 1472 192.168.${net}.${other}`)).toContain('2 packets received');
      expect(await sh(kind, "awk '/^Ip:/ { print $NF }' /proc/net/snmp | tail -n 1")).toBe('0');
      await sh(kind, 'pidof httpd > /dev/null || httpd -h /tmp');
      const sum = await sh(kind, 'sha256sum < /tmp/upload');
      const peer = KINDS[other - 1] as Kind;
      for (const net of [7, 8])
        expect(await sh(peer, `wget -q -O - http://192.168.${net}.${kind.number}/upload | sha256sum`)).toBe(sum);
    });

    it('is captured', async () => {
      const { received, sent } = countFrames(await readFile(join(directory, `${kind.number}.pcap`)), macOf(kind, 0));
      // At least what was fetched, and what was sent.
      expect(received).toBeGreaterThan((TRANSFERS * MIB) / 65_536);
      expect(sent).toBeGreaterThan((2 * MIB) / 65_536);
    });

    it('has lost nothing', async () => {
      const files = CARDS.map(
        (card) => `/sys/class/net/${card}/statistics/rx_errors /sys/class/net/${card}/statistics/tx_errors`,
      );
      expect(await sh(kind, `cat ${files.join(' ')} | sort -u`)).toBe('0');
      expect(lan.inspect().map(({ dropped }) => dropped)).toEqual([0, 0]);
    });

    it.runIf(kind.emulated)('has the link that the chip says', async () => {
      expect(await sh(kind, 'cat /sys/class/net/user/speed /sys/class/net/user/duplex')).toBe('100\nfull');
      expect(await sh(kind, 'dmesg | grep 8139too')).toContain('RealTek RTL8139');
    });
  });

  it('a PV card is kept over a suspend as if restored, and over driver reloads', async () => {
    const kind = KINDS[0] as Kind;
    const { domain } = guests[kind.number - 1] as XenGuest;
    const reached = 'for i in 1 2 3 4 5; do ping -c 1 -W 10 10.0.2.2 && exit; sleep 1; done; exit 1';
    const suspended = expect.poll(() => domain.state, { timeout: 20_000 }).toBe('suspended');
    domain.shutdown('suspend');
    await suspended;
    await domain.resume();
    expect(await sh(kind, `( ${reached} )`)).toContain('1 packets received');
    for (let time = 0; time < 5; time++)
      await sh(
        kind,
        'for c in user lan cable; do ip link set $c down 2>/dev/null; done; for i in 0 1 2; do echo vif-$i > /sys/bus/xen/drivers/vif/unbind; done; rmmod xen_netfront && insmod /net/*-xen-netfront.ko && until grep -l 12:01:00 /sys/class/net/*/address; do sleep 0.1; done',
      );
    const named = `ip link set $(basename $(dirname $(grep -l ${macOf(kind, 0)} /sys/class/net/*/address))) name user`;
    await sh(kind, `until ${named} && ip link set user up; do sleep 0.1; done 2>/dev/null`);
    expect(await sh(kind, 'udhcpc -i user -n -q -s /net/lease 2>/dev/null')).toContain('10.0.2.15');
    expect(await sh(kind, `( ${reached} )`)).toContain('1 packets received');
  });

  it.each(KINDS)('$name has nothing to complain of', async (kind) => {
    expect(complaints(await sh(kind, 'dmesg')).filter((line) => !line.includes('MMCONFIG'))).toEqual([]);
  });
});
