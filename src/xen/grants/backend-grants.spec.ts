import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Gfn } from '../../abi/types.ts';
import { GNTST, GTF } from '../../abi/xen/grant-table.ts';
import { P2M } from '../../memory/guest-memory.ts';
import { GFN, GrantGuest, TABLE } from '../fixtures/grant-guest.ts';
import { DOMID } from '../fixtures/test-guest.ts';
import type { GrantMapping } from './backend-grants.ts';

const AT = GFN * 4096;

function mapped(result: GrantMapping | number): GrantMapping {
  if (typeof result === 'number') throw new Error(`not mapped: ${result}`);
  return result;
}

afterEach(() => void vi.restoreAllMocks());

describe.each([1, 2] as const)('in version %i', (version) => {
  it('maps several pages as one area and marks them until unmapped', () => {
    const g = new GrantGuest(version);
    g.grant(8, { frame: GFN + 3 });
    g.grant(9, { frame: GFN + 1 });
    const area = mapped(g.backend.map([8, 9]));
    expect([area.size, area.pages.length, g.inUse(8), g.inUse(9)]).toEqual([8192, 2, 0x18, 0x18]);
    area.write(4094, Uint8Array.of(1, 2, 3, 4));
    expect([g.peek(AT + 3 * 4096 + 4092) >>> 16, g.peek(AT + 4096) & 0xffff]).toEqual([0x0201, 0x0403]);
    const back = new Uint8Array(4);
    area.read(4094, back);
    expect([...back]).toEqual([1, 2, 3, 4]);
    expect(area.host(4096)).toBe(g.memory.host((AT + 4096) as never));
    expect(() => area.host(8192)).toThrow(RangeError);
    area.unmap();
    expect([g.inUse(8), g.inUse(9)]).toEqual([0, 0]);
    expect(() => area.unmap()).toThrow('already');
  });

  it('maps all or none', () => {
    const g = new GrantGuest(version);
    g.grant(8);
    g.grant(9, { flags: GTF.permit_access | GTF.readonly });
    expect(g.backend.map([8, 8, 9])).toBe(GNTST.general_error);
    expect([g.inUse(8), g.inUse(9)]).toEqual([0, 0]);
    expect(g.backend.map([8, 5000])).toBe(GNTST.bad_gntref);
    g.grant(10, { frame: 0x5000 });
    expect(g.backend.map([8, 10])).toBe(GNTST.bad_page);
    expect([8, 9, 10].map((ref) => g.inUse(ref))).toEqual([0, 0, 0]);
    mapped(g.backend.map([8, 9], { readonly: true }));
    expect([g.inUse(8), g.inUse(9)]).toEqual([8, 8]);
  });

  it('refuses what is not granted to domain 0', () => {
    const g = new GrantGuest(version);
    g.grant(8, { domid: DOMID });
    g.grant(9, { flags: GTF.accept_transfer });
    for (const ref of [8, 9, 10]) {
      expect(g.backend.map([ref], { readonly: true })).toBe(GNTST.general_error);
      expect(g.backend.copyFrom(ref, 0, new Uint8Array(4))).toBe(GNTST.general_error);
    }
  });

  it('copies both ways, within a page', () => {
    const g = new GrantGuest(version);
    g.grant(8);
    g.poke(AT + 8, 0x04030201);
    const into = new Uint8Array(4);
    expect([g.backend.copyFrom(8, 8, into), ...into]).toEqual([GNTST.okay, 1, 2, 3, 4]);
    expect(g.backend.copyTo(8, 4092, into)).toBe(GNTST.okay);
    expect(g.peek(AT + 4092)).toBe(0x04030201);
    expect(g.backend.copyTo(8, 4093, into)).toBe(GNTST.bad_copy_arg);
    expect(g.backend.copyFrom(8, -1, into)).toBe(GNTST.bad_copy_arg);
    g.grant(9, { flags: GTF.permit_access | GTF.readonly });
    expect([g.backend.copyFrom(9, 0, into), g.backend.copyTo(9, 0, into)]).toEqual([GNTST.okay, GNTST.general_error]);
    expect([g.inUse(8), g.inUse(9)]).toEqual([0, 0]);
  });

  it('keeps the pages it mapped whatever the guest does to the entry and the p2m', () => {
    const g = new GrantGuest(version);
    g.poke(AT, 0x1111);
    g.grant(8);
    const area = mapped(g.backend.map([8]));
    g.grant(8, { flags: 0, domid: 5, frame: GFN + 1 });
    g.memory.map(GFN as Gfn, 0 as never);
    expect(g.memory.view.getUint32(area.host(0), true)).toBe(0x1111);
    expect(g.backend.copyFrom(8, 0, new Uint8Array(4))).toBe(GNTST.okay); // as in Xen: still in use by the same domain
    area.unmap();
    expect(g.backend.map([8])).toBe(GNTST.general_error);
  });

  it('shares an entry between uses of one domain only', () => {
    const g = new GrantGuest(version);
    g.grant(8);
    const area = mapped(g.backend.map([8]));
    g.grantOwn(8);
    expect(g.operate('map_grant_ref', 18, [0x100_0000, 0, 2, 8, DOMID, 0, 0, 0])).toEqual([GNTST.general_error]);
    area.unmap();
  });

  it('gives up on an entry that changes all the time', () => {
    const g = new GrantGuest(version);
    g.grant(8);
    const word = g.domain.grants.entryAt(8) >>> 2;
    const { i32 } = g.memory;
    let looks = 0;
    // Before each compare-exchange on the entry, and after each mark in the status frame, the guest is there first.
    const cmpxchg = Atomics.compareExchange;
    vi.spyOn(Atomics, 'compareExchange').mockImplementation(((a: Int32Array, i: number, from: number, to: number) => {
      if (i === word) i32[word] = (i32[word] as number) ^ (++looks && 1 << 5);
      return cmpxchg(a, i, from, to);
    }) as typeof cmpxchg);
    const or = Atomics.or;
    vi.spyOn(Atomics, 'or').mockImplementation(((a: Int32Array, i: number, bits: number) => {
      const was = or(a, i, bits);
      if (++looks) i32[word] = 0;
      return was;
    }) as typeof or);
    expect(g.backend.map([8])).toBe(GNTST.general_error);
    expect(looks).toBe(version === 1 ? 5 : 1);
    vi.restoreAllMocks();
    expect([g.inUse(8), g.domain.grants.active.inUse(8)]).toEqual([0, false]);
  });

  it('bears an entry that changes now and then', () => {
    const g = new GrantGuest(version);
    g.grant(8);
    const word = g.domain.grants.entryAt(8) >>> 2;
    let left = 4;
    const cmpxchg = Atomics.compareExchange;
    vi.spyOn(Atomics, 'compareExchange').mockImplementation(((a: Int32Array, i: number, from: number, to: number) => {
      if (i === word && left-- > 0) a[i] = (a[i] as number) ^ (1 << 5);
      return cmpxchg(a, i, from, to);
    }) as typeof cmpxchg);
    mapped(g.backend.map([8]));
  });

  it('sees the grant become read-only between check and mark', () => {
    const g = new GrantGuest(version);
    g.grant(8);
    const area = mapped(g.backend.map([8], { readonly: true }));
    const word = g.domain.grants.entryAt(8) >>> 2;
    const turn = (a: Int32Array) => {
      a[word] = (a[word] as number) | GTF.readonly;
    };
    const cmpxchg = Atomics.compareExchange;
    vi.spyOn(Atomics, 'compareExchange').mockImplementation(((a: Int32Array, i: number, from: number, to: number) => {
      if (i === word) turn(a);
      return cmpxchg(a, i, from, to);
    }) as typeof cmpxchg);
    const or = Atomics.or;
    vi.spyOn(Atomics, 'or').mockImplementation(((a: Int32Array, i: number, bits: number) => {
      const was = or(a, i, bits);
      turn(a);
      return was;
    }) as typeof or);
    expect(g.backend.map([8])).toBe(GNTST.general_error);
    expect(g.inUse(8)).toBe(8);
    area.unmap();
    expect(g.inUse(8)).toBe(0);
  });
});

