import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { XENFB_EVENT_BYTES, XENFB_OUT_RING, XENFB_TYPE } from '../../abi/xen/fbif.ts';
import { XenbusState } from '../../abi/xen/xenbus.ts';
import { BackendGuest, settle } from '../fixtures/backend-guest.ts';
import { FrameBufferFrontend, type FrameBufferFrontendOptions, updateEvent } from '../fixtures/frame-buffer-frontend.ts';
import { type FrameBufferDevice, frameBufferDevice } from './frame-buffer-device.ts';
import type { Rectangle } from './rectangle.ts';

interface Setup {
  readonly guest: BackendGuest;
  readonly device: FrameBufferDevice;
  readonly front: FrameBufferFrontend;
  /** What the listener was told since it was last emptied. */
  readonly changes: (Rectangle | 'all')[];
}

async function setup(options: FrameBufferFrontendOptions = {}): Promise<Setup> {
  const guest = new BackendGuest();
  const device = frameBufferDevice();
  device.attach(guest.bus);
  const front = new FrameBufferFrontend(guest, options);
  const changes: (Rectangle | 'all')[] = [];
  device.onChange((area) => changes.push(area ?? 'all'));
  return { guest, device, front, changes };
}

async function connected(options: FrameBufferFrontendOptions = {}): Promise<Setup> {
  const parts = await setup(options);
  expect(await parts.front.connect()).toBe(XenbusState.Connected);
  parts.changes.length = 0;
  return parts;
}

const pixel = (device: FrameBufferDevice, x: number, y: number): readonly number[] => {
  const picture = device.snapshot();
  if (picture === undefined) throw new Error('there is no picture');
  const at = (y * picture.width + x) * 4;
  return [...picture.rgba.subarray(at, at + 4)];
};

