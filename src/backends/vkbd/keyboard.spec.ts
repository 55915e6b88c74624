import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  XENKBD_EVENT_BYTES,
  XENKBD_IN_RING,
  XENKBD_MT_EV,
  XENKBD_OUT_RING,
  XENKBD_TYPE,
  XenkbdKey,
  XenkbdMotion,
  XenkbdMtouch,
  XenkbdMtouchOrientation,
  XenkbdMtouchShape,
  XenkbdPosition,
} from '../../abi/xen/kbdif.ts';
import { XenbusState } from '../../abi/xen/xenbus.ts';
import { BackendGuest, settle } from '../fixtures/backend-guest.ts';
import { EventPageFrontend } from '../fixtures/event-page-frontend.ts';
import { MOST_WAITING } from './input-queue.ts';
import { type KeyboardDevice, type KeyboardOptions, keyboardDevice } from './keyboard-device.ts';

interface Setup {
  readonly guest: BackendGuest;
  readonly device: KeyboardDevice;
  readonly front: EventPageFrontend;
}

interface FrontOptions {
  readonly granted?: boolean;
  readonly keys?: Readonly<Record<string, string | number | undefined>>;
}

function setup(options: KeyboardOptions = {}, front: FrontOptions = {}): Setup {
  const guest = new BackendGuest();
  const device = keyboardDevice(options);
  device.attach(guest.bus);
  return { guest, device, front: new EventPageFrontend(guest, { type: 'vkbd', granted: true, ...front }) };
}

async function connected(options: KeyboardOptions = {}, frontOptions: FrontOptions = {}): Promise<Setup> {
  const parts = setup(options, frontOptions);
  expect(await parts.front.connect()).toBe(XenbusState.Connected);
  return parts;
}

const ABSOLUTE = { keys: { 'request-abs-pointer': 1 } } as const;

/** An event as text. */
function told(event: Uint8Array): string {
  const view = new DataView(event.buffer, event.byteOffset);
  switch (event[0]) {
    case XENKBD_TYPE.KEY:
      return `key ${XenkbdKey.keycode.get(view, 0)} ${XenkbdKey.pressed.get(view, 0)}`;
    case XENKBD_TYPE.MOTION:
      return `by ${XenkbdMotion.rel_x.get(view, 0)} ${XenkbdMotion.rel_y.get(view, 0)} ${XenkbdMotion.rel_z.get(view, 0)}`;
    case XENKBD_TYPE.POS:
      return `at ${XenkbdPosition.abs_x.get(view, 0)} ${XenkbdPosition.abs_y.get(view, 0)} ${XenkbdPosition.rel_z.get(view, 0)}`;
    case XENKBD_TYPE.MTOUCH: {
      const contact = XenkbdMtouch.contact_id.get(view, 0);
      switch (XenkbdMtouch.event_type.get(view, 0)) {
        case XENKBD_MT_EV.DOWN:
          return `${contact} down ${XenkbdMtouch.abs_x.get(view, 0)} ${XenkbdMtouch.abs_y.get(view, 0)}`;
        case XENKBD_MT_EV.MOTION:
          return `${contact} motion ${XenkbdMtouch.abs_x.get(view, 0)} ${XenkbdMtouch.abs_y.get(view, 0)}`;
        case XENKBD_MT_EV.SHAPE:
          return `${contact} shape ${XenkbdMtouchShape.major.get(view, 0)} ${XenkbdMtouchShape.minor.get(view, 0)}`;
        case XENKBD_MT_EV.ORIENT:
          return `${contact} orientation ${XenkbdMtouchOrientation.orientation.get(view, 0)}`;
        case XENKBD_MT_EV.UP:
          return `${contact} up`;
        default:
          return `${contact} frame`;
      }
    }
    default:
      return `type ${event[0]}`;
  }
}

const taken = (front: EventPageFrontend): string[] => front.take(XENKBD_IN_RING, XENKBD_EVENT_BYTES).map(told);

/** The guest reads all there is, and says so, until there is no more. */
function drain({ front, guest }: Setup): string[] {
  const all: string[] = [];
  for (let some = taken(front); some.length > 0; some = taken(front)) {
    all.push(...some);
    guest.send(front.port);
  }
  return all;
}