it('copies from part of a page but does not map it', () => {
  const g = new GrantGuest(2);
  g.grant(8, { flags: GTF.permit_access | GTF.sub_page, middle: 16 | (8 << 16) });
  g.poke(AT + 16, 0x1234);
  const into = new Uint8Array(8);
  expect(g.backend.map([8])).toBe(GNTST.general_error);
  expect([g.backend.copyFrom(8, 16, into), into[1]]).toEqual([GNTST.okay, 0x12]);
  expect(g.backend.copyFrom(8, 17, into)).toBe(GNTST.general_error);
});

it('does not write to a page that the guest itself cannot write', () => {
  const g = new GrantGuest();
  g.memory.map(GFN as Gfn, g.memory.host(AT as never), false);
  g.grant(8);
  expect([g.backend.map([8]), g.inUse(8)]).toEqual([GNTST.general_error, 0]);
  const area = mapped(g.backend.map([8], { readonly: true }));
  expect([g.backend.map([8]), g.inUse(8)]).toEqual([GNTST.general_error, 8]);
  expect(() => area.write(0, new Uint8Array(1))).toThrow('reading');
});

it('tells the engine of code it wrote over', () => {
  const g = new GrantGuest();
  const changed: number[] = [];
  g.memory.onChange((gfn) => void changed.push(gfn));
  g.grant(8);
  const area = mapped(g.backend.map([8]));
  g.memory.flag(GFN as Gfn, P2M.code, 0);
  g.backend.copyTo(8, 0, new Uint8Array(1));
  area.stored();
  area.unmap();
  expect(changed).toEqual([GFN, GFN, GFN]);
  mapped(g.backend.map([8], { readonly: true })).unmap();
  g.backend.copyFrom(8, 0, new Uint8Array(1));
  expect(changed.length).toBe(3);
});

