// Microsoft's hypervisor interface beside Xen's: CPUID leaves, MSRs and reference time.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PAGE_SIZE } from '../../abi/types.ts';
import { HVM_PARAM, HVMPV } from '../../abi/xen/hvm.ts';
import { SHUTDOWN } from '../../abi/xen/sched.ts';
import { P2M_BYTES } from '../../memory/guest-memory.ts';
import { readXenMsr, writeXenMsr } from '../calls/hypercall-page.ts';
import { xenCpuid } from '../cpuid.ts';
import { DOMID, RAM_PAGES } from '../fixtures/test-guest.ts';
import { tscScale } from '../time/pvclock.ts';
import { ViridianGuest } from './fixtures/viridian-guest.ts';
import { referenceScale, referenceTime } from './reference-time.ts';

const OS_ID = 0x4000_0000;
const HYPERCALL = 0x4000_0001;
const REFERENCE_TSC = 0x4000_0021;
const VP_ASSIST = 0x4000_0073;

describe('CPUID', () => {
  const leaf = (g: ViridianGuest, n: number, sub = 0) => {
    const out = { eax: 9, ebx: 9, ecx: 9, edx: 9 };
    xenCpuid(g.vcpu(1), n, sub, out);
    return [out.eax >>> 0, out.ebx >>> 0, out.ecx >>> 0, out.edx >>> 0];
  };

  it('begins with Microsoft Hv and has the leaves of the default features', () => {
    const g = new ViridianGuest();
    expect(leaf(g, 0x4000_0000)).toEqual([0x4000_0006, 0x7263_694d, 0x666f_736f, 0x7648_2074]);
    expect(leaf(g, 0x4000_0001)).toEqual([0x3123_7648, 0, 0, 0]);
    expect(leaf(g, 0x4000_0003)).toEqual([0x872, 0, 0, 0x408]);
    expect(leaf(g, 0x4000_0005)).toEqual([0xffff_ffff, 0, 0, 0]);
    expect(leaf(g, 0x4000_0006)).toEqual([0xa, 0, 0, 0]);
    for (const n of [7, 0x80, 0xff]) expect(leaf(g, 0x4000_0000 + n)).toEqual([0, 0, 0, 0]);
  });

  it('tells its version once the guest has told its own, and recommends to Windows only', () => {
    const g = new ViridianGuest();
    expect([leaf(g, 0x4000_0002), leaf(g, 0x4000_0004)]).toEqual([
      [0, 0, 0, 0],
      [0, 0, 0, 0],
    ]);
    g.write(OS_ID, 0x8100_0006_0c00_0000n); // Linux
    expect(leaf(g, 0x4000_0002)).toEqual([0x1772, 0x6_0000, 0, 0]);
    expect(leaf(g, 0x4000_0004)).toEqual([0, 0, 0, 0]);
    g.write(OS_ID, 0x0001_040a_0000_4a61n); // Windows NT
    expect(leaf(g, 0x4000_0004)).toEqual([0x28, 2047, 0, 0]);
  });

  it('follows the feature mask', () => {
    const g = new ViridianGuest();
    g.write(OS_ID, 0x0001_040a_0000_4a61n);
    g.features(HVMPV.base_freq | HVMPV.no_freq);
    expect(leaf(g, 0x4000_0003)).toEqual([0x70, 0, 0, 0]);
    expect(leaf(g, 0x4000_0005)).toEqual([0, 0, 0, 0]);
    g.features(HVMPV.base_freq | HVMPV.reference_tsc | HVMPV.hcall_remote_tlb_flush | HVMPV.hcall_ipi | HVMPV.ex_processor_masks);
    expect(leaf(g, 0x4000_0003)).toEqual([0xa70, 0, 0, 0]);
    expect(leaf(g, 0x4000_0004)).toEqual([0xc2c, 2047, 0, 0]);
  });

  it("has Xen's leaves at 0x40000100, with the hypercall page's MSR moved", () => {
    const g = new ViridianGuest();
    expect(leaf(g, 0x4000_0100)).toEqual([0x4000_0105, 0x566e_6558, 0x6558_4d4d, 0x4d4d_566e]);
    expect(leaf(g, 0x4000_0101)).toEqual([0x0004_0014, 0, 0, 0]);
    expect(leaf(g, 0x4000_0102)).toEqual([1, 0x4000_0200, 0, 0]);
    expect(leaf(g, 0x4000_0103)).toEqual([6, 0, 1_000_000, 1]);
    expect(leaf(g, 0x4000_0103, 1)).toEqual([0, 0, 0x8000_0000, 1]);
    expect(leaf(g, 0x4000_0103, 2)).toEqual([1_000_000, 0, 0, 0]);
    expect(leaf(g, 0x4000_0104)).toEqual([0x5c, 1, DOMID, 0]);
    for (const n of [0x105, 0x106, 0x200]) expect(leaf(g, 0x4000_0000 + n)).toEqual([0, 0, 0, 0]);
  });
});