describe('a keyboard', () => {
  it('has the nodes that libxl and QEMU write', async () => {
    const { front } = setup({
      uniqueId: 'one',
      disableKeyboard: true,
      disablePointer: true,
      multiTouch: { width: 1920, height: 1080, contacts: 10 },
      width: 640,
      height: 480,
    });
    await settle();
    const keys = ['unique-id', 'feature-disable-keyboard', 'feature-disable-pointer', 'feature-abs-pointer'];
    const more = ['feature-raw-pointer', 'feature-multi-touch', 'multi-touch-width', 'multi-touch-height'];
    const rest = ['multi-touch-num-contacts', 'width', 'height'];
    await front.setState(XenbusState.Initialising);
    expect([...keys, ...more, ...rest].map((key) => front.backend(key))).toEqual([
      'one',
      '1',
      '1',
      '1',
      '1',
      '1',
      '1920',
      '1080',
      '10',
      '640',
      '480',
    ]);
  });

  it('leaves out what it was not told', async () => {
    const { front } = await connected({ absPointer: false, rawPointer: false });
    expect(['feature-abs-pointer', 'feature-raw-pointer'].map((key) => front.backend(key))).toEqual(['0', '0']);
    for (const key of ['unique-id', 'feature-disable-keyboard', 'feature-disable-pointer', 'feature-multi-touch', 'width'])
      expect(front.backend(key)).toBeUndefined();
  });

  it.each([true, false])('presses keys on a page that is granted: %s', async (granted) => {
    const { guest, device, front } = await connected({}, { granted });
    device.key(30, true);
    expect(guest.takeEvent(front.port)).toBe(true);
    device.key(30, false);
    expect(taken(front)).toEqual(['key 30 1', 'key 30 0']);
    await front.setState(XenbusState.Closed);
    expect(() => device.key(30, true)).toThrow('does not use its PV keyboard');
    expect(front.index('in_prod')).toBe(2);
  });

  it('moves relatively unless the guest asks for more, and then only if it was offered', async () => {
    for (const parts of [await connected({}), await connected({ absPointer: false }, ABSOLUTE)]) {
      const { device, front } = parts;
      device.pointer({ dx: 3, dy: -4, wheel: -1, buttons: { left: true } });
      device.pointer({ buttons: { left: false, extra: true } });
      expect(taken(front)).toEqual(['by 3 -4 -1', 'key 272 1', 'key 272 0', 'key 276 1']);
      expect(() => device.pointer({ x: 1, y: 1 })).toThrow('the guest has no absolute pointer');
      expect(device.absolute).toBe(false);
    }
  });

  it('gives positions within the screen, and takes motion to where it leads', async () => {
    const { device, front } = await connected({}, ABSOLUTE);
    device.pointer({ x: 100, y: 200 });
    device.pointer({ dx: -30, dy: 500, wheel: 2 });
    device.pointer({ x: -5 });
    device.pointer({ x: 10_000, y: 10_000 });
    device.pointer({ buttons: { middle: true } });
    expect(taken(front)).toEqual(['at 100 200 0', 'at 70 599 2', 'at 0 599 0', 'at 799 599 0', 'key 274 1']);
  });

  it.each<[KeyboardOptions, Record<string, number>, string[]]>([
    [
      { width: 1600, height: 1200, screen: () => ({ width: 801, height: 600 }) },
      {},
      ['at 0 0 0', 'at 800 601 0', 'at 1599 1199 0'],
    ],
    [{ screen: () => ({ width: 801, height: 600 }) }, {}, ['at 0 0 0', 'at 400 300 0', 'at 800 599 0']],
    [{}, { 'request-raw-pointer': 1 }, ['at 0 0 0', 'at 16404 16411 0', 'at 32767 32767 0']],
    [{ rawPointer: false }, { 'request-raw-pointer': 1 }, ['at 0 0 0', 'at 400 300 0', 'at 799 599 0']],
    [{ screen: () => ({ width: 0, height: 0 }) }, {}, ['at 0 0 0', 'at 0 0 0', 'at 0 0 0']],
  ])('measures positions as the guest was told: %j %j', async (options, keys, events) => {
    const { device, front } = await connected(options, { keys: { ...ABSOLUTE.keys, ...keys } });
    for (const [x, y] of [
      [0, 0],
      [400, 300],
      [1000, 1000],
    ] as const)
      device.pointer({ x, y });
    expect(taken(front)).toEqual(events);
  });

  it('tells what fingers do, a frame at a time', async () => {
    const multiTouch = { width: 100, height: 100, contacts: 2 };
    const { device, front } = await connected({ multiTouch }, { keys: { 'request-multi-touch': 1 } });
    device.touch([
      { contact: 0, kind: 'down', x: 1, y: 2 },
      { contact: 1, kind: 'motion', x: 3, y: 4 },
      { contact: 1, kind: 'shape', major: 9, minor: 5 },
      { contact: 1, kind: 'orientation', degrees: -90 },
    ]);
    device.touch([{ contact: 0, kind: 'up' }]);
    device.touch([]);
    expect(taken(front)).toEqual([
      '0 down 1 2',
      '1 motion 3 4',
      '1 shape 9 5',
      '1 orientation -90',
      '1 frame',
      '0 up',
      '0 frame',
    ]);
    expect(() => device.touch([{ contact: 2, kind: 'up' }])).toThrow('no finger 2, only 0 to 1');
  });

  it.each<[KeyboardOptions, Record<string, number>]>([
    [{}, { 'request-multi-touch': 1 }],
    [{ multiTouch: { width: 1, height: 1, contacts: 1 } }, {}],
  ])('has no touch screen that was not offered and asked for: %j %j', async (options, keys) => {
    const { device } = await connected(options, { keys });
    expect(() => device.touch([{ contact: 0, kind: 'up' }])).toThrow('the guest has no touch screen');
  });

  it('stays what it was for a guest that was restored, and not for one that closed it', async () => {
    const { guest, device, front } = await connected({}, ABSOLUTE);
    // Linux is Connected, and does not write its request again after it was resumed.
    for (const [restored, absolute] of [
      [true, true],
      [false, false],
    ] as const) {
      await front.setState(XenbusState.Connected);
      if (restored) await guest.bus.reset();
      else await front.setState(XenbusState.Closed);
      guest.own.remove(`${front.path}/request-abs-pointer`);
      const again = new EventPageFrontend(guest, { type: 'vkbd', granted: true });
      expect(await again.connect()).toBe(XenbusState.Connected);
      expect(device.absolute).toBe(absolute);
    }
  });

  it('keeps what does not fit into the ring, in order', async () => {
    const parts = await connected();
    for (let i = 0; i < 200; i++) parts.device.key(1 + (i % 100), i % 2 === 0);
    expect(parts.front.index('in_prod')).toBe(XENKBD_IN_RING.events);
    expect(drain(parts)).toEqual(Array.from({ length: 200 }, (_, i) => `key ${1 + (i % 100)} ${i % 2 === 0 ? 1 : 0}`));
  });

  it('refuses more for a guest that does not read, but lets go of every key that it was told is down', async () => {
    const parts = await connected();
    const { device } = parts;
    for (let i = 0; i < XENKBD_IN_RING.events + MOST_WAITING; i++) device.key(1 + (i % 10), true);
    expect(() => device.key(20, true)).toThrow('does not read');
    expect(() => device.key(20, false)).toThrow('does not read');
    expect(() => device.pointer({ dx: 1 })).toThrow('does not read');
    for (let code = 1; code <= 10; code++) device.key(code, false);
    expect(() => device.key(1, false)).toThrow('does not read');
    const all = drain(parts);
    expect(all).toHaveLength(XENKBD_IN_RING.events + MOST_WAITING + 10);
    expect(all.slice(-10)).toEqual(Array.from({ length: 10 }, (_, i) => `key ${i + 1} 0`));
    device.key(20, true);
    expect(taken(parts.front)).toEqual(['key 20 1']);
  });

  it('goes on where the indices wrap', async () => {
    const parts = setup();
    for (const name of ['in_prod', 'in_cons'] as const) parts.front.index(name, 0xffff_fff0);
    await parts.front.connect();
    // The places of the last index and of the first one are the same, as 51 events do not divide 2^32.
    for (let i = 0; i < 100; i++) {
      parts.device.key(1 + i, true);
      expect(drain(parts)).toEqual([`key ${1 + i} 1`]);
    }
    expect(parts.front.index('in_prod')).toBe(84);
  });

  it('takes what the guest says as read', async () => {
    const { guest, front } = await connected();
    front.send(XENKBD_OUT_RING, new Uint8Array(XENKBD_EVENT_BYTES).fill(1));
    expect([front.index('out_cons'), front.backendState]).toEqual([1, XenbusState.Connected]);
    expect(guest.takeEvent(front.port)).toBe(true);
  });

  it('says what cannot be', async () => {
    const { device } = await connected({}, ABSOLUTE);
    for (const code of [0, -1, 0x300, 1.5, Number.NaN]) expect(() => device.key(code, true)).toThrow(RangeError);
    for (const x of [0.5, 2 ** 31, Number.NaN]) expect(() => device.pointer({ x })).toThrow(RangeError);
    for (const options of [{ width: 0 }, { height: 2 ** 31 }, { multiTouch: { width: 1, height: 1, contacts: 256 } }])
      expect(() => keyboardDevice(options)).toThrow(RangeError);
  });
});

