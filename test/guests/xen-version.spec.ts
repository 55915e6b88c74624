// xen_version and the identity in CPUID: public/version.h, xen/common/kernel.c, docs of the CPUID leaves in arch-x86/cpuid.h.
import { describe, expect, it } from 'vitest';
import { useProbe, WIDTHS } from './use-probe.ts';
import { E, HYPERVISOR, XENVER } from './xen-numbers.ts';

/** The operations that fill a structure of so many bytes with text. */
const STRINGS = [
  ['extraversion', XENVER.extraversion, 16],
  ['compile_info', XENVER.compile_info, 144],
  ['capabilities', XENVER.capabilities, 1024],
  ['changeset', XENVER.changeset, 64],
  ['commandline', XENVER.commandline, 1024],
] as const;
/** Those of 4.18, for text of any length, and the older ones. */
const VARIABLE = [
  ['extraversion2', XENVER.extraversion2, XENVER.extraversion],
  ['capabilities2', XENVER.capabilities2, XENVER.capabilities],
  ['changeset2', XENVER.changeset2, XENVER.changeset],
  ['commandline2', XENVER.commandline2, XENVER.commandline],
] as const;

describe.each(WIDTHS)('xen_version of a %i-bit guest', (width) => {
  const guest = useProbe(width);
  const version = (op: number, arg = 0): number => guest.probe.call(HYPERVISOR.xen_version, op, arg);

  it('is 4.20', () => {
    expect(version(XENVER.version)).toBe(0x0004_0014);
  });

  it.each(STRINGS)('%s fills its whole structure with terminated text, and no more', (_, op, size) => {
    const { probe } = guest;
    const at = probe.alloc(size + 8);
    probe.write(at, new Uint8Array(size + 8).fill(0xaa));
    expect(version(op, at)).toBe(0);
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

  it.each([
    ...STRINGS.map(([name, op]) => [name, op] as const),
    ['platform_parameters', XENVER.platform_parameters],
    ['get_features', XENVER.get_features],
    ['guest_handle', XENVER.guest_handle],
  ] as const)('%s needs a pointer that works', (_, op) => {
    const { probe } = guest;
    expect(version(op, probe.hole())).toBe(E.FAULT);
    expect(version(op, probe.readOnly(probe.pages()))).toBe(E.FAULT);
  });

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

  it.each(VARIABLE)('%s: length first, then text without a terminator', (_, op, older) => {
    const { probe } = guest;
    const length = version(op);
    expect(length).toBeGreaterThan(0);
    const fixed = probe.alloc(1024);
    version(older, fixed);
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