describe('MSRs', () => {
  it('keep what is written, of the domain or of the vCPU', () => {
    const g = new ViridianGuest();
    for (const msr of [OS_ID, HYPERCALL]) {
      g.write(msr, 0x1234_5678_9abc_def0n);
      expect([g.read(msr), g.read(msr, 1)]).toEqual([0x1234_5678_9abc_def0n, 0x1234_5678_9abc_def0n]);
    }
    for (const msr of [VP_ASSIST, 0x4000_0100, 0x4000_0102, 0x4000_0104]) {
      g.write(msr, 0xfedc_ba98_7654_3210n + BigInt(msr));
      expect([g.read(msr), g.read(msr, 1)]).toEqual([0xfedc_ba98_7654_3210n + BigInt(msr), 0n]);
    }
  });

  it('raise #GP when they are not there, cannot be read or cannot be written', () => {
    const g = new ViridianGuest();
    // RESET, VP_RUNTIME, REFERENCE_TSC, SCONTROL..EOM, SINT0, STIMER0_CONFIG, GUEST_IDLE, what is behind CRASH_CTL
    for (const msr of [3, 0x10, 0x21, 0x80, 0x81, 0x82, 0x83, 0x84, 0x90, 0xb0, 0xf0, 0x106, 0x1ff].map((n) => OS_ID + n)) {
      expect(g.read(msr), msr.toString(16)).toBe('#GP');
      expect(g.write(msr, 1n), msr.toString(16)).toBe(false);
    }
    for (const msr of [0x4000_0020, 0x4000_0022, 0x4000_0023]) {
      expect(g.read(msr)).not.toBe('#GP');
      expect(g.write(msr, 1n)).toBe(false);
    }
    expect(g.read(0x4000_0070)).toBe('#GP'); // EOI
    g.features(HVMPV.base_freq | HVMPV.no_freq);
    for (const msr of [0x4000_0020, 0x4000_0022, 0x4000_0023]) expect(g.read(msr)).toBe('#GP');
  });

  it('tell the vCPU, the frequencies and the time', () => {
    const g = new ViridianGuest({ config: { tscKhz: 2_893_301 } });
    expect([g.read(0x4000_0002), g.read(0x4000_0002, 1)]).toEqual([0n, 1n]);
    expect(g.write(0x4000_0002, 7n)).toBe(true);
    expect(g.read(0x4000_0002)).toBe(0n);
    expect(g.read(0x4000_0022)).toBe(2_893_301_000n);
    expect(g.read(0x4000_0023)).toBe(100_000_000n);
    expect(g.read(0x4000_0020)).toBe(0n);
    g.guest.clock.advance(3_600e9);
    const time = Number(g.read(0x4000_0020));
    expect(time).toBeLessThanOrEqual(36e9);
    expect(time / 36e9).toBeGreaterThan(1 - 1e-7);
  });

  it('reach the local APIC', () => {
    const g = new ViridianGuest();
    expect(g.write(0x4000_0072, 0xffff_ff20n)).toBe(true);
    expect(g.write(0x4000_0070, 5n)).toBe(true);
    expect(g.write(0x4000_0071, 0x0200_0000_0000_40fdn)).toBe(true);
    expect(g.apicWrites).toEqual([
      [0x80, 0x20],
      [0xb0, 0],
      [0x310, 0x0200_0000],
      [0x300, 0x40fd],
    ]);
    expect([g.read(0x4000_0072), g.read(0x4000_0071)]).toEqual([0x80n, 0x0000_0310_0000_0300n]);
  });

  it('make a notified crash the reason of the shutdown that follows', () => {
    const g = new ViridianGuest();
    expect(g.read(0x4000_0105)).toBe(0x8000_0000_0000_0000n);
    g.guest.domain.setShutdownCode(SHUTDOWN.poweroff);
    g.guest.domain.trace.viridian_crash.on = true;
    expect(g.write(0x4000_0105, 0x7fff_ffff_ffff_ffffn)).toBe(true);
    expect(g.write(0x4000_0105, 0x8000_0000_0000_0000n)).toBe(true);
    expect(g.guest.domain.shutdownReason).toBe(-1);
    g.guest.domain.shutdown(SHUTDOWN.reboot);
    expect(g.guest.domain.shutdownReason).toBe(SHUTDOWN.crash);
  });

  it("leave Xen's hypercall page to MSR 0x40000200", () => {
    const g = new ViridianGuest();
    expect(g.read(0x4000_0200)).toBe(0n);
    expect(g.write(0x4000_0200, 0x3000n)).toBe(true);
    expect(g.guest.peek(0x3000)).toBe(0xb8);
    expect(g.guest.peek(0x3020)).toBe(0x1b8);
    expect([g.write(0x4000_0201, 0x3000n), g.read(0x4000_02ff)]).toEqual([false, '#GP']);
  });

  it('are the only ones of a domain with them: without, all but the first are #GP', () => {
    const g = new ViridianGuest({ config: { emulation: { viridian: false } } });
    for (let msr = 0x4000_0001; msr <= 0x4000_02ff; msr++) expect([g.read(msr), g.write(msr, 0x3001n)]).toEqual(['#GP', false]);
    expect(g.write(OS_ID, 0x3000n)).toBe(true);
    expect(g.guest.peek(0x3000)).toBe(0xb8);
    expect(g.guest.domain.param(HVM_PARAM.VIRIDIAN)).toBe(0n);
  });
});

