// CPUID leaves, the hypercall page MSR and the pvclock.
import { describe, expect, it } from 'vitest';
import { VCPU_INFO, VcpuTimeInfo } from '../abi/xen/shared-info.ts';
import { isXenMsr, readXenMsr, writeXenMsr } from './calls/hypercall-page.ts';
import { isHypervisorLeaf, xenCpuid } from './cpuid.ts';
import { DOMID, TestGuest } from './fixtures/test-guest.ts';
import { timeStamp, tscScale } from './time/pvclock.ts';
import type { XenVcpu } from './vcpu.ts';

describe('CPUID', () => {
  const g = new TestGuest({ vcpus: 2 });
  const leaf = (n: number, sub = 0) => {
    const out = { eax: 9, ebx: 9, ecx: 9, edx: 9 };
    xenCpuid(g.vcpus[1] as XenVcpu, 0x4000_0000 + n, sub, out);
    return [out.eax, out.ebx, out.ecx, out.edx];
  };

  it('says XenVMMXenVMM 4.20 with one hypercall page', () => {
    expect(leaf(0)).toEqual([0x4000_0005, 0x566e_6558, 0x6558_4d4d, 0x4d4d_566e]);
    expect(leaf(1)).toEqual([0x0004_0014, 0, 0, 0]);
    expect(leaf(2)).toEqual([1, 0x4000_0000, 0, 0]);
  });

  it('describes the TSC and the vCPU', () => {
    expect(leaf(3)).toEqual([6, 0, 1_000_000, 1]);
    expect(leaf(3, 1)).toEqual([0, 0, 0x8000_0000, 1]);
    expect(leaf(3, 2)).toEqual([1_000_000, 0, 0, 0]);
    expect(leaf(3, 3)).toEqual([0, 0, 0, 0]);
    expect(leaf(4)).toEqual([0x5c, 1, DOMID, 0]);
    expect(leaf(4, 1)).toEqual([0, 0, 0, 0]);
    expect(leaf(5)).toEqual([0, 0, 0, 0]);
    expect(leaf(6)).toEqual([0, 0, 0, 0]);
    for (const n of [0x100, 0x101, 0x200]) expect(leaf(n)).toEqual([0, 0, 0, 0]);
    expect([isHypervisorLeaf(0x4000_0100), isHypervisorLeaf(0x8000_0000)]).toEqual([true, false]);
  });
});

describe('the hypercall page', () => {
  it('is filled with stubs, and only their bytes', () => {
    const g = new TestGuest();
    const page = new Uint8Array(4096).fill(0xee);
    g.memory.write(0x3000 as never, page);
    expect(writeXenMsr(g.vcpus[0] as never, g.callers[0] as never, 0x4000_0000, 0x3000, 0)).toBe(true);
    g.memory.read(0x3000 as never, page);
    const stub = (nr: number) => [...page.subarray(nr * 32, nr * 32 + 10)];
    expect(stub(17)).toEqual([0xb8, 17, 0, 0, 0, 0x0f, 0x01, 0xc1, 0xc3, 0xee]);
    expect(stub(127)).toEqual([0xb8, 127, 0, 0, 0, 0x0f, 0x01, 0xc1, 0xc3, 0xee]);
    expect(stub(23).slice(0, 3)).toEqual([0x0f, 0x0b, 0xee]);
    expect(g.domain.narrow).toBe(false);
  });

  it('has VMMCALL for an AMD guest, and latches the width', () => {
    const g = new TestGuest({ config: { vendor: 'AuthenticAMD' } });
    const caller = g.callers[0];
    if (caller) caller.longMode = false;
    expect(writeXenMsr(g.vcpus[0] as never, caller as never, 0x4000_0000, 0x3000, 0)).toBe(true);
    expect(g.peek(0x3004) >>> 8).toBe(0xd9_01_0f);
    expect(g.domain.narrow).toBe(true);
  });

  it('raises #GP for another page index, a page that is no RAM and other MSRs', () => {
    const g = new TestGuest();
    const write = (msr: number, low: number, high = 0) => writeXenMsr(g.vcpus[0] as never, g.callers[0] as never, msr, low, high);
    expect(write(0x4000_0000, 0x3001)).toBe(false);
    expect(write(0x4000_0000, 0x99_9000)).toBe(false);
    expect(write(0x4000_0000, 0x3000, 1)).toBe(false);
    expect(write(0x4000_0001, 0x3000)).toBe(false);
    const value = { dataLow: 1, dataHigh: 2 };
    const read = (msr: number) => readXenMsr(g.vcpus[0] as never, msr, value);
    expect([read(0x4000_0000), value.dataLow, value.dataHigh, read(0x4000_0001), read(0x4000_0200)]).toEqual([
      true,
      0,
      0,
      false,
      false,
    ]);
    expect([isXenMsr(0x4000_02ff), isXenMsr(0x4000_0300)]).toEqual([true, false]);
  });
});

