// A further console between its owner and a frontend.
import { afterEach, describe, expect, it } from 'vitest';
import { XENCONS } from '../../abi/xen/console.ts';
import { formatStore } from '../../xen/store/format-store.ts';
import { BackendGuest, settle } from '../fixtures/backend-guest.ts';
import { ConsoleDevice, type ConsoleDeviceOptions } from './console-device.ts';
import { OUTPUT_LIMIT } from './output-reader.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

function setUp(options: ConsoleDeviceOptions = {}) {
  const guest = new BackendGuest();
  const device = new ConsoleDevice(options);
  let output = '';
  const reader = device.pipe.reader((bytes) => {
    output += new TextDecoder().decode(bytes);
  });
  const backend = device.attach(guest.bus);
  const home = `device/console/${device.id}`;
  const front = async (state: number): Promise<number> => {
    guest.own.write(`${home}/state`, state);
    await settle();
    return Number(guest.own.read(`${backend.paths.backend}/state`));
  };
  const gfn = guest.allocPage();
  let page = guest.page(gfn);
  let [ref, port] = [0, 0];
  const word = (offset: number): DataView => new DataView(page.buffer, page.byteOffset + offset, 4);
  return {
    guest,
    device,
    backend,
    home,
    front, // biome-ignore format: what there is
    output: () => output,
    reader,
    port: () => port,
    /** As Linux's driver: straight to Initialised. */
    async connect(keys: { ref?: number; port?: number } = {}) {
      page = guest.page(gfn).fill(0);
      ref = keys.ref ?? guest.share(gfn);
      port = keys.port ?? guest.openPort();
      guest.own.write(`${home}/ring-ref`, ref);
      guest.own.write(`${home}/port`, port);
      return await front(3);
    },
    async disconnect() {
      expect(await front(6)).toBe(6);
      guest.unshare(ref);
      guest.closePort(port);
    },
    print(bytes: Uint8Array): number {
      const room =
        XENCONS.out_size - ((word(XENCONS.out_prod).getUint32(0, true) - word(XENCONS.out_cons).getUint32(0, true)) >>> 0);
      let prod = word(XENCONS.out_prod).getUint32(0, true);
      for (const byte of bytes.subarray(0, room)) page[XENCONS.out + (prod++ % XENCONS.out_size)] = byte;
      word(XENCONS.out_prod).setUint32(0, prod, true);
      guest.send(port);
      return Math.min(room, bytes.length);
    },
    read(): string {
      let text = '';
      let cons = word(XENCONS.in_cons).getUint32(0, true);
      while (cons !== word(XENCONS.in_prod).getUint32(0, true))
        text += String.fromCharCode(page[XENCONS.in + (cons++ % XENCONS.in_size)] ?? 0);
      word(XENCONS.in_cons).setUint32(0, cons, true);
      guest.send(port);
      return text;
    },
    poke: (offset: number, value: number) => word(offset).setUint32(0, value, true),
  };
}

let open: BackendGuest | undefined;
const started = (options?: ConsoleDeviceOptions) => {
  const c = setUp(options);
  open = c.guest;
  return c;
};
afterEach(async () => {
  await open?.bus.close();
  open = undefined;
});