describe('a frame buffer', () => {
  it('has the nodes that libxl and QEMU write', async () => {
    const { guest, front } = await setup();
    frameBufferDevice({ id: 1, width: 640, height: 480 }).attach(guest.bus);
    expect(front.backend('feature-resize')).toBeUndefined();
    await front.connect();
    expect(
      Object.fromEntries(['feature-resize', 'request-update', 'vnc', 'sdl'].map((key) => [key, front.backend(key)])),
    ).toEqual({ 'feature-resize': '1', 'request-update': '1', vnc: '0', sdl: '0' });
    expect(guest.zero.read('/local/domain/0/backend/vfb/7/1/width')).toBe('640');
    expect(guest.zero.read('/local/domain/0/backend/vfb/7/1/height')).toBe('480');
  });

  it.each([
    { depth: 32, word: 8, bytes: [1, 2, 3, 4], colour: [3, 2, 1, 255] },
    { depth: 32, word: 4, bytes: [1, 2, 3, 4], colour: [3, 2, 1, 255] },
    { depth: 24, word: 8, bytes: [10, 20, 30], colour: [30, 20, 10, 255] },
    { depth: 16, word: 8, bytes: [0b000_11111, 0b10000_000], colour: [132, 0, 255, 255] },
    { depth: 16, word: 4, bytes: [0b111_00000, 0b00000_111], colour: [0, 255, 0, 255] },
    { depth: 8, word: 8, bytes: [0b101_010_01], colour: [182, 73, 85, 255] },
  ] as const)('shows a pixel of $depth bits of a guest with words of $word bytes', async ({ depth, word, bytes, colour }) => {
    // Rows with a gap behind them, over several pages.
    const stride = 1000;
    const { device, front } = await connected({ width: 100, height: 20, depth, word, stride });
    for (const [x, y] of [
      [0, 0],
      [99, 3],
      [57, 19],
    ] as const) {
      expect(pixel(device, x, y)).toEqual([0, 0, 0, 255]);
      for (const [i, byte] of bytes.entries()) front.poke8(y * stride + (x * depth) / 8 + i, byte);
      expect(pixel(device, x, y)).toEqual(colour);
    }
    expect(device.size).toEqual({ width: 100, height: 20 });
  });

  it('shows a part of the picture as the whole one has it', async () => {
    const { device, front } = await connected({ width: 60, height: 40 });
    for (let at = 0; at < 60 * 40 * 4; at++) front.poke8(at, (at * 7 + (at >>> 8)) & 0xff);
    const whole = device.snapshot();
    const part = device.snapshot({ x: 50, y: 30, width: 100, height: 5 });
    expect(part).toMatchObject({ width: 10, height: 5 });
    for (let y = 0; y < 5; y++) {
      const row = part?.rgba.subarray(y * 40, y * 40 + 40);
      expect(row).toEqual(whole?.rgba.subarray(((30 + y) * 60 + 50) * 4, ((30 + y) * 60 + 60) * 4));
    }
    expect(device.snapshot({ x: 60, y: 0, width: 1, height: 1 })).toMatchObject({ width: 0, height: 0 });
  });

  it.each([
    [4, 4],
    [8, 8],
  ] as const)('finds the directory of an old guest with words of %i bytes', async (_, word) => {
    const { device, front } = await connected({ word, keys: { protocol: undefined } });
    front.poke8(2, 0xff);
    expect(pixel(device, 0, 0)).toEqual([255, 0, 0, 255]);
  });

  it('tells what has changed, cut to the screen', async () => {
    const { front, changes, guest } = await connected();
    front.update(2, 3, 4, 5);
    front.update(-5, -5, 8, 100);
    front.update(0x7fff_ffff, 0, 0x7fff_ffff, 1);
    front.update(1, 1, -1, 1);
    expect(changes).toEqual([
      { x: 2, y: 3, width: 4, height: 5 },
      { x: 0, y: 0, width: 3, height: 8 },
    ]);
    expect(front.index('out_cons')).toBe(4);
    expect(guest.takeEvent(front.port)).toBe(true);
  });

  it('takes a full ring at once, and says that everything has changed', async () => {
    const { front, changes, guest } = await connected();
    for (let i = 0; i < XENFB_OUT_RING.events; i++) front.put(XENFB_OUT_RING, updateEvent(i % 16, 0, 1, 1));
    guest.send(front.port);
    expect(changes).toEqual(['all']);
    expect(front.index('out_cons')).toBe(XENFB_OUT_RING.events);
  });

  it('goes on where the indices wrap', async () => {
    const parts = await setup();
    for (const name of ['out_cons', 'out_prod'] as const) parts.front.index(name, 0xffff_fffe);
    expect(await parts.front.connect()).toBe(XenbusState.Connected);
    parts.changes.length = 0;
    for (let x = 0; x < 4; x++) parts.front.update(x, 0, 1, 1);
    expect(parts.changes).toHaveLength(4);
    expect(parts.front.index('out_cons')).toBe(2);
  });

  it('is resized, and stays as it is when the size cannot be', async () => {
    const { device, front, changes } = await connected({ width: 16, height: 8 });
    front.poke8(4 * 16 + 8 + 2, 0xee);
    front.resize({ width: 4, height: 2, stride: 64, depth: 32, offset: 64 });
    expect(changes).toEqual(['all']);
    expect(device.size).toEqual({ width: 4, height: 2 });
    expect(pixel(device, 2, 0)).toEqual([0xee, 0, 0, 255]);
    for (const wrong of [
      { width: 4, height: 2, stride: 0, depth: 32, offset: 0 },
      { width: 4, height: 2, stride: -64, depth: 32, offset: 0 },
      { width: 4, height: 2, stride: 64, depth: 15, offset: 0 },
      { width: 4, height: 2, stride: 64, depth: 32, offset: 512 },
      { width: 4, height: 2, stride: 64, depth: 32, offset: -4 },
    ])
      front.resize(wrong);
    expect(device.size).toEqual({ width: 4, height: 2 });
    front.resize({ width: 0x7fff_ffff, height: -1, stride: 64, depth: 16, offset: 448 });
    expect(device.size).toEqual({ width: 32, height: 1 });
    expect(device.snapshot()?.rgba).toHaveLength(128);
  });

  it('overlooks events that it does not know', async () => {
    const { front, changes } = await connected();
    for (const type of [0, 1, 4, 255]) front.send(XENFB_OUT_RING, new Uint8Array(XENFB_EVENT_BYTES).fill(type));
    expect(changes).toEqual([]);
    expect([front.backendState, front.index('out_cons')]).toEqual([XenbusState.Connected, 4]);
  });

  it('has no picture before and after, and is given anew', async () => {
    const { guest, device, front, changes } = await setup();
    expect([device.snapshot(), device.size, device.updates]).toEqual([undefined, undefined, false]);
    await front.connect();
    expect(changes).toEqual(['all']);
    expect(device.updates).toBe(true);
    await front.setState(XenbusState.Closed);
    expect([device.snapshot(), changes]).toEqual([undefined, ['all', 'all']]);
    await front.setState(XenbusState.Initialising);
    expect(front.backendState).toBe(XenbusState.InitWait);
    expect(await front.connect()).toBe(XenbusState.Connected);
    expect(device.snapshot()).toMatchObject({ width: 16, height: 8 });
    await guest.bus.close();
    expect(device.snapshot()).toBeUndefined();
  });

  it('says that it is connected once more to a frontend that is, and only once', async () => {
    const { guest, front } = await connected();
    let told = 0;
    guest.own.watch(`${guest.own.read(`${front.path}/backend`)}/state`, () => told++);
    await settle();
    told = 0;
    await front.setState(XenbusState.Connected);
    expect([told, front.backendState]).toEqual([1, XenbusState.Connected]);
    await front.setState(XenbusState.Connected);
    expect(told).toBe(1);
  });

  it.each([{ width: 0 }, { height: 65536 }, { width: 1.5 }])('is never of the size %j', (options) => {
    expect(() => frameBufferDevice(options)).toThrow(RangeError);
  });
});

