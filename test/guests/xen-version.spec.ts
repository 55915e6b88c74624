// xen_version and the identity in CPUID: public/version.h, xen/common/kernel.c, docs of the CPUID leaves in arch-x86/cpuid.h.
import { describe, expect, it } from 'vitest';
import { useProbe, WIDTHS } from './use-probe.ts';
import { E, HYPERVISOR } from './xen-numbers.ts';

const VERSION = { version: 0, extraversion: 1, compile_info: 2, capabilities: 3, changeset: 4, platform_parameters: 5 } as const;
const LATER = { get_features: 6, pagesize: 7, guest_handle: 8, commandline: 9, build_id: 10 } as const;
const VARIABLE = { extraversion2: 11, capabilities2: 12, changeset2: 13, commandline2: 14 } as const;
const XENVER = { ...VERSION, ...LATER, ...VARIABLE } as const;
/** Bytes that the operation writes. */
const STRINGS = { extraversion: 16, compile_info: 144, capabilities: 1024, changeset: 64, commandline: 1024 } as const;

describe.each(WIDTHS)('xen_version of a %i-bit guest', (width) => {
  const guest = useProbe(width);
  const version = (op: number, arg = 0): number => guest.probe.call(HYPERVISOR.xen_version, op, arg);

  it('is 4.20', () => {
    expect(version(XENVER.version)).toBe(0x0004_0014);
  });

  it.each(Object.entries(STRINGS))('%s fills its whole structure with terminated text, and no more', (name, size) => {
    const { probe } = guest;
    const at = probe.alloc(size + 8);
    probe.write(at, new Uint8Array(size + 8).fill(0xaa));
    expect(version(XENVER[name as keyof typeof STRINGS], at)).toBe(0);
    expect(probe.u8(at + size - 1)).toBe(0);
    expect(probe.get(at + size, 8)).toBe(0xaaaa_aaaa_aaaa_aaaan);
  });

  it('tells its capabilities, and no domU its command line', () => {
    const { probe } = guest;
    const at = probe.alloc(1024);
    version(XENVER.capabilities, at);
    expect(probe.text(at, 1024)).toMatch(/^xen-3\.0-x86_64 .*hvm-3\.0-x86_32p hvm-3\.0-x86_64/);
    version(XENVER.commandline, at);
    expect(probe.text(at, 9)).toBe('<denied>\0');
  });

  it.each([...Object.keys(STRINGS), 'platform_parameters', 'get_features', 'guest_handle'])(
    '%s needs a pointer that works',
    (name) => {
      const { probe } = guest;
      const op = XENVER[name as keyof typeof XENVER];
      expect(version(op, probe.hole())).toBe(E.FAULT);
      expect(version(op, probe.readOnly(probe.pages()))).toBe(E.FAULT);
    },
  );

  it('platform_parameters is 0, in a pointer of the caller', () => {
    const { probe } = guest;
    const at = probe.make(16, [0, 8, 0xffff_ffff_ffff_ffffn], [8, 8, 0xffff_ffff_ffff_ffffn]);
    expect(version(XENVER.platform_parameters, at)).toBe(0);
    expect(probe.pointer(at)).toBe(0n);
    expect(probe.u32(at + probe.word)).toBe(0xffff_ffff);
  });

  it('offers the features of a PVH domain, in sub-map 0 only', () => {
    const { probe } = guest;
    const at = probe.make(8, [0, 4, 0]);
    expect(version(XENVER.get_features, at)).toBe(0);
    const bits = [0, 2, 8, 9, 13, 16, 18, 19, 20];
    expect(probe.u32(at + 4)).toBe(bits.reduce((sum, bit) => sum | (1 << bit), 0));
    expect(version(XENVER.get_features, probe.put(at, [0, 4, 1]))).toBe(E.INVAL);
  });

  it('answers across a page boundary, and faults when the second page is missing', () => {
    const { probe } = guest;
    const at = probe.scattered() + 0xffc;
    expect(version(XENVER.get_features, probe.put(at, [0, 4, 0], [4, 4, 0]))).toBe(0);
    expect(probe.u32(at + 4)).not.toBe(0);
    const page = probe.map(probe.pages());
    probe.hole();
    expect(version(XENVER.get_features, page + 0xffc)).toBe(E.FAULT);
    expect(version(XENVER.get_features, page + 0xff8)).toBe(0);
  });

  it('has pages of 4096 bytes, for no argument', () => {
    expect(version(XENVER.pagesize)).toBe(4096);
    expect(version(XENVER.pagesize, guest.probe.alloc(8))).toBe(E.INVAL);
  });

  it('knows the domain by a UUID', () => {
    const { probe } = guest;
    const at = probe.alloc(24);
    expect(version(XENVER.guest_handle, at)).toBe(0);
    expect(probe.read(at, 16).some((byte) => byte !== 0)).toBe(true);
    expect(probe.get(at + 16, 8)).toBe(0n);
  });

  it('keeps its build id from a domU', () => {
    expect(version(XENVER.build_id, guest.probe.alloc(64))).toBe(E.PERM);
  });

  it.each(Object.entries(VARIABLE))('%s: length first, then text without a terminator', (name, op) => {
    const { probe } = guest;
    const length = version(op);
    expect(length).toBeGreaterThan(0);
    const fixed = probe.alloc(1024);
    version(XENVER[name.slice(0, -1) as keyof typeof STRINGS], fixed);
    const at = probe.put(probe.alloc(1032), [0, 4, length], [4 + length, 1, 0x55]);
    expect(version(op, at)).toBe(length);
    expect(probe.text(at + 4, length)).toBe(probe.text(fixed, length));
    expect(probe.u8(at + 4 + length)).toBe(0x55);
    expect(version(op, probe.put(at, [0, 4, length - 1]))).toBe(E.NOBUFS);
    expect(version(op, probe.put(at, [0, 4, 0]))).toBe(E.INVAL);
    expect(version(op, probe.hole())).toBe(E.FAULT);
  });

  it.each([15, 16, 0x7fff_ffff, 0xffff_ffff])('has no operation %i', (op) => {
    expect(version(op)).toBe(E.NOSYS);
  });

  it('shows itself in CPUID', () => {
    const { probe } = guest;
    const [max, ...signature] = probe.cpuid(0x4000_0000);
    expect(signature).toEqual([0x566e_6558, 0x6558_4d4d, 0x4d4d_566e]);
    expect(max).toBeGreaterThanOrEqual(0x4000_0004);
    expect(max).toBeLessThanOrEqual(0x4000_0005);
    expect(probe.cpuid(1)[2] >>> 31).toBe(1);
    expect(probe.cpuid(0x4000_0001)).toEqual([0x0004_0014, 0, 0, 0]);
    const [pages, msr] = probe.cpuid(0x4000_0002);
    expect([pages, msr]).toEqual([1, 0x4000_0000]);
    const [flags, vcpu, domid] = probe.cpuid(0x4000_0004);
    // IOMMU_MAPPINGS, VCPU_ID_PRESENT, DOMID_PRESENT, UPCALL_VECTOR.
    expect(flags & 0x5c).toBe(0x5c);
    expect(vcpu).toBe(0);
    expect(domid).toBeGreaterThan(0);
  });
});
