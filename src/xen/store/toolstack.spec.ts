import { expect, it } from 'vitest';
import { WireClient } from './fixtures/wire-client.ts';
import { formatStore } from './format-store.ts';
import { inspectStore } from './inspect-store.ts';
import { XenStore } from './store.ts';
import { StoreClient } from './store-client.ts';
import { type IntroduceDomainOptions, introduceDomain, releaseDomain, requestShutdown } from './toolstack.ts';

const OPTIONS: IntroduceDomainOptions = {
  domid: 7,
  uuid: Uint8Array.from({ length: 16 }, (_, i) => i),
  name: 'guest',
  staticMaxKiB: 131072,
  targetKiB: 65536,
  vcpus: 1,
  maxVcpus: 2,
  store: { port: 1, gfn: 0xfeffc },
  console: { port: 2, gfn: 0xfefff },
  startTime: 1700000000.5,
};

// From libxl's source, see toolstack.ts; in the form of xenstore-ls -fp, without the directory in front.
const DOMAIN = `
vm = "/vm/00010203-0405-0607-0809-0a0b0c0d0e0f"   (n0,r7)
name = "guest"   (n0,r7)
cpu = ""   (n0,r7)
cpu/0 = ""   (n0,r7)
cpu/0/availability = "online"   (n0,r7)
cpu/1 = ""   (n0,r7)
cpu/1/availability = "offline"   (n0,r7)
memory = ""   (n0,r7)
memory/static-max = "131072"   (n0,r7)
memory/target = "65536"   (n0,r7)
memory/videoram = "0"   (n0,r7)
device = ""   (n0,r7)
device/suspend = ""   (n0,r7)
device/suspend/event-channel = ""   (n7)
control = ""   (n0,r7)
control/shutdown = ""   (n7)
control/feature-poweroff = ""   (n7)
control/feature-reboot = ""   (n7)
control/feature-suspend = ""   (n7)
control/sysrq = ""   (n7)
control/platform-feature-multiprocessor-suspend = "1"   (n0,r7)
control/platform-feature-xs_reset_watches = "1"   (n0,r7)
data = ""   (n7)
drivers = ""   (n7)
feature = ""   (n7)
attr = ""   (n7)
error = ""   (n7)
domid = "7"   (n0,r7)
store = ""   (n0,r7)
store/port = "1"   (n0,r7)
store/ring-ref = "1044476"   (n0,r7)
console = ""   (n0,r7)
console/backend = "/local/domain/0/backend/console/7/0"   (n0,r7)
console/backend-id = "0"   (n7,r0)
console/limit = "1048576"   (n0,r7)
console/type = "xenconsoled"   (n0,r7)
console/output = "pty"   (n0,r7)
console/tty = ""   (n0,r7)
console/port = "2"   (n0,r7)
console/ring-ref = "1044479"   (n0,r7)
`;

const flat = (store: XenStore, path: string) =>
  `\n${formatStore(store, { path, flat: true, permissions: true }).replaceAll(new RegExp(`^${path}/`, 'gm'), '')}`;

it('makes the nodes of a PVH domain as libxl does', () => {
  const store = new XenStore();
  introduceDomain(store, OPTIONS);
  expect(flat(store, '/local/domain/7')).toBe(DOMAIN);
  expect(flat(store, '/vm')).toBe(`
00010203-0405-0607-0809-0a0b0c0d0e0f = ""   (n0,r7)
00010203-0405-0607-0809-0a0b0c0d0e0f/uuid = "00010203-0405-0607-0809-0a0b0c0d0e0f"   (n0,r7)
00010203-0405-0607-0809-0a0b0c0d0e0f/name = "guest"   (n0,r7)
00010203-0405-0607-0809-0a0b0c0d0e0f/start_time = "1700000000.50"   (n0,r7)
`);
  expect(flat(store, '/libxl/7').split('\n').slice(1, 4)).toEqual([
    'device = ""   (n0)',
    'device/console = ""   (n0)',
    'device/console/0 = ""   (n0)',
  ]);
  expect(new StoreClient(store).read('/libxl/7/type')).toBe('pvh');
  expect(flat(store, '/local/domain/0/backend/console')).toBe(`
7 = ""   (n0)
7/0 = ""   (n0,r7)
7/0/frontend = "/local/domain/7/console"   (n0,r7)
7/0/frontend-id = "7"   (n0,r7)
7/0/online = "1"   (n0,r7)
7/0/state = "1"   (n0,r7)
7/0/protocol = "vt100"   (n0,r7)
`);
});

