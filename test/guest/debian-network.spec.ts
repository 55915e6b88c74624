// Debian's network stack and tools over a PV card in a network in user mode.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createSocket, type Socket as DgramSocket } from 'node:dgram';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UserNetwork } from '../../src/net/user/user-network.ts';
import { fetchBusybox, readKernelModules } from '../../src/node/guest-parts.ts';
import { NodeSockets } from '../../src/node/node-sockets.ts';
import { EventLoopClock } from '../../src/time/event-loop-clock.ts';
import { DebianGuest, LOGIN_TIME } from './debian-root/debian-guest.ts';
import { debianRoot } from './debian-root/debian-root.ts';
import { requireTools } from './debian-root/require-tools.ts';

const MIB = 1 << 20;
const TRANSFERS = 200;
const UPLOADS = 20;
const RELOADS = 10;
const root = await debianRoot();
const run = promisify(execFile);
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
/** Addresses that the test's name server answers with. */
const [A, AAAA] = ['192.0.2.77', '2001:db8::77'];

/** A port of the loopback that is free now. */
async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** What iperf3 measured, and the slowest of its intervals. */
interface Throughput {
  readonly megabits: number;
  readonly slowestMegabits: number;
  readonly lostPercent: number;
}

interface IperfReport {
  readonly error?: string;
  readonly intervals: readonly { readonly sum: { readonly bits_per_second: number; readonly seconds: number } }[];
  readonly end: {
    readonly sum_received?: { readonly bits_per_second: number };
    readonly sum?: { readonly bits_per_second: number; readonly lost_percent: number };
  };
}

function throughput(json: string, title: string): Throughput {
  const report = JSON.parse(json) as IperfReport;
  expect(report.error).toBeUndefined();
  // The last one is what was left.
  const rates = report.intervals.filter(({ sum }) => sum.seconds > 0.5).map(({ sum }) => sum.bits_per_second);
  const megabits = (report.end.sum ?? report.end.sum_received)!.bits_per_second / 1e6;
  const found = { megabits, slowestMegabits: Math.min(...rates) / 1e6, lostPercent: report.end.sum?.lost_percent ?? 0 };
  console.log(
    `${title}: ${JSON.stringify(found, (_, value) => (typeof value === 'number' ? Math.round(value * 10) / 10 : value))}`,
  );
  return found;
}

