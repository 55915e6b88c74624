// PV frame buffer, keyboard and mouse under Linux's own drivers, which Debian's kernel for real machines has built in.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpioDirectory, cpioFile } from '../../src/image/cpio.ts';
import type { Picture } from '../../src/image/picture.ts';
import type { FrameBufferDevice, KeyboardDevice } from '../../src/index.ts';
import { kernelModuleFiles } from '../../src/node/kernel-modules.ts';
import { inputEvents } from './input-events.ts';
import { BOOT_TIME, dom1 } from './kernels.ts';
import { asRgba, pixelPattern } from './pixel-pattern.ts';
import { XenGuest, xenGuestParts } from './xen-guest.ts';

const parts = await xenGuestParts('linux-image-amd64');

/** What Linux has without being told; a character of its text is 8 by 16 pixels. */
const SCREEN = { width: 800, height: 600 } as const;
const CELL = { width: 8, height: 16 } as const;
const TOUCH = { width: 1000, height: 500, contacts: 3 } as const;

/** `struct fb_videomode`: no name, 60 Hz, the size, and a pixel clock so that it is taken for one. */
function videoMode(width: number, height: number): Uint8Array {
  const bytes = new Uint8Array(64);
  new Uint32Array(bytes.buffer).set([60, width, height, 40_000], 2);
  return bytes;
}

/** The pixels of one character on the screen. */
function cell(picture: Picture, column: number, row: number): string {
  let pixels = '';
  for (let y = 0; y < CELL.height; y++) {
    for (let x = 0; x < CELL.width; x++) {
      const at = ((row * CELL.height + y) * picture.width + column * CELL.width + x) * 4;
      pixels += picture.rgba[at] === 0 ? '.' : '#';
    }
  }
  return pixels;
}

