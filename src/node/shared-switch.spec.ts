// Cards of several processes at one switch. That all of them are in this process makes no difference: they meet over sockets.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { ALL_OFFLOADS, type Frame, GSO, NO_OFFLOADS, plainFrame } from '../io/frame-sink.ts';
import { completeChecksum } from '../net/prepare-frame.ts';
import { openRuntimeDirectory } from './runtime-directory.ts';
import { SharedSwitch } from './shared-switch.ts';

const base = mkdtempSync(join(tmpdir(), 'dom1-switch-'));
afterAll(() => rmSync(base, { recursive: true }));
let runs = 0;
const newDirectory = (): string => join(base, `r${runs++}`);

/** Card number `n` of a test. */
class Card {
  readonly mac: Uint8Array;
  readonly frames: Frame[] = [];
  room = Number.POSITIVE_INFINITY;
  offloads = NO_OFFLOADS;
  readonly sink: SharedSwitch;
  constructor(sink: SharedSwitch, n: number) {
    this.sink = sink;
    this.mac = Uint8Array.of(0, 0x16, 0x3e, 0, 0, n);
    sink.attach(this);
  }
  receive(frame: Frame): boolean {
    if (this.room === 0) return false;
    this.room--;
    this.frames.push({ ...frame, bytes: frame.bytes.slice() });
    return true;
  }
  writable(): void {}
  linkChanged(): void {}
  /** Payloads that came since the last time: their first byte. */
  take(): number[] {
    return this.frames.splice(0).map(({ bytes }) => bytes[14]!);
  }
  send(to: Uint8Array, payload: number, size = 60): void {
    const bytes = new Uint8Array(size);
    bytes.set(to);
    bytes.set(this.mac, 6);
    bytes.set([0x88, 0xb5, payload], 12);
    expect(this.sink.send(plainFrame(bytes))).toBe(true);
  }
}
const EVERYBODY = new Uint8Array(6).fill(255);