describe('pages that MSRs name', () => {
  const page = (g: ViridianGuest, gpa: number) => {
    const bytes = new Uint8Array(PAGE_SIZE);
    g.guest.memory.read(gpa as never, bytes);
    return bytes;
  };
  const dirty = (g: ViridianGuest, gpa: number) => void g.guest.memory.write(gpa as never, new Uint8Array(PAGE_SIZE).fill(0x5a));

  it('hold the hypercall stub: the mark in EAX, the trap, and breakpoints', () => {
    const g = new ViridianGuest();
    dirty(g, 0x3000);
    expect(g.write(HYPERCALL, 0x3000n)).toBe(true);
    expect(page(g, 0x3000).every((byte) => byte === 0x5a)).toBe(true);
    expect(g.write(HYPERCALL, 0x3001n)).toBe(true);
    const bytes = page(g, 0x3000);
    expect([...bytes.subarray(0, 9)]).toEqual([0x0d, 0, 0, 0, 0x80, 0x0f, 0x01, 0xc1, 0xc3]);
    expect(bytes.subarray(9).every((byte) => byte === 0xcc)).toBe(true);
    const amd = new ViridianGuest({ config: { vendor: 'AuthenticAMD' } });
    amd.write(HYPERCALL, 0x3001n);
    expect(page(amd, 0x3000)[7]).toBe(0xd9);
  });

  it('hold zeros for the assist page, each time it is enabled', () => {
    const g = new ViridianGuest();
    for (let i = 0; i < 2; i++) {
      dirty(g, 0x4000);
      expect(g.write(VP_ASSIST, 0x4001n, 1)).toBe(true);
      expect(page(g, 0x4000).every((byte) => byte === 0)).toBe(true);
    }
  });

  it('hold scale and sequence for reference time, when the domain has that', () => {
    const g = new ViridianGuest();
    g.features(HVMPV.base_freq | HVMPV.reference_tsc);
    dirty(g, 0x5000);
    expect(g.write(REFERENCE_TSC, 0x5001n)).toBe(true);
    expect(g.read(REFERENCE_TSC)).toBe(0x5001n);
    expect([g.guest.peek64(0x5000), g.guest.peek64(0x5008), g.guest.peek64(0x5010)]).toEqual([1n, referenceScale(1_000_000), 0n]);
    expect(
      page(g, 0x5000)
        .subarray(24)
        .every((byte) => byte === 0),
    ).toBe(true);
  });

  it('are not written outside RAM and in read-only pages; the MSR keeps its value and there is no #GP', () => {
    const g = new ViridianGuest();
    const { memory } = g.guest;
    dirty(g, 0x6000);
    memory.map(6 as never, memory.host(0x6000 as never), false);
    for (const value of [0x6001n, 0x10_0000_1001n, 0x0fff_ffff_ffff_f001n, 0x9999_9001n]) {
      for (const msr of [HYPERCALL, VP_ASSIST]) {
        expect(g.write(msr, value)).toBe(true);
        expect(g.read(msr)).toBe(value);
      }
    }
    expect(page(g, 0x6000).every((byte) => byte === 0x5a)).toBe(true);
  });

  it('have a frame number of 48 bits', () => {
    const g = new ViridianGuest();
    g.write(HYPERCALL, 0xf000_0000_0000_3001n);
    expect(page(g, 0x3000)[0]).toBe(0x0d);
  });
});