describe('a frontend that breaks the rules', () => {
  it.each([
    ['page-gref', 1000, /^22 mapping page-gref 1000: grant status -/],
    ['page-gref', 'x', /^22 .*page-gref is "x"/],
    ['event-channel', 77, /^22 binding event-channel 77/],
    ['event-channel', undefined, /^22 reading .*event-channel/],
  ])('is refused with a reason for %s = %s', async (key, value, reason) => {
    const { front } = setup({}, { keys: { [key]: value } });
    expect(await front.connect()).toBe(XenbusState.Closing);
    expect(front.reason).toMatch(reason);
  });

  it('is refused when it names a page that is no RAM', async () => {
    const { front } = setup({}, { granted: false, keys: { 'page-ref': 0x4000 } });
    expect(await front.connect()).toBe(XenbusState.Closing);
    expect(front.reason).toMatch(/^22 page-ref 16384 is no page of RAM/);
  });

  it('is shut for an index that lies', async () => {
    const { device, front } = await connected();
    front.index('in_cons', 5);
    device.key(1, true);
    await settle();
    expect([front.backendState, front.reason]).toEqual([XenbusState.Closing, '5 the ring holds 4294967291 events']);
    expect(() => device.key(1, true)).toThrow('does not use');
  });

  it('is shut when it gives the named page away', async () => {
    const { guest, device, front } = await connected({}, { granted: false });
    guest.memory.map(front.gfn as never, 0 as never);
    device.key(1, true);
    await settle();
    expect([front.backendState, front.reason]).toEqual([XenbusState.Closing, '14 the shared page is gone']);
  });

  it('cannot make anything throw but what input may, or change a byte outside its page', async () => {
    const index = fc.oneof(fc.nat(60), fc.integer({ min: 0, max: 0xffff_ffff }));
    const names = ['in_cons', 'in_prod', 'out_cons', 'out_prod'] as const;
    const property = fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom(...names), index, fc.boolean(), fc.boolean()), { maxLength: 30 }),
      fc.boolean(),
      async (steps, granted) => {
        const { guest, device, front } = await connected({}, { ...ABSOLUTE, granted });
        const before = Array.from({ length: 0x38 }, (_, gfn) => (gfn === front.gfn ? undefined : guest.page(gfn).slice()));
        for (const [name, value, write, tell] of steps) {
          if (write) front.index(name, value);
          if (tell) guest.channels.dispatch();
          try {
            if (value % 2 === 0) device.key(1 + (value % 0x2ff), write);
            else device.pointer({ x: value | 0, dy: value | 0 });
          } catch (error) {
            expect((error as Error).name).toBe('InputError');
          }
        }
        await settle();
        expect(guest.events.filter(({ kind }) => kind === 'error')).toEqual([]);
        for (const [gfn, bytes] of before.entries()) {
          if (bytes !== undefined) expect([gfn, Buffer.compare(guest.page(gfn), bytes)]).toEqual([gfn, 0]);
        }
        await guest.bus.close();
      },
    );
    await fc.assert(property, { numRuns: 100 });
  });
});
