// multicall: xen/common/multicall.c, struct multicall_entry of public/xen.h.
import { describe, expect, it } from 'vitest';
import { useProbe, WIDTHS } from './use-probe.ts';
import { E, HYPERVISOR } from './xen-numbers.ts';

const VERSION = 0x0004_0014;

describe.each(WIDTHS)('multicall of a %i-bit guest', (width) => {
  const guest = useProbe(width);
  const size = width === 64 ? 64 : 32;
  const entries = (at: number, ...calls: readonly (readonly (number | bigint)[])[]): number => {
    const { probe } = guest;
    const { word } = probe;
    for (const [i, [nr = 0, ...args]] of calls.entries()) {
      probe.put(at + i * size, [0, word, nr], [word, word, 0x5a5a]);
      for (const [k, value] of args.entries()) probe.put(at + i * size, [(2 + k) * word, word, value]);
    }
    return at;
  };
  const multicall = (at: number, count: number): number => guest.probe.call(HYPERVISOR.multicall, at, count);
  const result = (at: number, i: number): bigint => {
    const value = guest.probe.get(at + i * size + guest.probe.word, guest.probe.word);
    return BigInt.asIntN(width, value);
  };

  it('makes its calls in turn and leaves each result', () => {
    const { probe } = guest;
    const features = probe.make(8, [0, 4, 0]);
    const at = entries(
      probe.alloc(6 * size),
      [HYPERVISOR.xen_version, 0],
      [HYPERVISOR.xen_version, 6, features],
      [63],
      [HYPERVISOR.event_channel_op, 99, features],
      [HYPERVISOR.xen_version, 7],
      [HYPERVISOR.sched_op, 0],
    );
    expect(multicall(at, 6)).toBe(0);
    const results = [0, 1, 2, 3, 4, 5].map((i) => result(at, i));
    expect(results).toEqual([VERSION, 0, E.NOSYS, E.NOSYS, 4096, 0].map(BigInt));
    expect(probe.u32(features + 4)).not.toBe(0);
  });

  it('passes six arguments and leaves them as they were', () => {
    const { probe } = guest;
    const at = entries(probe.alloc(size), [HYPERVISOR.xen_version, 0, 11, 12, 13, 14, 15]);
    expect(multicall(at, 1)).toBe(0);
    expect([0, 1, 2, 3, 4, 5].map((k) => Number(probe.pointer(at + (2 + k) * probe.word)))).toEqual([0, 11, 12, 13, 14, 15]);
  });

  it('reads its list across pages', () => {
    const { probe } = guest;
    const at = entries(probe.scattered() + 0x1000 - size - 12, [HYPERVISOR.xen_version], [HYPERVISOR.xen_version, 7]);
    expect(multicall(at, 2)).toBe(0);
    expect([result(at, 0), result(at, 1)]).toEqual([BigInt(VERSION), 4096n]);
  });

  it('stops with EFAULT where the list ends', () => {
    const { probe } = guest;
    const page = probe.map(probe.pages());
    probe.hole();
    const at = entries(page + 0x1000 - 2 * size, [HYPERVISOR.xen_version], [HYPERVISOR.xen_version, 7]);
    expect(multicall(at, 3)).toBe(E.FAULT);
    expect([result(at, 0), result(at, 1)]).toEqual([BigInt(VERSION), 4096n]);
    expect(multicall(probe.hole(), 1)).toBe(E.FAULT);
    const readOnly = probe.pages();
    entries(readOnly, [HYPERVISOR.xen_version]);
    expect(multicall(probe.readOnly(readOnly), 1)).toBe(E.FAULT);
  });

  it('of no calls does nothing', () => {
    expect(multicall(guest.probe.hole(), 0)).toBe(0);
  });

  it('cannot be nested', () => {
    const { probe } = guest;
    const inner = entries(probe.alloc(size), [HYPERVISOR.xen_version]);
    const at = entries(probe.alloc(2 * size), [HYPERVISOR.multicall, inner, 1], [HYPERVISOR.xen_version]);
    const outcome = multicall(at, 2);
    expect(outcome).toBe(0);
    expect(result(at, 0)).toBe(BigInt(E.INVAL));
    expect(result(at, 1)).toBe(BigInt(VERSION));
    expect(result(inner, 0)).toBe(0x5a5an);
  });
});
