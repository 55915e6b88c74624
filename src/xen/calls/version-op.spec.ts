import { describe, expect, it } from 'vitest';
import { EFAULT, EINVAL, ENOBUFS, ENOSYS, EPERM } from '../../abi/xen/errno.ts';
import { XENVER } from '../../abi/xen/version.ts';
import { TestGuest } from '../fixtures/test-guest.ts';

const ARG = 0x2000;
const text = (g: TestGuest, at: number, size: number) => {
  const bytes = new Uint8Array(size);
  g.memory.read(at as never, bytes);
  return String.fromCharCode(...bytes).replace(/\0.*$/, '');
};

describe('xen_version', () => {
  const g = new TestGuest();
  const ver = (cmd: number, arg: number = ARG) => g.call('xen_version', cmd, arg);

  it('is 4.20 with pages of 4096 bytes', () => {
    expect(ver(XENVER.version, 0)).toBe(0x0004_0014);
    expect(ver(XENVER.pagesize, 0)).toBe(4096);
    expect(ver(XENVER.pagesize, 8)).toBe(-EINVAL);
  });

  it('has strings', () => {
    expect(ver(XENVER.extraversion)).toBe(0);
    expect(text(g, ARG, 16)).toBe('.0');
    expect(ver(XENVER.capabilities)).toBe(0);
    expect(text(g, ARG, 1024)).toBe('xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 ');
    expect(ver(XENVER.commandline)).toBe(0);
    expect(text(g, ARG, 1024)).toBe('<denied>');
    expect(ver(XENVER.compile_info)).toBe(0);
    expect(ver(XENVER.extraversion, 0xdead_0000)).toBe(-EFAULT);
  });

  it('has the features of an HVM guest without pirqs', () => {
    g.poke(ARG, 0, 0);
    expect(ver(XENVER.get_features)).toBe(0);
    const bits = [...Array(32).keys()].filter((n) => (g.peek(ARG + 4) >>> n) & 1);
    expect(bits).toEqual([0, 2, 8, 9, 13, 16, 18, 19, 20]);
    g.poke(ARG, 1, 0);
    expect(ver(XENVER.get_features)).toBe(-EINVAL);
  });

  it('names the domain, and nothing it should not', () => {
    expect(ver(XENVER.guest_handle)).toBe(0);
    expect(g.peek(ARG)).toBe(0x0403_0201);
    g.poke(ARG, 1, 1);
    expect(ver(XENVER.platform_parameters)).toBe(0);
    expect(g.peek64(ARG)).toBe(0n);
    expect(ver(XENVER.build_id)).toBe(-EPERM);
    expect(ver(15)).toBe(-ENOSYS);
  });

  it('answers variable-length strings without a terminator', () => {
    expect(ver(XENVER.extraversion2, 0)).toBe(2);
    g.poke(ARG, 2, 0x5555_5555);
    expect(ver(XENVER.extraversion2)).toBe(2);
    expect(g.peek(ARG + 4)).toBe(0x5555_302e);
    g.poke(ARG, 1);
    expect(ver(XENVER.extraversion2)).toBe(-ENOBUFS);
    g.poke(ARG, 0);
    expect(ver(XENVER.extraversion2)).toBe(-EINVAL);
  });
});

describe('vm_assist', () => {
  it('knows the runstate update flag, and shows it while the area is written', () => {
    const g = new TestGuest();
    expect(g.call('vm_assist', 0, 0)).toBe(-EINVAL);
    expect(g.call('vm_assist', 2, 5)).toBe(-ENOSYS);
    expect(g.call('vm_assist', 0, 5)).toBe(0);
    const caller = g.callers[0];
    const tops: number[] = [];
    const write = caller?.writeVirtual.bind(caller);
    if (caller && write) {
      caller.writeVirtual = (address, from) => {
        const done = write(address, from);
        tops.push(g.peek(0x600c) >>> 31);
        return done;
      };
    }
    g.call('vcpu_op', 5, 0, g.poke(ARG, 0x6000, 0));
    expect(tops).toEqual([1, 1, 0]);
    expect(g.call('vm_assist', 1, 5)).toBe(0);
    tops.length = 0;
    g.vcpus[0]?.runstate.publish();
    expect(tops).toEqual([0]);
  });
});

describe('console_io', () => {
  it('is refused to a domU', () => {
    expect(new TestGuest().call('console_io', 0, 4, ARG)).toBe(-EPERM);
  });

  it('writes to the host when the domain is configured so', () => {
    const g = new TestGuest({ config: { consoleIo: true } });
    g.poke(ARG, 0x4241_4443);
    expect(g.call('console_io', 0, 4, ARG)).toBe(0);
    expect(String.fromCharCode(...g.log)).toBe('CDAB');
    expect(g.call('console_io', 0, 4, 0xdead_0000)).toBe(-EFAULT);
    expect([1, 2].map((cmd) => g.call('console_io', cmd, 4, ARG))).toEqual([-EPERM, -EPERM]);
  });
});