describe('a frontend that breaks the rules', () => {
  it.each<[string, (front: FrameBufferFrontend) => void, RegExp]>([
    ['a depth of 15', ({ view }) => view.setUint8(32, 15), /^22 a depth of 15 bits/],
    ['no stride', ({ view }) => view.setUint32(24, 0, true), /^22 a row of 0 bytes/],
    ['a stride beyond the buffer', ({ view }) => view.setUint32(24, 0xffff_ffff, true), /^22 a row of 4294967295 bytes/],
    ['no memory', ({ view }) => view.setUint32(28, 0, true), /^22 a row of 64 bytes in a buffer of 0/],
    ['a directory that is no RAM', (front) => front.pd(0, 0xffff), /^22 the directory's page 65535 is no RAM/],
    ['a directory beyond all memory', (front) => front.pd(0, 2 ** 52), /^22 the directory's page 4503599627370496 is no RAM/],
    ['a frame that is no RAM', (front) => front.entry(0, 0x50), /^22 page 0 of the frame buffer, frame 80, is no RAM/],
    ['a frame beyond all memory', (front) => front.entry(0, 2 ** 52 + 8), /frame 4503599627370504, is no RAM/],
    ['a buffer that ends in a hole', ({ view }) => view.setUint32(28, 8192, true), /^22 page 1 of the frame buffer/],
  ])('is refused with a reason for %s', async (_, act, reason) => {
    const { device, front } = await setup();
    // What is beyond the picture's own entries leads nowhere.
    for (let i = front.frames.length; i < 512; i++) front.entry(i, 0x7777);
    act(front);
    expect(await front.connect()).toBe(XenbusState.Closing);
    expect(front.reason).toMatch(reason);
    expect(device.snapshot()).toBeUndefined();
  });

  it.each([
    ['page-ref', undefined, /^22 reading .*page-ref/],
    ['page-ref', 0x1234, /^22 page-ref 4660 is no page of RAM/],
    ['page-ref', '99999999999999999999', /^22 .*page-ref is "9+"/],
    ['event-channel', undefined, /^22 reading .*event-channel/],
    ['event-channel', 77, /^22 binding event-channel 77/],
  ])('is refused with a reason for %s = %s', async (key, value, reason) => {
    const { front } = await setup({ keys: { [key]: value } });
    expect(await front.connect()).toBe(XenbusState.Closing);
    expect(front.reason).toMatch(reason);
  });

  it('is shut for an index that lies', async () => {
    const { guest, device, front } = await connected();
    front.index('out_prod', XENFB_OUT_RING.events + 1);
    guest.send(front.port);
    await settle();
    expect([front.backendState, front.reason]).toEqual([XenbusState.Closing, '5 the ring holds 52 events']);
    expect([device.snapshot(), front.index('out_cons')]).toEqual([undefined, 0]);
  });

  it('is shut when it gives the shared page away', async () => {
    const { guest, front } = await connected();
    guest.memory.map(front.gfn as never, 0 as never);
    guest.send(front.port);
    await settle();
    expect([front.backendState, front.reason]).toEqual([XenbusState.Closing, '14 the shared page is gone']);
  });

  it('shows pages that it gave away as black, and what it does to directories has no effect', async () => {
    const { guest, device, front } = await connected({ width: 64, height: 32 });
    for (const offset of [0, 4096]) for (let i = 0; i < 4; i++) front.poke8(offset + i, 0xff);
    front.pd(0, 0xffff);
    for (let i = 0; i < 512; i++) front.entry(i, 0);
    front.view.setUint32(28, 0xffff_ffff, true);
    guest.memory.map(front.frames[1] as never, 0 as never);
    expect([pixel(device, 0, 0), pixel(device, 0, 16)]).toEqual([
      [255, 255, 255, 255],
      [0, 0, 0, 255],
    ]);
  });

  it('gets no picture that is larger than there may be, however few pages it has', async () => {
    const { device, front } = await setup();
    // One page many times over: 4 GiB of buffer, of which 64 MiB are looked at.
    for (let i = 0; i < 512; i++) front.entry(i, front.frames[0] as number);
    for (let i = 0; i < 256; i++) front.pd(i, front.directory);
    front.view.setUint32(28, 0xffff_f000, true);
    front.view.setInt32(16, 0x7fff_ffff, true);
    front.view.setInt32(20, 0x7fff_ffff, true);
    front.view.setUint32(24, 4096 * 4, true);
    expect(await front.connect()).toBe(XenbusState.Connected);
    expect(device.size).toEqual({ width: 4096, height: 4096 });
    front.resize({ width: 8192, height: 8192, stride: 8192, depth: 8, offset: 0 });
    expect(device.size).toEqual({ width: 4096, height: 4096 });
  });

  it('cannot make anything throw, or be read that is not its own, whatever it writes', async () => {
    // Whoever looks for a frame that is not there, and does not notice, reads the start of the buffer.
    const FOREIGN = 0xaa;
    const word = fc
      .oneof(fc.nat(80), fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), fc.constantFrom(0x3f, 0x40, 4096, 64))
      .filter((value) => [0, 8, 16, 24].every((shift) => ((value >>> shift) & 0xff) !== FOREIGN));
    const property = fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(1023), word), { maxLength: 24 }),
      fc.array(fc.tuple(fc.nat(1023), word), { maxLength: 24 }),
      fc.array(fc.array(word, { minLength: 10, maxLength: 10 }), { maxLength: 8 }),
      fc.constantFrom('x86_32-abi', 'x86_64-abi', undefined),
      async (sharedWords, directoryWords, events, protocol) => {
        const { guest, device, front } = await setup({ keys: { protocol } });
        guest.memory.u8.fill(FOREIGN, 0, 4096);
        for (const [at, value] of sharedWords) front.view.setInt32(at * 4, value, true);
        for (const [at, value] of directoryWords) front.entry(at % 512, value);
        await front.connect();
        for (const words of events) {
          const event = new Uint8Array(XENFB_EVENT_BYTES);
          for (const [i, value] of words.entries()) new DataView(event.buffer).setInt32(i * 4, value, true);
          event[0] = (event[0] as number) % 2 === 0 ? XENFB_TYPE.RESIZE : XENFB_TYPE.UPDATE;
          front.send(XENFB_OUT_RING, event);
          const picture = device.snapshot({ x: 0, y: 0, width: 64, height: 64 });
          expect(picture?.rgba.length ?? 0).toBeLessThanOrEqual(64 * 64 * 4);
          // Colours of fewer bits are stretched, and may be that.
          const depth = Number(guest.bus.device('vfb', 0)?.driver.inspect?.()['depth'] ?? 0);
          if (depth >= 24) expect(picture?.rgba.includes(FOREIGN)).toBe(false);
        }
        await settle();
        expect(guest.events.filter(({ kind }) => kind === 'error')).toEqual([]);
        await guest.bus.close();
      },
    );
    await fc.assert(property, { numRuns: 150 });
  });
});