describe.skipIf(parts === undefined)('a guest with a PV frame buffer, keyboard and mouse', { timeout: BOOT_TIME }, () => {
  let guest: XenGuest;
  let screen: FrameBufferDevice;
  let keyboard: KeyboardDevice;
  const sh = (command: string): Promise<string> => guest.sh(command, { timeout: 60_000 });

  const events = (name: string, act: () => void): Promise<string[]> => inputEvents(sh, name, act);

  beforeAll(async () => {
    if (parts === undefined) return;
    screen = dom1.frameBufferDevice();
    keyboard = dom1.keyboardDevice({ multiTouch: TOUCH });
    guest = await XenGuest.boot(parts, {
      files: [
        cpioDirectory('display'),
        cpioFile('display/picture', pixelPattern(SCREEN)),
        cpioFile('display/modes', Buffer.concat([videoMode(640, 400), videoMode(SCREEN.width, SCREEN.height)])),
        ...(await kernelModuleFiles(parts, ['evdev'], 'input')),
      ],
      devices: [screen, keyboard],
    });
    await sh('for module in /input/*; do insmod $module; done');
    await sh('while [ $(ls -d /dev/input/event* | wc -l) != 3 ]; do sleep 0.1; done');
  }, BOOT_TIME);
  afterAll(async () => {
    await guest?.[Symbol.asyncDispose]();
  });

  it('finds them', async () => {
    expect(guest.domain.devices.list().map(({ type, state, frontendState }) => `${type} ${state} ${frontendState}`)).toEqual([
      'vfb Connected Connected',
      'vkbd Connected Connected',
    ]);
    expect(await sh('cat /sys/class/graphics/fb0/name /sys/class/graphics/fb0/virtual_size')).toBe('xen\n800,600');
    expect(await sh('cat /sys/class/input/event*/device/name | sort')).toBe(
      'Xen Virtual Keyboard\nXen Virtual Multi-touch\nXen Virtual Pointer',
    );
    expect([screen.size, screen.updates, keyboard.absolute]).toEqual([SCREEN, true, true]);
  });

  it('shows text where the guest prints it', async () => {
    await sh("printf '\\033[2J\\033[1;1HHAH\\n' >/dev/tty1");
    const picture = (): Picture => screen.snapshot() as Picture;
    const blank = '.'.repeat(CELL.width * CELL.height);
    await expect.poll(() => cell(picture(), 0, 0)).not.toBe(blank);
    const shown = picture();
    expect(cell(shown, 2, 0)).toBe(cell(shown, 0, 0));
    expect(cell(shown, 1, 0)).not.toBe(cell(shown, 0, 0));
    expect([cell(shown, 3, 0), cell(shown, 0, 5)]).toEqual([blank, blank]);
    // The left and the right stroke of an H.
    expect(cell(shown, 0, 0).split('#').length - 1).toBeGreaterThan(20);
  });

  it('takes what is typed for the shell that reads the screen', async () => {
    await sh('(read line </dev/tty1; echo "$line" >/tmp/line) >/dev/null 2>&1 &');
    await sh('sleep 0.2');
    // More events than the ring holds.
    const text = 'The quick brown fox says "Hi!" to 0123456789 lazy dogs, & <jumps>.';
    for (const stroke of dom1.textStrokes(`${text}\n`)) {
      for (const code of stroke) keyboard.key(code, true);
      for (const code of stroke) keyboard.key(code, false);
    }
    await sh('while ! [ -s /tmp/line ]; do sleep 0.1; done');
    expect(await sh('cat /tmp/line')).toBe(text);
  });

  it('shows every pixel as the guest has written it, and hears of the change', async () => {
    await sh('for console in /sys/class/vtconsole/*; do grep -q frame $console/name && echo 0 >$console/bind; done');
    let changes = 0;
    using _ = screen.onChange(() => changes++);
    await sh('cat /display/picture >/dev/fb0');
    await expect.poll(() => changes).toBeGreaterThan(0);
    const picture = screen.snapshot();
    expect(picture).toMatchObject(SCREEN);
    expect(Buffer.compare(picture?.rgba as Uint8Array, asRgba(pixelPattern(SCREEN)))).toBe(0);
  });

  it('is resized by the guest', async () => {
    using changed = { count: 0, [Symbol.dispose]: () => listener[Symbol.dispose]() };
    const listener = screen.onChange((area) => {
      if (area === undefined) changed.count++;
    });
    const fb = '/sys/class/graphics/fb0';
    await sh(`cat /display/modes >${fb}/modes; echo U:640x400p-60 >${fb}/mode`);
    // Linux tells the new size with the next change.
    await sh('head -c 4096 /display/picture >/dev/fb0');
    await expect.poll(() => screen.size).toEqual({ width: 640, height: 400 });
    expect(changed.count).toBeGreaterThan(0);
    await sh(`echo U:800x600p-60 >${fb}/mode; cat /display/picture >/dev/fb0`);
    await expect.poll(() => screen.size).toEqual(SCREEN);
    expect(Buffer.compare(screen.snapshot()?.rgba as Uint8Array, asRgba(pixelPattern(SCREEN)))).toBe(0);
  });

  it('gets keys', async () => {
    const told = await events('Xen Virtual Keyboard', () => {
      for (const code of dom1.keyCodes('ctrl-alt-f24')) keyboard.key(code, true);
      keyboard.key(dom1.keyCode('f24'), true);
      for (const code of dom1.keyCodes('f24-alt-ctrl')) keyboard.key(code, false);
    });
    expect(told).toEqual(['key 29 1', 'key 56 1', 'key 194 1', 'key 194 2', 'key 194 0', 'key 56 0', 'key 29 0']);
  });

  it('gets positions, the wheel and buttons', async () => {
    const told = await events('Xen Virtual Pointer', () => {
      keyboard.pointer({ x: 123, y: 456, wheel: 1, buttons: { left: true } });
      keyboard.pointer({ dx: 10, buttons: { left: false } });
    });
    expect(told).toEqual(['abs 0 123', 'abs 1 456', 'rel 8 -1', 'key 272 1', 'abs 0 133', 'key 272 0']);
  });

  it('gets what fingers do', async () => {
    const told = await events('Xen Virtual Multi-touch', () => {
      keyboard.touch([
        { contact: 0, kind: 'down', x: 10, y: 20 },
        { contact: 2, kind: 'down', x: 999, y: 499 },
      ]);
      keyboard.touch([{ contact: 0, kind: 'up' }]);
    });
    // ABS_MT_SLOT is 47, ABS_MT_TRACKING_ID 57, ABS_MT_POSITION_X and _Y 53 and 54; the rest is Linux's pointer made of them.
    expect(told.filter((line) => /^abs [45]/.test(line))).toEqual([
      'abs 57 0',
      'abs 53 10',
      'abs 54 20',
      'abs 47 2',
      'abs 57 1',
      'abs 53 999',
      'abs 54 499',
      'abs 47 0',
      'abs 57 -1',
    ]);
    // BTN_TOUCH.
    expect(told.filter((line) => line.startsWith('key'))).toEqual(['key 330 1']);
  });

  it('connects anew when the drivers are bound again', async () => {
    for (const device of ['vfb', 'vkbd']) {
      const driver = `/sys/bus/xen/drivers/${device}`;
      await sh(`echo ${device}-0 >${driver}/unbind`);
      await expect.poll(() => (device === 'vfb' ? screen.size : keyboard.absolute)).toBeUndefined();
      await sh(`echo ${device}-0 >${driver}/bind`);
      await expect.poll(() => (device === 'vfb' ? screen.size : keyboard.absolute)).toBeDefined();
    }
    await sh('for console in /sys/class/vtconsole/*; do grep -q frame $console/name && echo 0 >$console/bind; done');
    await sh('cat /display/picture >/dev/fb0');
    expect(Buffer.compare(screen.snapshot()?.rgba as Uint8Array, asRgba(pixelPattern(SCREEN)))).toBe(0);
    expect(await events('Xen Virtual Keyboard', () => keyboard.key(30, true))).toEqual(['key 30 1']);
  });

  it('connects anew after a suspend as if restored', async () => {
    const { domain } = guest;
    const suspended = expect.poll(() => domain.state, { timeout: 20_000 }).toBe('suspended');
    domain.shutdown('suspend');
    await suspended;
    await domain.resume();
    await expect.poll(() => [screen.size, keyboard.absolute], { timeout: 20_000 }).toEqual([SCREEN, true]);
    expect(Buffer.compare(screen.snapshot()?.rgba as Uint8Array, asRgba(pixelPattern(SCREEN)))).toBe(0);
    expect(await events('Xen Virtual Keyboard', () => keyboard.key(31, true))).toEqual(['key 31 1']);
  });

  it('loses them and gets others while it runs', async () => {
    const { devices } = guest.domain;
    expect([await devices.detach('vfb', '0'), await devices.detach('vkbd', '0')]).toEqual([true, true]);
    await sh('while [ -e /dev/fb0 ] || ls /dev/input/event*; do sleep 0.1; done >/dev/null 2>&1');
    expect([screen.snapshot(), devices.list()]).toEqual([undefined, []]);
    [screen, keyboard] = [dom1.frameBufferDevice({ width: 640, height: 480 }), dom1.keyboardDevice()];
    for (const device of [screen, keyboard]) await devices.attach(device, { timeout: 20_000 });
    await sh('while ! [ -e /dev/fb0 ]; do sleep 0.1; done');
    expect(screen.size).toEqual({ width: 640, height: 480 });
    expect(await events('Xen Virtual Keyboard', () => keyboard.key(32, true))).toEqual(['key 32 1']);
  });

  it('has nothing to complain of', async () => {
    await guest.log();
  });
});
