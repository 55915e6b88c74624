// A drive's two sides over shared memory: what the board asks for, the I/O side reads and writes, whatever happens in between.
import { beforeEach, expect, it } from 'vitest';
import { DiskDevice } from '../../backends/block/disk-device.ts';
import { RamStore } from '../../io/ram-store.ts';
import { ArenaPlanner, allocateArena } from '../../memory/arena.ts';
import { GuestMemory, P2M_BYTES } from '../../memory/guest-memory.ts';
import { drivePlace, drivePlaces } from './drive-places.ts';
import { DrivePort } from './drive-port.ts';
import { DRIVE_BYTES, type DriveConfig, type DriveRequest } from './drive-region.ts';
import { DriveServer } from './drive-server.ts';

let store: RamStore;
let device: DiskDevice;
let port: DrivePort;
let server: DriveServer;
let posted: DriveRequest[];
let cdrom = false;

function connect(): void {
  const planner = new ArenaPlanner();
  const p2m = planner.reserve(P2M_BYTES);
  const config: DriveConfig = { place: 2, controller: 'ide', cdrom, region: planner.reserve(DRIVE_BYTES) };
  const memory = new GuestMemory(allocateArena(planner.size).buffer as unknown as SharedArrayBuffer, p2m.at);
  posted = [];
  store = new RamStore(1 << 20);
  device = new DiskDevice({ vdev: 'hdc', store, cdrom });
  port = new DrivePort(config, memory, (request) => posted.push(request));
  server = new DriveServer({
    memory,
    drives: [{ config, device }],
    mail: (place, ok) => {
      expect(place).toBe(2);
      queueMicrotask(() => port.answered(ok));
      return true;
    },
  });
}
beforeEach(() => {
  cdrom = false;
  connect();
});

/** Carries over what was posted so far. */
const serve = (): void => {
  for (const request of posted.splice(0)) server.request(request);
};
const read = (sector: number, count: number): Promise<Uint8Array | undefined> =>
  new Promise((resolve) => {
    port.read(sector, count, (bytes) => resolve(bytes?.slice()));
    serve();
  });
const write = (sector: number, bytes: Uint8Array): Promise<boolean> =>
  new Promise((resolve) => {
    port.write(sector, bytes, resolve);
    serve();
  });

it('shows the medium, and moves sectors both ways', async () => {
  expect([port.sectors, port.readOnly]).toEqual([2048, false]);
  expect(await write(5, new Uint8Array(1024).fill(7))).toBe(true);
  expect(await read(6, 1)).toEqual(new Uint8Array(512).fill(7));
  const stored = new Uint8Array(512);
  await store.read(5 * 512, stored);
  expect(stored[0]).toBe(7);
  expect(await new Promise((resolve) => (port.flush(resolve), serve()))).toBe(true);
});

it('fails what is beyond the end', async () => {
  expect(await read(2048, 1)).toBeUndefined();
  expect(await write(2047, new Uint8Array(1024))).toBe(false);
});

it('does not mix up a request that was given up with the next', async () => {
  await write(1, new Uint8Array(512).fill(1));
  let late = 0;
  port.read(0, 1, () => late++);
  const next = new Promise((resolve) => port.read(1, 1, (bytes) => resolve(bytes?.[0])));
  expect(posted).toHaveLength(1);
  serve();
  await expect.poll(() => posted.length).toBe(1);
  serve();
  expect(await next).toBe(1);
  expect(late).toBe(1);
});

it('has CD sectors, cannot be written, and notices another medium', async () => {
  cdrom = true;
  connect();
  expect([port.sectors, port.readOnly]).toEqual([512, true]);
  expect(await write(0, new Uint8Array(2048))).toBe(false);
  const before = port.medium;
  let got: Uint8Array | undefined | 'nothing' = 'nothing';
  port.read(0, 1, (bytes) => {
    got = bytes;
  });
  await device.changeMedium({ store: new RamStore(1 << 16) });
  serve();
  await expect.poll(() => got).toBeUndefined();
  expect(port.medium).not.toBe(before);
  expect(port.sectors).toBe(32);
  await device.changeMedium();
  expect(port.sectors).toBe(0);
});

it('answers nobody after it was closed', async () => {
  let answered = false;
  port.read(0, 1, () => {
    answered = true;
  });
  await server.close();
  serve();
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(answered).toBe(false);
});

it.each([
  ['hda', 0],
  ['xvdb', 1],
  ['d3', 3],
  ['xvde', undefined],
  ['sda', undefined],
  ['xvda1', undefined],
])('%s has place %s on the cables', (vdev, place) => {
  expect(drivePlace(vdev, 'ide')).toBe(place);
});

it.each([
  ['hda', 0],
  ['xvdf', 5],
  ['d6', undefined],
  ['sda', undefined],
])('%s has AHCI port %s', (vdev, port) => {
  expect(drivePlace(vdev, 'ahci')).toBe(port);
});

it('has CD-ROM drives on the cables, whatever disks are attached to', () => {
  const disk = (vdev: string, isCdrom: boolean): DiskDevice =>
    new DiskDevice({ vdev, store: new RamStore(1 << 20), cdrom: isCdrom });
  const devices = [disk('hda', false), disk('hdc', true), disk('xvdf', false), disk('xvdg', false), disk('xvde', true)];
  const placed = drivePlaces(devices, 'ahci').map(({ controller, device, place }) => [device.name, controller, place]);
  expect(placed).toEqual([
    ['hda', 'ahci', 0],
    ['hdc', 'ide', 2],
    ['xvdf', 'ahci', 5],
  ]);
});

it('counts what it has under way as work that the guest waits for', async () => {
  let works = 0;
  let itsTurn = (): void => {};
  const turn = new Promise<void>((resolve) => {
    itsTurn = resolve;
  });
  const region = new ArenaPlanner();
  const p2m = region.reserve(P2M_BYTES);
  const config: DriveConfig = { controller: 'ide', place: 0, cdrom: false, region: region.reserve(DRIVE_BYTES) };
  const memory = new GuestMemory(allocateArena(region.size).buffer as unknown as SharedArrayBuffer, p2m.at);
  const told: number[] = [];
  const waiting = new DriveServer({
    memory,
    drives: [{ config, device }],
    mail: (place) => told.push(place) > 0,
    pace: {
      after: () => ({ [Symbol.dispose]: () => {} }),
      during: (work) => {
        works++;
        return turn.then(() => work);
      },
    },
  });
  const requests: DriveRequest[] = [];
  const own = new DrivePort(config, memory, (request) => requests.push(request));
  own.read(0, 1, () => {});
  for (const request of requests) waiting.request(request);
  expect(works).toBe(1);
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(told).toEqual([]);
  itsTurn();
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(told).toEqual([0]);
  await waiting.close();
});