describe('a further console', () => {
  it('has the nodes that libxl writes; the guest may only read what a user relies on', () => {
    const { guest } = started({ id: 2, channel: 'org.x.agent', connection: 'socket', path: '/run/a' });
    const [front, back] = ['/local/domain/7/device/console/2', '/local/domain/0/backend/console/7/2'];
    const flat = (path: string): string => formatStore(guest.store, { path, flat: true, permissions: true });
    expect(flat(front)).toBe(`${front}/backend = "${back}"   (n7,r0)
${front}/backend-id = "0"   (n7,r0)
${front}/state = "1"   (n7,r0)
${front}/protocol = "vt100"   (n7,r0)
${front}/name = "org.x.agent"   (n0,r7)
${front}/limit = "1048576"   (n0,r7)
${front}/type = "ioemu"   (n0,r7)
${front}/output = "chardev:libxl-channel2"   (n0,r7)
${front}/tty = ""   (n0,r7)
`);
    for (const [key, value] of Object.entries({ protocol: 'vt100', name: 'org.x.agent', connection: 'socket', path: '/run/a' }))
      expect(guest.own.read(`${back}/${key}`)).toBe(value);
    expect(guest.zero.read('/libxl/7/device/console/2/name')).toBe('org.x.agent');
    expect(() => guest.own.write(`${front}/tty`, '/dev/sda')).toThrow('EACCES');
  });

  it('carries bytes both ways, typed before the guest was there too', async () => {
    const c = started();
    expect(c.device.pipe.write(encode('early '))).toBe(6);
    expect(await c.connect()).toBe(4);
    expect(c.guest.takeEvent(c.port())).toBe(true);
    c.device.pipe.write(encode('late'));
    expect(c.read()).toBe('early late');
    c.print(encode('hello'));
    expect(c.output()).toBe('hello');
  });

  it('goes on after the driver was loaded anew, and after a machine that was reset', async () => {
    const c = started();
    await c.connect();
    c.print(encode('one '));
    await c.disconnect();
    expect(await c.front(1)).toBe(2);
    c.device.pipe.write(encode('kept'));
    expect(await c.connect()).toBe(4);
    expect(c.read()).toBe('kept');
    c.print(encode('two'));
    expect(c.output()).toBe('one two');
    await c.disconnect();
  });

  it('takes what was printed last before it lets go', async () => {
    const c = started();
    await c.connect();
    c.print(encode('a'));
    c.print(encode(' b')); // while the channel is held
    await c.disconnect();
    await pause();
    expect(c.output()).toBe('a b');
  });

  it('keeps 1 MiB for a reader who is slow, and drops what is beyond', async () => {
    const c = started();
    await c.connect();
    c.reader.hold();
    const block = new Uint8Array(2048).fill(120);
    for (let i = 0; i < OUTPUT_LIMIT / 2048 + 3; i++) expect(c.print(block)).toBe(2048);
    expect(c.output()).toBe('');
    c.reader.resume();
    expect(c.output()).toHaveLength(OUTPUT_LIMIT);
    expect(c.device.pipe.inspect()).toMatchObject({ output_dropped: 3 * 2048, output_waits: 0 });
  });

  it('does not keep others from what one of them is too slow for', async () => {
    const c = started();
    await c.connect();
    const quick: string[] = [];
    c.device.pipe.onOutput((bytes) => quick.push(new TextDecoder().decode(bytes)));
    c.reader.hold();
    c.print(encode('now'));
    expect([quick, c.output()]).toEqual([['now'], '']);
    c.reader.resume();
    expect(c.output()).toBe('now');
  });

  it('or has the guest wait, and loses nothing', async () => {
    const c = started({ whenFull: 'wait' });
    await c.connect();
    c.reader.hold();
    const block = new Uint8Array(2048).fill(120);
    let printed = 0;
    for (let i = 0; i < OUTPUT_LIMIT / 2048 + 3; i++) printed += c.print(block);
    expect(printed).toBe(OUTPUT_LIMIT + 2048);
    c.reader.resume();
    expect(c.output()).toHaveLength(printed);
    expect(c.print(encode('end'))).toBe(3);
    await pause();
    expect(c.output()).toMatch(/xend$/);
  });

  it('serves a reader who takes one piece at a time', async () => {
    const c = started({ whenFull: 'wait' });
    await c.connect();
    const got: number[] = [];
    const reader = c.device.pipe.reader((bytes) => {
      got.push(bytes.length);
      reader.hold();
    });
    const block = new Uint8Array(2048).fill(120);
    let printed = 0;
    for (let i = 0; i < 2 * (OUTPUT_LIMIT / 2048); i++) printed += c.print(block);
    for (let i = 0; i < 4; i++) reader.resume();
    expect(got).toEqual([2048, OUTPUT_LIMIT, 2048]);
    expect(printed).toBe(OUTPUT_LIMIT + 4096);
  });

  it('takes 64 KiB of input for a guest that does not read, and tells when it has', async () => {
    const c = started();
    let told = 0;
    c.device.pipe.onRoom(() => told++);
    expect(c.device.pipe.write(new Uint8Array(70_000).fill(65))).toBe(65536);
    await c.connect();
    expect([told, c.device.pipe.write(new Uint8Array(5000).fill(66))]).toEqual([1, 1024]);
    let length = 0;
    for (let got = c.read(); got !== ''; got = c.read()) length += got.length;
    expect(length).toBe(65536 + 1024);
  });
});

describe('a frontend that lies', () => {
  it.each([
    ['a reference that is no grant', { ref: 900 }, 5],
    ['a reference beyond the table', { ref: 0xffff_ffff }, 22],
    ['a port that is not for us', { port: 200 }, 22],
    ['no port', { port: 0 }, 22],
  ])('is refused: %s', async (_what, keys, errno) => {
    const c = started();
    await settle();
    expect(await c.connect(keys)).toBe(5);
    expect(c.guest.own.read(`error/${c.home}/error`)).toMatch(`${errno} `);
    expect(c.device.pipe.inspect()).toMatchObject({ connected: false });
  });

  it('about its indices is left alone until they are possible again', async () => {
    const c = started();
    await c.connect();
    c.poke(XENCONS.out_prod, 5000);
    c.poke(XENCONS.in_cons, 7);
    c.guest.send(c.port());
    c.device.pipe.write(encode('x'));
    expect([c.output(), c.backend.driver.inspect?.()]).toEqual(['', expect.objectContaining({ ring_errors: 2 })]);
    c.poke(XENCONS.out_prod, 0);
    c.poke(XENCONS.in_cons, 0);
    c.print(encode('sane'));
    expect([c.output(), c.read()]).toEqual(['sane', 'x']);
  });
});

it.each([0, -1, 1.5, 65536])('has no number %s', (id) => {
  expect(() => new ConsoleDevice({ id })).toThrow(RangeError);
});