describe('the pvclock', () => {
  /** What a guest computes. */
  const guestNs = (g: TestGuest, at: number, tsc: bigint) => {
    const info = VcpuTimeInfo.read(g.memory.view, at);
    const delta = tsc - info.tsc_timestamp;
    const scaled = info.tsc_shift >= 0 ? delta << BigInt(info.tsc_shift) : delta >> BigInt(-info.tsc_shift);
    return info.system_time + ((scaled * BigInt(info.tsc_to_system_mul)) >> 32n);
  };

  it('scales any frequency to a 32-bit multiplier', () => {
    for (const khz of [1000, 999_999, 1_000_000, 1_000_001, 2_893_301, 5_000_000]) {
      const { mul, shift } = tscScale(khz);
      expect(mul).toBeGreaterThanOrEqual(2 ** 31);
      expect(mul).toBeLessThan(2 ** 32);
      expect(Math.abs((mul * 2 ** shift * khz) / 2 ** 32 / 1e6 - 1)).toBeLessThan(1e-9);
    }
  });

  it('follows system time, also for a TSC the guest moved and after an hour', () => {
    const g = new TestGuest({ config: { tscKhz: 2_893_301 } });
    const vcpu = g.vcpus[0] as XenVcpu;
    const at = vcpu.state.infoAt + VCPU_INFO.time;
    for (let step = 0; step < 4; step++) {
      g.clock.advance(1.2345e12);
      const now = BigInt(Math.floor(g.clock.nowNs()));
      const tsc = (now * 2_893_301n) / 1_000_000n;
      vcpu.enter(2);
      vcpu.enter(0); // renewed on waking
      const error = guestNs(g, at, tsc) - now;
      expect(error <= 0n && error > -10n).toBe(true);
    }
    expect(VcpuTimeInfo.version.get(g.memory.view, at) % 2).toBe(0);
    expect(VcpuTimeInfo.flags.get(g.memory.view, at)).toBe(1);
    expect(timeStamp(5.5e6, 1_000_000, -1n)).toEqual({ tsc: 4_999_999n, systemNs: 5_000_000n });
  });

  it('never steps back when it is renewed', () => {
    const khz = 2_893_301;
    const g = new TestGuest({ config: { tscKhz: khz } });
    const vcpu = g.vcpus[0] as XenVcpu;
    const at = vcpu.state.infoAt + VCPU_INFO.time;
    for (let i = 0; i < 200; i++) {
      g.clock.advance(1.000_37e9);
      const tsc = (BigInt(Math.floor(g.clock.nowNs())) * BigInt(khz)) / 1_000_000n;
      const before = guestNs(g, at, tsc);
      vcpu.publishTime();
      expect(guestNs(g, at, tsc) - before).toBeGreaterThanOrEqual(0n);
    }
  });

  it('is kept in registered areas too, by virtual and by physical address', () => {
    const g = new TestGuest();
    expect(g.call('vcpu_op', 13, 0, g.poke(0x2000, 0x6ff0, 0))).toBe(0);
    expect(g.call('vcpu_op', 15, 0, g.poke(0x2000, 0x8000, 0))).toBe(0);
    g.clock.advance(3e9);
    g.vcpus[0]?.publishTime();
    for (const area of [0x6ff0, 0x8000]) {
      expect(g.peek(area) % 2).toBe(0);
      expect(g.peek64(area + 16)).toBe(3_000_000_000n);
    }
  });

  it('is in shared_info from the start', () => {
    const g = new TestGuest();
    const shared = g.mapSharedInfo(0x10);
    expect(g.peek(shared + 32 + 24)).toBe(0x8000_0000);
  });
});

describe('the wallclock', () => {
  it('is Unix time at system time 0, with an even version', () => {
    const g = new TestGuest();
    const shared = g.mapSharedInfo(0x10);
    const words = () => [0xc00, 0xc04, 0xc08, 0xc0c].map((o) => g.peek(shared + o));
    expect(words()).toEqual([2, 0x2345_6789, 42, 1]);
    g.domain.setWallclock(7, 8);
    expect(words()).toEqual([4, 7, 8, 0]);
  });
});
