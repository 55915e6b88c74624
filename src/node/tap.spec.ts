// Linux itself as the guest: a tap device in a network namespace, with the user mode network at the other end. Needs root.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { type FrameOffloads, NO_OFFLOADS } from '../io/frame-sink.ts';
import { UserNetwork } from '../net/user/user-network.ts';
import { EventLoopClock } from '../time/event-loop-clock.ts';
import { NodeSockets } from './node-sockets.ts';
import { Tap, TapError } from './tap.ts';

const BYTES = 8 * 1024 * 1024;
const NAME = `d1t${process.pid % 100_000}`;

/** Namespaces, tap devices and the tools, or undefined. */
function openTap(): Tap | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || !existsSync('/dev/net/tun')) return undefined;
  try {
    execFileSync('unshare', ['-n', 'ip', 'link'], { stdio: 'ignore' });
    execFileSync('python3', ['-V'], { stdio: 'ignore' });
    return Tap.open(NAME);
  } catch {
    return undefined;
  }
}

/** A client in Python: what the guest would run. */
const CLIENT = `
import hashlib, os, socket, sys
port = int(sys.argv[1])
for host in sys.argv[2:]:
    s = socket.create_connection((host, port), timeout=20)
    sent, got = hashlib.sha1(), hashlib.sha1()
    for _ in range(8):
        part = os.urandom(1 << 20)
        sent.update(part)
        s.sendall(part)
    s.shutdown(socket.SHUT_WR)
    said = b''
    while len(said) < 40: said += s.recv(40 - len(said))
    assert said.decode() == sent.hexdigest(), 'what arrived at the host differs'
    while True:
        part = s.recv(262144)
        if not part: break
        got.update(part)
    print(got.hexdigest(), flush=True)
`;

async function throughLinux(tap: Tap, offloads: FrameOffloads | undefined): Promise<{ answers: string[]; expected: string }> {
  const data = randomBytes(BYTES);
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash('sha1');
    socket.on('data', (chunk) => hash.update(chunk));
    socket.on('end', () => {
      socket.write(hash.digest('hex'));
      socket.end(data);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '::1', resolve));
  const { port } = server.address() as AddressInfo;
  const server4 = createServer({ allowHalfOpen: true }, (socket) => server.emit('connection', socket));
  await new Promise<void>((resolve) => server4.listen(port, '127.0.0.1', resolve));
  const clock = new EventLoopClock();
  const host = { sockets: new NodeSockets(), clock, random: () => randomBytes(4).readUInt32LE() };
  const network = await UserNetwork.open(host, { allowHostLoopback: true });
  const quiet = { writable: () => {}, linkChanged: () => {} };
  tap.attach({ ...quiet, offloads: offloads ?? network.offloads, receive: (frame) => network.send(frame) });
  network.attach({ ...quiet, offloads: offloads ?? tap.offloads, receive: (frame) => tap.send(frame) });
  const namespace: ChildProcess = spawn('unshare', ['-n', 'sleep', '60']);
  try {
    await new Promise((resolve) => setTimeout(resolve, 300));
    execFileSync('ip', ['link', 'set', NAME, 'netns', String(namespace.pid)]);
    const setUp = `ip link set lo up; ip addr add 10.0.2.15/24 dev ${NAME}; ip link set ${NAME} up; sleep 3`;
    const inside = (...command: string[]) =>
      spawn('nsenter', ['-t', String(namespace.pid), '-n', ...command], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => inside('sh', '-c', setUp).once('exit', resolve));
    const client = inside('python3', '-c', CLIENT, String(port), '10.0.2.2', 'fec0::2');
    let text = '';
    client.stdout?.on('data', (chunk) => {
      text += chunk;
    });
    await new Promise((resolve) => client.once('close', resolve));
    return { answers: text.split('\n').filter((line) => line !== ''), expected: createHash('sha1').update(data).digest('hex') };
  } finally {
    namespace.kill();
    await network.close();
    await tap.close();
    clock.close();
    server.close();
    server4.close();
  }
}

const first = openTap();

describe('a tap device', () => {
  it.skipIf(first === undefined)(
    'lets the TCP of Linux talk to ours over both IP versions, with large segments',
    { timeout: 60_000 },
    async () => {
      const { answers, expected } = await throughLinux(first!, undefined);
      expect(answers).toEqual([expected, expected]);
    },
  );

  it.skipIf(first === undefined)('and without any offload', { timeout: 60_000 }, async () => {
    const { answers, expected } = await throughLinux(Tap.open(NAME), NO_OFFLOADS);
    expect(answers).toEqual([expected, expected]);
  });

  it('with a name that cannot be is refused', () => {
    expect(() => Tap.open('a/b')).toThrow(TapError);
  });
});