async function until(holds: () => boolean): Promise<void> {
  for (let i = 0; !holds(); i++) {
    if (i > 2000) throw new Error('it did not happen in time');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
/** Whatever is on its way arrives. */
const quiet = () => new Promise((resolve) => setTimeout(resolve, 60));

async function joined(directory: string, n: number): Promise<Card> {
  const sink = await SharedSwitch.join({ directory, name: 'lan' });
  onTestFinished(() => sink.close());
  return new Card(sink, n);
}

/** Cards that all know of each other. */
async function cards(directory: string, count: number): Promise<Card[]> {
  const all = await Promise.all(Array.from({ length: count }, (_, i) => joined(directory, i + 1)));
  await until(() => all.every(({ sink }) => sink.members === count - 1));
  return all;
}

describe('a shared switch', () => {
  it('gives each frame once, to everybody or to whom it is for, when all have come at the same moment', async () => {
    const all = await cards(newDirectory(), 5);
    const [one, two] = all as [Card, Card];
    one.send(EVERYBODY, 1);
    await until(() => all.slice(1).every(({ frames }) => frames.length > 0));
    await quiet();
    expect(all.map((card) => card.take())).toEqual([[], [1], [1], [1], [1]]);
    two.send(one.mac, 2);
    await until(() => one.frames.length > 0);
    await quiet();
    expect(all.map((card) => card.take())).toEqual([[2], [], [], [], []]);
  });

  it('lets those that stay go on when any of them leaves, the first one too', async () => {
    const directory = newDirectory();
    const all = await cards(directory, 3);
    const late = await joined(directory, 9);
    await all[0]!.sink.close();
    await until(() => late.sink.members === 2);
    all[1]!.send(EVERYBODY, 7);
    await until(() => late.frames.length > 0 && all[2]!.frames.length > 0);
    late.send(all[1]!.mac, 8);
    await until(() => all[1]!.frames.length > 0);
    expect([all[0]!.take(), all[1]!.take(), all[2]!.take(), late.take()]).toEqual([[], [8], [7], [7]]);
    expect(readdirSync(join(directory, 'switch', 'lan'))).toHaveLength(3);
  });

  it('carries large segments and partial checksums for cards that take them, and whole ones for others', async () => {
    const all = await cards(newDirectory(), 3);
    const [from, able, unable] = all as [Card, Card, Card];
    able.offloads = ALL_OFFLOADS;
    const bytes = new Uint8Array(14 + 40 + 20_000).map((_, i) => i);
    bytes.set([...EVERYBODY, ...from.mac, 8, 0, 0x45, 0, bytes.length >> 8, bytes.length & 255, 0, 1, 0, 0, 64, 6], 0);
    bytes.set([0x50, 0x10], 14 + 32);
    from.sink.send({ bytes, checksumStart: 34, checksumOffset: 16, checksumValid: true, gsoType: GSO.tcpv4, gsoSize: 1448 });
    await until(() => unable.frames.length === Math.ceil(20_000 / 1448));
    expect(able.frames).toMatchObject([{ gsoType: GSO.tcpv4, gsoSize: 1448, checksumStart: 34, checksumOffset: 16 }]);
    expect(Buffer.from(able.frames[0]!.bytes).equals(bytes)).toBe(true);
    const joinedUp = Buffer.concat(unable.frames.map((frame) => frame.bytes.subarray(54)));
    expect(joinedUp.equals(bytes.subarray(54))).toBe(true);
    expect(unable.frames.every((frame) => completeChecksum(frame).checksumStart === 0)).toBe(true);
  });

  it('does not wait for a card that takes nothing, and keeps a bounded number of frames for it', async () => {
    const [from, deaf, other] = (await cards(newDirectory(), 3)) as [Card, Card, Card];
    deaf.room = 0;
    for (let i = 0; i < 4000; i++) {
      from.send(EVERYBODY, i & 255, 1514);
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => other.frames.length === 4000);
    deaf.room = Number.POSITIVE_INFINITY;
    deaf.sink.resume();
    await quiet();
    expect(deaf.frames.length).toBeGreaterThan(1000);
    expect(deaf.frames.length).toBeLessThan(2900);
    expect(deaf.take().slice(0, 300)).toEqual(Array.from({ length: 300 }, (_, i) => i & 255));
  });

  it('is not disturbed by sockets of the dead and by who speaks nonsense', async () => {
    const directory = newDirectory();
    await openRuntimeDirectory(directory);
    const first = await joined(directory, 1);
    const folder = join(directory, 'switch', 'lan');
    const dead = join(folder, '0123456789ab.sock');
    const killed = spawn(process.execPath, [
      '-e',
      `require('net').createServer().listen('${dead}', () => process.kill(process.pid, 'SIGKILL'))`,
    ]);
    await once(killed, 'exit');
    expect(readdirSync(folder)).toContain('0123456789ab.sock');
    const second = await joined(directory, 2);
    await until(() => !readdirSync(folder).includes('0123456789ab.sock') && first.sink.members === 1);
    const path = join(folder, readdirSync(folder)[0]!);
    for (const words of ['\0\0\0\x05hello', '\xff\xff\xff\xff', `\0\0\0\x1adom1-switch-1 0123456789a/`]) {
      const stranger = connect(path);
      stranger.on('error', () => {});
      stranger.write(Buffer.from(words, 'latin1'));
      await once(stranger.resume(), 'close');
    }
    first.send(EVERYBODY, 3);
    await until(() => second.frames.length > 0);
    expect([first.sink.members, second.sink.members, second.take()]).toEqual([1, 1, [3]]);
  });

  it('leaves nothing behind, and can be joined while another leaves', async () => {
    const directory = newDirectory();
    for (let i = 0; i < 40; i++) {
      const first = await joined(directory, 1);
      const [, second] = await Promise.all([first.sink.close(), joined(directory, 2)]);
      await second.sink.close();
    }
    expect(readdirSync(directory)).toEqual([]);
  });

  it('says why it cannot be joined', async () => {
    await expect(SharedSwitch.join({ directory: newDirectory(), name: '../x' })).rejects.toThrow(
      "'../x' is no name for a switch",
    );
    const deep = join(base, 'd'.repeat(90 - base.length));
    await expect(SharedSwitch.join({ directory: deep, name: 'lan' })).rejects.toThrow('the path is too long for sockets in it');
  });
});