/** Answers every question for A and AAAA. */
async function nameServer(): Promise<{ readonly socket: DgramSocket; readonly port: number; readonly asked: Set<string> }> {
  const socket = createSocket('udp4');
  const asked = new Set<string>();
  socket.on('message', (query, from) => {
    let at = 12;
    const labels: string[] = [];
    for (let length = query[at]!; length > 0; length = query[at]!) {
      labels.push(query.toString('latin1', at + 1, at + 1 + length));
      at += 1 + length;
    }
    const type = query.readUInt16BE(at + 1);
    asked.add(`${labels.join('.')} ${type}`);
    const data =
      type === 1 ? [192, 0, 2, 77] : type === 28 ? [0x20, 1, 0xd, 0xb8, ...new Array<number>(11).fill(0), 0x77] : undefined;
    const head = Buffer.from(query.subarray(0, at + 5));
    head.set([0x81, 0x80, 0, 1, 0, data === undefined ? 0 : 1, 0, 0, 0, 0], 2);
    const answer = data === undefined ? [] : [0xc0, 12, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length, ...data];
    socket.send(Buffer.concat([head, Buffer.from(answer)]), from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  return { socket, port: socket.address().port, asked };
}

describe('Debian on a PV network card', { timeout: LOGIN_TIME }, () => {
  const contents = randomBytes(MIB);
  let busybox: Uint8Array;
  let folder: string;
  let guest: DebianGuest;
  let web: Server;
  let dns: Awaited<ReturnType<typeof nameServer>>;
  let [webPort, sshPort, iperfPort] = [0, 0, 0];
  const sh = (command: string, timeout = 90_000): Promise<string> => guest.sh(command, { timeout });

  beforeAll(async () => {
    requireTools('iperf3', 'ssh');
    busybox = await readFile(await fetchBusybox());
    folder = await mkdtemp(join(tmpdir(), 'dom1-network-'));
    web = createServer((request, response) => {
      if (request.method !== 'POST') return void response.end(request.url === '/busybox' ? busybox : contents);
      const hash = createHash('sha256');
      request.on('data', (piece: Uint8Array) => void hash.update(piece)).on('end', () => response.end(hash.digest('hex')));
    }).listen({ host: '127.0.0.1', port: 0, backlog: 2 * TRANSFERS });
    await new Promise((resolve) => web.once('listening', resolve));
    webPort = (web.address() as AddressInfo).port;
    dns = await nameServer();
    [sshPort, iperfPort] = [await freePort(), await freePort()];
    const sockets = new NodeSockets({ resolvers: [{ address: '127.0.0.1', port: dns.port }] });
    const network = await UserNetwork.open(
      { sockets, clock: new EventLoopClock(), random: () => randomBytes(4).readUInt32LE() },
      {
        allowHostLoopback: true,
        forwards: [`tcp:127.0.0.1:${sshPort}-:22`, ...['tcp', 'udp'].map((kind) => `${kind}:127.0.0.1:${iperfPort}-:5201`)],
      },
    );
    const disk = { path: root.raw, format: 'raw', snapshot: true } as const;
    guest = await DebianGuest.boot({ root: disk, vifs: [{ sink: network }] });
    await sh('until ip -4 -o addr show dev eth0 | grep -q inet; do sleep 0.2; done');
  }, 2 * LOGIN_TIME);
  afterAll(async () => {
    await guest?.[Symbol.asyncDispose]();
    web?.close();
    dns?.socket.close();
    await rm(folder, { recursive: true, force: true });
  }, LOGIN_TIME);

  /** iperf3's server on the host, for one client of the guest's; gives what the host measured. */
  async function fromGuest(words: string, title: string): Promise<Throughput> {
    const port = await freePort();
    const server: ChildProcess = spawn('iperf3', ['-s', '-1', '-J', '-B', '127.0.0.1', '-p', String(port)]);
    let json = '';
    server.stdout!.setEncoding('utf8').on('data', (text: string) => (json += text));
    const ended = new Promise((resolve) => server.once('close', resolve));
    try {
      await sh(`until iperf3 -c 10.0.2.2 -p ${port} ${words} > /tmp/iperf 2>&1; do sleep 0.5; cat /tmp/iperf; done`);
      await ended;
    } finally {
      server.kill();
    }
    return throughput(json, title);
  }

  async function fromHost(words: readonly string[], title: string): Promise<Throughput> {
    const { stdout } = await run('iperf3', ['-c', '127.0.0.1', '-p', String(iperfPort), '-J', ...words]);
    return throughput(stdout, title);
  }

  const secureShell = [
    '-i',
    root.sshKey,
    '-o',
    'StrictHostKeyChecking=no',
    '-o',
    'UserKnownHostsFile=/dev/null',
    '-o',
    'LogLevel=ERROR',
  ];
  const ssh = async (command: string): Promise<string> =>
    (await run('ssh', [...secureShell, '-p', String(sshPort), 'root@127.0.0.1', command])).stdout.trimEnd();

  it('has an address by DHCP, and names by the relay', async () => {
    expect(await sh('ip -4 -o addr show dev eth0')).toContain('10.0.2.15/24');
    expect(await sh('cat /etc/resolv.conf')).toContain('nameserver 10.0.2.3');
    expect(await sh('getent ahostsv4 four.dom1.test | head -n 1')).toMatch(new RegExp(`^${A} `));
    expect(await sh('getent ahostsv6 six.dom1.test | head -n 1')).toMatch(new RegExp(`^${AAAA} `));
    expect([...dns.asked]).toEqual(expect.arrayContaining(['four.dom1.test 1', 'six.dom1.test 28']));
  });

  it('carries TCP and UDP to the host and from it without a stall', async () => {
    const tcp = [
      await fromGuest('-t 2', 'TCP, guest to host'),
      await fromGuest('-t 2 -R', 'TCP, host to guest'),
      await fromGuest('-t 2 -P 8', 'TCP, guest to host, 8 connections'),
    ];
    await sh('iperf3 -s -D && until ss -ltn | grep -q :5201; do sleep 0.1; done');
    tcp.push(await fromHost(['-t', '2'], 'TCP, host to forwarded port'));
    tcp.push(await fromHost(['-t', '2', '-R'], 'TCP, forwarded port to host'));
    for (const { slowestMegabits } of tcp) expect(slowestMegabits).toBeGreaterThan(0);
    const udp = [
      await fromGuest('-t 2 -u -b 10M', 'UDP, guest to host'),
      await fromHost(['-t', '2', '-u', '-b', '10M'], 'UDP, host to forwarded port'),
    ];
    for (const { slowestMegabits, lostPercent } of udp) {
      expect(slowestMegabits).toBeGreaterThan(0);
      expect(lostPercent).toBeLessThan(50);
    }
  });

  it(`fetches ${TRANSFERS} files at a time, and sends some`, async () => {
    // busybox has no libraries to load, and comparing costs less than hashing.
    await sh(`wget -q -O /tmp/busybox http://10.0.2.2:${webPort}/busybox && chmod +x /tmp/busybox`);
    await sh(`wget -q -O /tmp/contents http://10.0.2.2:${webPort}/`);
    const fetch = `/tmp/busybox wget -q -O - http://10.0.2.2:${webPort}/% | cmp - /tmp/contents && echo equal`;
    expect(
      await sh(
        `sha256sum < /tmp/contents; seq ${TRANSFERS} | xargs -P ${TRANSFERS} -I % sh -c '${fetch}' | sort | uniq -c`,
        LOGIN_TIME,
      ),
    ).toMatch(new RegExp(`^${sha256(contents)}  -\\s+${TRANSFERS} equal$`));
    // A line of its own for each, written at once.
    const send = `echo $(wget -q -O - --post-file=/tmp/contents http://10.0.2.2:${webPort}/)`;
    expect(await sh(`seq ${UPLOADS} | xargs -P ${UPLOADS} -I % sh -c '${send}' | sort | uniq -c`, LOGIN_TIME)).toMatch(
      new RegExp(`^\\s*${UPLOADS} ${sha256(contents)}$`),
    );
  });

  it('takes ssh through a forwarded port: a command, files both ways, ten sessions', async () => {
    // On a busy host ten key exchanges may take longer than the two minutes that a login may take.
    await sh("printf 'LoginGraceTime 0\\nMaxStartups 100\\n' > /etc/ssh/sshd_config.d/patient.conf; systemctl restart ssh");
    expect(await ssh('uname -s; cat /sys/hypervisor/type')).toBe('Linux\nxen');
    const file = randomBytes(8 * MIB);
    await writeFile(join(folder, 'in'), file);
    const remote = 'root@127.0.0.1:/root/file';
    await run('scp', [...secureShell, '-q', '-P', String(sshPort), join(folder, 'in'), remote]);
    expect(await ssh('sha256sum < /root/file')).toBe(`${sha256(file)}  -`);
    await run('scp', [...secureShell, '-q', '-P', String(sshPort), remote, join(folder, 'out')]);
    expect(sha256(await readFile(join(folder, 'out')))).toBe(sha256(file));
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => ssh(`head -c 1000000 /root/file | sha256sum; echo ${i}`)),
    );
    expect(answers).toEqual(Array.from({ length: 10 }, (_, i) => `${sha256(file.subarray(0, 1_000_000))}  -\n${i}`));
  });

  it(`survives ${RELOADS} unbindings and ${RELOADS} reloads of its driver, and leaves nothing behind`, async () => {
    const [module] = await readKernelModules(guest.kernel, ['xen-netfront']);
    await writeFile(join(folder, 'xen-netfront.ko'), module!.data);
    await run('scp', [...secureShell, '-q', '-P', String(sshPort), join(folder, 'xen-netfront.ko'), 'root@127.0.0.1:/root/']);
    const used = () => {
      const { domain } = guest;
      return { ports: domain.eventChannels().length, vifs: domain.devices.list().filter(({ type }) => type === 'vif').length };
    };
    const before = used();
    const comeBack =
      'until [ -d /sys/class/net/eth0 ] && [ "$(cat /sys/bus/xen/devices/vif-0/xenbus_state 2>/dev/null || echo Connected)" = Connected ]; do sleep 0.05; done';
    await sh(
      `ifdown eth0 > /dev/null 2>&1; cd /sys/bus/xen/drivers/vif; for i in $(seq ${RELOADS}); do echo vif-0 > unbind; echo vif-0 > bind; ${comeBack}; done; cd /`,
      LOGIN_TIME,
    );
    // A driver that has a device is in use (xenbus_dev_probe takes a reference).
    await sh(
      `for i in $(seq ${RELOADS}); do echo vif-0 > /sys/bus/xen/drivers/vif/unbind; rmmod xen_netfront && insmod /root/xen-netfront.ko || break; ${comeBack}; done; [ $i = ${RELOADS} ] && lsmod | grep -q xen_netfront`,
      LOGIN_TIME,
    );
    await sh(
      'ifup --force eth0 > /tmp/ifup 2>&1 || ip link set eth0 up; until ip -4 -o addr show dev eth0 | grep -q inet; do sleep 0.2; done',
    );
    expect(await sh(`wget -q -O - http://10.0.2.2:${webPort}/ | sha256sum`)).toBe(`${sha256(contents)}  -`);
    await expect.poll(used).toEqual(before);
    expect((await sh('dmesg')).split('\n').filter((line) => /leak|BUG:|WARNING:|still in use|deferring/.test(line))).toEqual([]);
  });
});
