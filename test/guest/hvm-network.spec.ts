// The emulated network card under Linux's own driver (8139too), in a network in user mode: the same as test/guest/network.spec.ts does with a
// PV card.
import { createHash, randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpioDirectory, cpioFile, writeCpio } from '../../src/image/cpio.ts';
import type { Domain } from '../../src/machine/domain.ts';
import { BOOT_TIME, dom1, guest } from './kernels.ts';
import { moduleFiles } from './xen-guest.ts';

const MIB = 1 << 20;
const TRANSFERS = 8;
const LEASE = `#!/bin/sh
[ -n "$ip" ] || exit 0
ip addr flush dev $interface
ip addr add $ip/$mask dev $interface
ip route add default via $router
echo "$ip $router $dns"
`;

// The cloud kernel has no driver for it.
const kernel = await guest('linux-image-amd64');
const modules = kernel === undefined ? [] : await moduleFiles(kernel, ['8139too', 'xen-netfront'], 'hvm-net', 'net');
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe.skipIf(kernel === undefined)('an emulated network card', { timeout: 2 * BOOT_TIME }, () => {
  const contents = randomBytes(MIB);
  let domain: Domain;
  let web: Server;
  let port = 0;
  const sh = async (command: string): Promise<string> => {
    const { output, status } = await domain.sh(command, { timeout: BOOT_TIME });
    expect(status, output).toBe(0);
    return output.trim();
  };

  beforeAll(async () => {
    if (kernel === undefined) return;
    web = createServer((request, response) => {
      if (request.method !== 'POST') return void response.end(contents);
      const hash = createHash('sha256');
      request.on('data', (piece: Uint8Array) => void hash.update(piece)).on('end', () => response.end(hash.digest('hex')));
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => web.once('listening', resolve));
    ({ port } = web.address() as AddressInfo);
    const files = writeCpio([
      cpioDirectory('net'),
      cpioFile('lease', LEASE, 0o755),
      ...modules.filter(({ path }) => path !== 'net'),
    ]);
    domain = await dom1.createDomain({
      type: 'hvm',
      memory: '256MiB',
      kernel: kernel.kernel,
      initrd: new Uint8Array(Buffer.concat([kernel.initrd, files])),
      commandLine: 'console=ttyS0 quiet cryptomgr.notests panic=-1 xen_emul_unplug=never',
      consoleType: 'serial',
      vifs: [{ mac: '00:16:3e:12:34:56', allowHostLoopback: true }],
    });
    domain.run();
    await sh('insmod /net/*-mii.ko; insmod /net/*-8139too.ko; ip link set lo up; ip link set eth0 up');
  }, BOOT_TIME);
  afterAll(async () => {
    await domain?.destroy();
    web?.close();
  });

  it('is found with its address, and has a link', async () => {
    expect(await sh('cat /sys/class/net/eth0/address')).toBe('00:16:3e:12:34:56');
    expect(await sh('cat /sys/class/net/eth0/carrier /sys/class/net/eth0/speed /sys/class/net/eth0/duplex')).toBe('1\n100\nfull');
    expect(await sh('dmesg | grep 8139too')).toContain('RealTek RTL8139');
  });

  it('gets an address, and reaches its gateway', async () => {
    expect(await sh('udhcpc -i eth0 -n -q -s /lease 2>/dev/null')).toContain('10.0.2.15 10.0.2.2 10.0.2.3');
    expect(await sh('ping -c 2 10.0.2.2')).toContain('2 packets received');
  });

  it('fetches over several connections at a time what the host has', async () => {
    await sh(`for i in $(seq ${TRANSFERS}); do wget -q -O - http://10.0.2.2:${port}/ | sha256sum > /tmp/sum.$i & done; wait`);
    expect(await sh("cat /tmp/sum.* | sort | uniq -c | sed 's/^ *//'")).toBe(`${TRANSFERS} ${sha256(contents)}  -`);
  });

  it('sends the host what the host receives', async () => {
    await sh('dd if=/dev/urandom bs=1M count=2 2>/dev/null | base64 > /tmp/upload');
    const sum = await sh("sha256sum < /tmp/upload | cut -d ' ' -f 1");
    expect(await sh(`wget -q -O - --post-file=/tmp/upload http://10.0.2.2:${port}/`)).toBe(sum);
    expect(await sh('cat /sys/class/net/eth0/statistics/rx_errors /sys/class/net/eth0/statistics/tx_errors')).toBe('0\n0');
  });
});
