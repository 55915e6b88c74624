// Networks in user mode, dom1's under a PV card and QEMU's under virtio-net in turns: npm run bench:net -- [--runs n] [--seconds s]
// [--rows a,b] [--quick]
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { parseArgs } from 'node:util';
import './plain-errors.ts';
import { ioImage } from './guest-image.ts';
import { ioRuns } from './io-runs.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    rows: { type: 'string' },
    quick: { type: 'boolean', default: false },
    against: { type: 'string' },
    only: { type: 'string' },
  },
});
const runs = values.quick ? 1 : Number(values.runs);
const seconds = values.quick ? 1 : Number(values.seconds);
if (!(runs >= 1 && seconds > 0)) throw new RangeError('--runs is at least 1, --seconds more than 0');

const ALL = [
  { name: 'to-host', unit: 'MB/s' },
  { name: 'from-host', unit: 'MB/s' },
  { name: 'to-host-8', unit: 'MB/s' },
  { name: 'from-host-8', unit: 'MB/s' },
  { name: 'forwarded', unit: 'MB/s' },
  { name: 'round-trips', unit: 'operations/s' },
  { name: 'connections', unit: 'operations/s' },
];
const wanted = values.rows?.split(',');
const rows = ALL.filter(({ name }) => wanted?.includes(name) ?? true);
if (rows.length === 0) throw new RangeError(`the rows are ${ALL.map(({ name }) => name).join(' ')}`);

/** Where the guest listens. */
const GUEST_PORT = 7;
const piece = Buffer.alloc(256 * 1024, 'dom1');

/** Writes until the other end has enough. */
function give(socket: Socket): void {
  const more = (): void => {
    while (!socket.destroyed && socket.write(piece));
  };
  socket.on('drain', more).resume();
  more();
}

/** Serves one connection as guest/io.c describes. */
function serve(socket: Socket): void {
  socket.setNoDelay();
  socket.on('error', () => socket.destroy()); // the guest ends rows with a reset
  socket.once('data', (first) => {
    const rest = first.subarray(1);
    const kind = String.fromCharCode(first[0] ?? 0);
    if (kind === 'R') return give(socket);
    if (kind === 'S') return void socket.on('data', () => {}).on('end', () => socket.end('.'));
    if (rest.length > 0) socket.write(rest);
    socket.on('data', (bytes) => socket.write(bytes)).on('end', () => socket.end());
  });
}

const server = createServer({ allowHalfOpen: true }, serve).listen(0, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const { port } = server.address() as AddressInfo;
let hostPort = 0;
async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port: free } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  return free;
}

using image = await ioImage(
  rows.map(({ name }) => `/bench/io ${name} ${seconds} 10.0.2.2 ${name === 'forwarded' ? GUEST_PORT : port}`),
);
await ioRuns({
  kind: 'net',
  title: 'Networks in user mode',
  rows,
  runs,
  seconds,
  image,
  machine: async () => {
    hostPort = await freePort();
    return { commandLine: 'rdinit=/bench/init io_card=1', network: { hostPort, guestPort: GUEST_PORT } };
  },
  against: values.against,
  only: values.only,
  onListening: () => {
    const socket = connect(hostPort, '127.0.0.1', () => give(socket)).on('error', () => socket.destroy());
  },
});
server.close();
