// What a person has before them with an HVM guest: its VGA, in text mode and as a linear frame buffer under Linux's bochs driver, and the keyboard
// and the mouse behind its 8042.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpioDirectory, cpioFile } from '../../src/image/cpio.ts';
import { kernelModuleFiles } from '../../src/node/kernel-modules.ts';
import { inputEvents } from './input-events.ts';
import { BOOT_TIME, dom1 } from './kernels.ts';
import { asRgba, pixelPattern } from './pixel-pattern.ts';
import { XenGuest, xenGuestParts } from './xen-guest.ts';

const parts = await xenGuestParts('linux-image-amd64');
/** What Linux's driver has without being told. */
const SCREEN = { width: 1024, height: 768 } as const;

describe.skipIf(parts === undefined)('a guest with a VGA, a PS/2 keyboard and a mouse', { timeout: 2 * BOOT_TIME }, () => {
  let guest: XenGuest;
  const sh = (command: string): Promise<string> => guest.sh(command, { timeout: 60_000 });
  const press = (combination: string): void => {
    const codes = dom1.keyCodes(combination);
    for (const code of codes) guest.domain.input?.key(code, true);
    for (const code of [...codes].reverse()) guest.domain.input?.key(code, false);
  };

  beforeAll(async () => {
    if (parts === undefined) return;
    guest = await XenGuest.boot(parts, {
      type: 'hvm',
      memory: '384MiB',
      files: [
        cpioDirectory('screen'),
        cpioFile('screen/picture', pixelPattern(SCREEN)),
        ...(await kernelModuleFiles(parts, ['evdev', 'psmouse'], 'input')),
        ...(await kernelModuleFiles(parts, ['bochs'], 'card')),
      ],
      commandLine: 'console=tty0 console=hvc0',
    });
    await sh('for module in /input/*; do insmod $module; done');
    await sh('until grep -q "PS/2 .*Mouse" /sys/class/input/event*/device/name; do sleep 0.1; done');
  }, 2 * BOOT_TIME);
  afterAll(() => guest?.domain.destroy());

  it('shows text as it is printed', async () => {
    await sh("printf '\\033[2J\\033[1;1HHello, \\033[3;4Hscreen' >/dev/tty1");
    const { screen } = guest.domain;
    await expect.poll(() => screen?.text()?.slice(0, 3)).toEqual(['Hello,', '', '   screen']);
    expect(screen?.text()).toHaveLength(25);
    expect([screen?.snapshot()?.width, screen?.snapshot()?.height]).toEqual([720, 400]);
  });

  it('takes what is typed for the shell that reads the screen', async () => {
    await sh('(read line </dev/tty1; echo "$line" >/tmp/line) >/dev/null 2>&1 &');
    await sh('sleep 0.2');
    // More than the keyboard keeps.
    const text = 'The quick brown fox says "Hi!" to 0123456789 lazy dogs, & <jumps>.';
    for (const stroke of dom1.textStrokes(`${text}\n`)) {
      for (const code of stroke) guest.domain.input?.key(code, true);
      for (const code of stroke) guest.domain.input?.key(code, false);
    }
    await sh('while ! [ -s /tmp/line ]; do sleep 0.1; done');
    expect(await sh('cat /tmp/line')).toBe(text);
    expect(guest.domain.screen?.text()?.join('\n')).toContain(text);
  });

  // Few at a time: evdev keeps 64 events, of which a key has six.
  it.each([
    ['plain ones', ['a', 'f12', 'kp_add', 'less', 'yen', 'ro']],
    ['behind a prefix', ['kp_enter', 'up', 'delete', 'meta_l', 'volumeup', 'alt_r']],
    ['with a sequence of their own', ['pause', 'print']],
  ])('gets keys as Linux calls them: %s', async (_kind, keys) => {
    const told = await inputEvents(sh, 'AT Translated Set 2 keyboard', () => keys.forEach(press));
    expect(told).toEqual(keys.flatMap((key) => [`key ${dom1.keyCode(key)} 1`, `key ${dom1.keyCode(key)} 0`]));
  });

  it('gets the mouse, its wheel and its buttons', async () => {
    const told = await inputEvents(sh, 'PS/2 .*Mouse', () => {
      guest.domain.input?.pointer({ dx: 5, dy: -3 });
      guest.domain.input?.pointer({ wheel: 1, buttons: { right: true } });
      guest.domain.input?.pointer({ buttons: { right: false } });
    });
    // REL_X, REL_Y, REL_WHEEL whose positive direction is away from the user (and 11, the same in 120ths), BTN_RIGHT.
    expect(told.filter((line) => !line.startsWith('rel 11'))).toEqual([
      'rel 0 5',
      'rel 1 -3',
      'rel 8 -1',
      'key 273 1',
      'key 273 0',
    ]);
  });

  it('does what SysRq says', async () => {
    press('alt-sysrq-h');
    await expect.poll(() => sh('dmesg')).toContain('sysrq: HELP : ');
    press('alt-sysrq-3');
    await expect.poll(() => sh('dmesg')).toContain('sysrq: Changing Loglevel');
    expect(await sh('cut -f 1 /proc/sys/kernel/printk')).toBe('3');
  });

  it('shows every pixel of a linear frame buffer', async () => {
    await sh('for module in $(ls /card | sort -n); do insmod /card/$module; done; until [ -e /dev/fb0 ]; do sleep 0.1; done');
    expect(await sh('cat /sys/class/graphics/fb0/name')).toMatch(/bochs/);
    expect(await sh('cat /sys/class/graphics/fb0/virtual_size')).toBe(`${SCREEN.width},${SCREEN.height}`);
    await sh('for console in /sys/class/vtconsole/*; do grep -q frame $console/name && echo 0 >$console/bind; done; true');
    await sh('cat /screen/picture >/dev/fb0');
    const expected = asRgba(pixelPattern(SCREEN));
    const { screen } = guest.domain;
    expect(screen?.text()).toBeUndefined();
    await expect.poll(() => Buffer.compare(screen?.snapshot()?.rgba ?? new Uint8Array(), expected)).toBe(0);
    expect(screen?.snapshot()).toMatchObject(SCREEN);
  });

  it('has nothing to complain of', async () => {
    await guest.log();
  });
});