it('gives an HVM domain what hvmloader and S3 need', () => {
  const store = new XenStore();
  introduceDomain(store, { ...OPTIONS, type: 'hvm', extra: { 'hvmloader/bios': 'seabios' } });
  const client = new StoreClient(store);
  expect(client.list('/local/domain/7/platform')).toEqual(['acpi', 'acpi_s3', 'acpi_s4', 'acpi_laptop_slate']);
  expect(client.read('/local/domain/7/hvmloader/bios')).toBe('seabios');
  expect(client.permissions('/local/domain/7/control/feature-s3')).toEqual([{ domid: 7, access: 0 }]);
});

it('lets the guest read all of it, and write what is its own', () => {
  const store = new XenStore();
  introduceDomain(store, OPTIONS);
  const guest = new WireClient(store, 7);
  expect(guest.call('READ', 'name\0')).toBe('guest');
  expect(guest.call('DIRECTORY', 'device\0')).toBe('suspend\0');
  expect(guest.call('READ', 'vm\0')).toBe('/vm/00010203-0405-0607-0809-0a0b0c0d0e0f');
  expect(guest.call('READ', '/vm/00010203-0405-0607-0809-0a0b0c0d0e0f/uuid\0')).toBe('00010203-0405-0607-0809-0a0b0c0d0e0f');
  for (const path of ['control/feature-suspend', 'data/x', 'error/device', 'attr/os/class'])
    expect(guest.call('WRITE', `${path}\x001`)).toBe('OK\0');
  for (const path of ['name', 'memory/target', 'control/new', 'device/vbd', '/libxl/7/type', 'console/ring-ref'])
    expect(guest.call('WRITE', `${path}\0x`)).toBe('EACCES');
  expect(guest.call('READ', '/libxl/7/type\0')).toBe('EACCES');
});

it('announces the domain when its nodes are there, and again when they are gone', async () => {
  const store = new XenStore();
  const zero = new WireClient(store, 0);
  zero.call('WATCH', '@introduceDomain\0i\0');
  zero.call('WATCH', '@releaseDomain\0r\0');
  zero.drain();
  introduceDomain(store, OPTIONS);
  expect(zero.drain()).toEqual(['@introduceDomain i']);
  releaseDomain(store, 7);
  expect(zero.drain()).toEqual(['@releaseDomain r']);
  const client = new StoreClient(store);
  expect([
    client.list('/vm'),
    client.list('/libxl'),
    client.list('/local/domain'),
    client.list('/local/domain/0/backend'),
  ]).toEqual([[], [], ['0'], []]);
  expect([...store.domains].map(({ domid, nodes }) => [domid, nodes > 0])).toEqual([[0, true]]);
});

it('replaces what an earlier domain of that number left', () => {
  const store = new XenStore();
  introduceDomain(store, OPTIONS);
  new StoreClient(store).write('/local/domain/7/data/old', 1);
  introduceDomain(store, { ...OPTIONS, name: 'again' });
  expect(new StoreClient(store).list('/local/domain/7/data')).toEqual([]);
  expect(new StoreClient(store).read('/local/domain/7/name')).toBe('again');
});

it('asks for a shutdown where the guest looks', () => {
  const store = new XenStore();
  introduceDomain(store, OPTIONS);
  const guest = new WireClient(store, 7);
  guest.call('WATCH', 'control/shutdown\0s\0');
  guest.drain();
  requestShutdown(store, 7, 'reboot');
  expect(guest.drain()).toEqual(['control/shutdown s']);
  expect(guest.call('READ', 'control/shutdown\0')).toBe('reboot');
  expect(guest.call('WRITE', 'control/shutdown\0')).toBe('OK\0');
});

it('can be inspected', () => {
  const store = new XenStore();
  introduceDomain(store, OPTIONS);
  const guest = new WireClient(store, 7);
  guest.call('WATCH', 'data\0t\0');
  guest.begin();
  const { tree, special, domains } = inspectStore(store);
  expect(tree.children['local']?.children['domain']?.children['7']?.children['name']).toMatchObject({
    value: 'guest',
    permissions: 'n0,r7',
  });
  expect(Object.keys(special)).toEqual(['@introduceDomain', '@releaseDomain']);
  expect(domains[1]).toMatchObject({
    domid: 7,
    introduced: true,
    connections: [{ queued: 0, watches: [{ path: '/local/domain/7/data', token: 't' }], transactions: [1] }],
  });
  expect(() => JSON.stringify(domains)).not.toThrow();
});
