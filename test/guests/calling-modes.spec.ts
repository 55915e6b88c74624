// Hypercalls from 16-bit code and from real mode: xen/arch/x86/hvm/hypercall.c asks for level 0 in protected mode and for nothing
// in real mode; both have the 32-bit convention. And from the other vendor's instruction, which this processor does not have.
import { beforeAll, describe, expect, it } from 'vitest';
import { GuestCode, R, type Width } from './guest-code.ts';
import type { Probe } from './probe.ts';
import { AT, OP, SELECTOR } from './probe-layout.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { DOMID, E, HYPERVISOR, XENMEM, XENVER } from './xen-numbers.ts';

const UD = 6;
/** Below 64 KiB, for real mode; nothing else of the guest's is there. */
const LOW = 0x9000;
const VMCALL = [0x0f, 0x01, 0xc1] as const;
const VMMCALL = [0x0f, 0x01, 0xd9] as const;
const RET = 0xc3;
/** Descriptors that the probe has not: flat and with a limit of 64 KiB, as real mode wants to be left and entered. */
const CODE16 = { selector: 0x40, value: 0x0000_9a00_0000_ffffn } as const;
const VERSION = 0x0004_0014;
const CR0_PE = 1;
const CR0_PG = 0x8000_0000;

/** EAX, EBX and ECX of a call. */
type Registers = readonly [nr: number, first: number, second: number];

/** Makes a call from 16-bit code, in protected mode or in real mode, and returns with its EAX in EAX. */
function callFrom16(width: Width, real: boolean, [nr, first, second]: Registers): Uint8Array {
  const code = new GuestCode(width, LOW);
  // To 16-bit code, by a far return: 64-bit code has no far jump with an immediate. The stack keeps its segment.
  code.constant(R.a, CODE16.selector).push(R.a).addressIn(R.a, 'code16').push(R.a).rexW().bytes(0xcb);
  code.label('code16');
  const cr0 = (operation: 1 | 4, bits: number): void => {
    code.bytes(0x0f, 0x20, 0xc0, 0x66).arithmetic32(operation, R.a, bits).bytes(0x0f, 0x22, 0xc0);
  };
  if (real) {
    cr0(4, ~(CR0_PE | CR0_PG));
    code.bytes(0x66, 0xea).pointer32('real').bytes(0, 0).label('real'); // jmp far 0:real
  }
  code.bytes(0x66).constant(R.a, nr).bytes(0x66).constant(R.b, first).bytes(0x66).constant(R.c, second);
  code.bytes(...VMCALL, 0x66).move32(R.si, R.a);
  if (real) cr0(1, CR0_PE | CR0_PG);
  code.bytes(0x66, 0xea).pointer32('back').bytes(SELECTOR.code, 0).label('back'); // jmp far
  return code.move32(R.a, R.si).bytes(RET).finish();
}

describe.each(WIDTHS)('a processor of a %i-bit guest', (width) => {
  const guest = useProbe(width);
  const callCode = (probe: Probe, at: number, ...registers: readonly number[]): number =>
    Number(BigInt.asIntN(32, probe.vcpus[0]?.callAt(at, ...registers)[0] ?? 0n));
  const call16 = (real: boolean, ...registers: Registers): number => {
    const { probe } = guest;
    probe.write(LOW, callFrom16(width, real, registers));
    return callCode(probe, LOW);
  };
  beforeAll(() => void guest.probe.put(AT.gdt, [CODE16.selector, 8, CODE16.value]));

  describe.each([
    ['16-bit protected mode', false],
    ['real mode', true],
  ])('in %s', (_, real) => {
    it('makes a hypercall', () => {
      expect(call16(real, HYPERVISOR.xen_version, XENVER.version, 0)).toBe(VERSION);
      expect(call16(real, 63, 0, 0)).toBe(E.NOSYS);
    });

    it('passes pointers, and structures of 32-bit code', () => {
      const { probe } = guest;
      const features = probe.make(8, [0, 4, 0]);
      expect(call16(real, HYPERVISOR.xen_version, XENVER.get_features, features)).toBe(0);
      expect(probe.u32(features + 4)).not.toBe(0);
      // A pointer of 4 bytes.
      const parameters = probe.make(8, [0, 8, 0xffff_ffff_ffff_ffffn]);
      expect(call16(real, HYPERVISOR.xen_version, XENVER.platform_parameters, parameters)).toBe(0);
      expect(probe.get(parameters, 8)).toBe(0xffff_ffff_0000_0000n);
      const domain = probe.make(2, [0, 2, DOMID.missing]);
      expect(call16(real, HYPERVISOR.memory_op, XENMEM.current_reservation, domain)).toBe(E.SRCH);
    });

    it('has pointers by physical addresses where there is no paging', () => {
      const { probe } = guest;
      const at = probe.map(probe.pages());
      probe.put(at, [0, 4, 0]);
      expect(call16(real, HYPERVISOR.xen_version, XENVER.get_features, at)).toBe(real ? E.FAULT : 0);
    });
  });

  it('takes a call again afterwards', () => {
    expect(guest.probe.call(HYPERVISOR.xen_version, XENVER.version)).toBe(VERSION);
  });

  it('of Intel has VMCALL, and not VMMCALL of AMD: #UD', () => {
    const { probe } = guest;
    const [, b, c, d] = probe.cpuid(0);
    expect([b, d, c]).toEqual([0x756e_6547, 0x4965_6e69, 0x6c65_746e]);
    const at = probe.pages();
    probe.write(at, Uint8Array.of(...VMCALL, RET));
    expect(callCode(probe, at, HYPERVISOR.xen_version)).toBe(VERSION);
    const other = probe.pages();
    probe.write(other, Uint8Array.of(...VMMCALL, RET));
    probe.hypercallPage = other;
    expect(probe.attempt(OP.callByPage, 0)).toMatchObject({ vector: UD });
  });
});