it('counts 128 uses of a kind and no more', () => {
  const g = new GrantGuest();
  g.grant(8);
  const areas = Array.from({ length: 128 }, () => mapped(g.backend.map([8])));
  expect(g.backend.map([8])).toBe(GNTST.general_error);
  expect(g.backend.map(new Array<number>(129).fill(8), { readonly: true })).toBe(GNTST.general_error);
  for (const area of areas) area.unmap();
  expect(g.peek(TABLE + 64)).toBe(1);
});

it('keeps its marks right while another thread changes the entry', async () => {
  const g = new GrantGuest();
  g.grant(8);
  const word = g.domain.grants.entryAt(8) >>> 2;
  const ready = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(
    `const { workerData: { buffer, word, ready } } = require('node:worker_threads');
     const words = new Int32Array(buffer);
     Atomics.store(ready, 0, 1);
     while (Atomics.load(ready, 0) === 1) Atomics.xor(words, word, 1 << 5);`,
    { eval: true, workerData: { buffer: g.memory.buffer, word, ready } },
  );
  while (Atomics.load(ready, 0) === 0) await new Promise((done) => setTimeout(done, 1));
  const outcomes = new Set<number>();
  for (let i = 0; i < 20_000; i++) {
    const result = g.backend.map([8]);
    outcomes.add(typeof result === 'number' ? result : 0);
    if (typeof result === 'number') continue;
    expect(g.inUse(8)).toBe(0x18);
    result.unmap();
  }
  Atomics.store(ready, 0, 2);
  await worker.terminate();
  expect([...outcomes].every((status) => status === GNTST.okay || status === GNTST.general_error)).toBe(true);
  expect(outcomes.has(GNTST.okay)).toBe(true);
  expect(g.inUse(8)).toBe(0);
});