describe('any access', () => {
  it('is answered or raises #GP, and touches only guest RAM', () => {
    const access = fc.record({
      msr: fc.oneof(
        fc.constantFrom(0, 1, 2, 0x20, 0x21, 0x22, 0x23, 0x70, 0x71, 0x72, 0x73, 0x100, 0x104, 0x105, 0x200),
        fc.integer({ min: 0, max: 0x2ff }),
      ),
      value: fc.oneof(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.integer({ min: 0, max: 70 }).map((n) => BigInt(n * 4096 + 1)),
      ),
      vcpu: fc.integer({ min: 0, max: 1 }),
    });
    fc.assert(
      fc.property(fc.array(access, { maxLength: 30 }), fc.boolean(), fc.nat(0x1fff), (script, viridian, mask) => {
        const g = new ViridianGuest({ config: { emulation: { viridian } } });
        if (viridian) g.features(mask | HVMPV.base_freq);
        const { u8 } = g.guest.memory;
        const ram = PAGE_SIZE + P2M_BYTES;
        const { viridian: state, viridianVcpus } = g.guest.domain.plan;
        const own = (at: number) => at >= g.guest.region.at + state && at < g.guest.region.at + viridianVcpus + 96;
        const codes = g.guest.domain.plan.params;
        const before = u8.slice();
        for (const { msr, value, vcpu } of script) {
          const number = 0x4000_0000 + msr;
          writeXenMsr(g.vcpu(vcpu), g.guest.callers[vcpu] as never, number, Number(value & 0xffff_ffffn), Number(value >> 32n));
          const out = { dataLow: -1, dataHigh: -1 };
          if (readXenMsr(g.vcpu(vcpu), number, out)) expect(Math.min(out.dataLow, out.dataHigh)).toBeGreaterThanOrEqual(0);
        }
        const end = ram + RAM_PAGES * PAGE_SIZE;
        let outside = 0;
        // Of the platform's own memory, only this interface's state and the header (width, shutdown code, wallclock) change.
        for (let at = 0; at < u8.length; at++) {
          if (at === ram) at = end;
          const header = at >= g.guest.region.at && at < g.guest.region.at + codes;
          const shared = at >= g.guest.domain.sharedInfoAt && at < g.guest.domain.sharedInfoAt + PAGE_SIZE;
          if (u8[at] !== before[at] && !own(at) && !header && !shared) outside++;
        }
        expect(outside).toBe(0);
      }),
      { numRuns: 15 },
    );
  });
});

describe('reference time', () => {
  it('agrees with the pvclock at any frequency', () => {
    fc.assert(
      fc.property(fc.integer({ min: 10_001, max: 10_000_000 }), fc.bigInt({ min: 0n, max: 2n ** 53n }), (khz, tsc) => {
        const { mul, shift } = tscScale(khz);
        const ns = ((shift >= 0 ? tsc << BigInt(shift) : tsc >> BigInt(-shift)) * BigInt(mul)) >> 32n;
        const reference = referenceTime(tsc, khz) * 100n;
        // The scale is cut to 32 bits: at most khz / (10^4 * 2^32) of the time is lost, and none is won.
        const lost = (ns * BigInt(khz)) / (10_000n << 32n);
        // The pvclock's own scale is cut to 32 bits, the highest of them 1.
        expect(reference <= ns + (ns >> 31n) + 2n).toBe(true);
        expect(ns - reference <= lost + 200n).toBe(true);
      }),
    );
  });

  it('is what a guest computes from the page', () => {
    const khz = 2_893_301;
    const g = new ViridianGuest({ config: { tscKhz: khz } });
    g.features(HVMPV.base_freq | HVMPV.reference_tsc | HVMPV.time_ref_count);
    g.write(REFERENCE_TSC, 0x5001n);
    for (let i = 0; i < 20; i++) {
      g.guest.clock.advance(1.23456789e11 * i);
      const tsc = g.vcpu(0).guestTsc();
      const computed = ((tsc * g.guest.peek64(0x5008)) >> 64n) + g.guest.peek64(0x5010);
      expect(g.read(0x4000_0020)).toBe(computed);
    }
  });
});
