// memory_op: xen/common/memory.c, xen/arch/x86/mm.c (xenmem_add_to_physmap_one), public/memory.h.
import { describe, expect, it } from 'vitest';
import type { Member } from './guest-ram.ts';
import type { Probe } from './probe.ts';
import { OP } from './probe-layout.ts';
import { addToPhysmap, latchWidth, SharedPage } from './shared-page.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { DOMID, E, HYPERVISOR, SPACE, XENMEM } from './xen-numbers.ts';

const PAGE = 0x1000;
const STATUS_FRAME = 0x8000_0000;
/** A guest frame without memory, and another; above RAM and below the ACPI tables. */
const [EMPTY, EMPTY2] = [0xd_0000, 0xd_0001];
const ALL_ONES = { 64: 0xffff_ffff_ffff_ffffn, 32: 0xffff_ffffn } as const;

interface Reservation {
  readonly list: number;
  readonly count: number;
  readonly order?: number;
  readonly domid?: number;
}

describe.each(WIDTHS)('memory_op of a %i-bit guest', (width) => {
  const guest = useProbe(width, (probe) => latchWidth(probe));
  const memory = (op: number, at: number): number => guest.probe.call(HYPERVISOR.memory_op, op, at);
  const frames = (probe: Probe, ...gfns: number[]): number =>
    probe.put(probe.alloc(gfns.length * probe.word), ...gfns.map((gfn, i) => [i * probe.word, probe.word, gfn] as const));
  /** struct xen_memory_reservation */
  const reservation = (op: number, { list, count, order = 0, domid = DOMID.self }: Reservation): number => {
    const { probe } = guest;
    const { word } = probe;
    const at = probe.make(4 * word, [0, word, list], [word, word, count], [2 * word, 4, order], [2 * word + 8, 2, domid]);
    return memory(op, at);
  };
  const domid = (op: number, dom: number = DOMID.self): number => memory(op, guest.probe.make(2, [0, 2, dom]));
  const remove = (gfn: number | bigint, dom: number = DOMID.self): number => {
    const { probe } = guest;
    return memory(XENMEM.remove_from_physmap, probe.make(2 * probe.word, [0, 2, dom], [probe.word, probe.word, gfn]));
  };
  /** struct xen_memory_map */
  const memoryMap = (entries: number, buffer: number): readonly [result: number, entries: number] => {
    const { probe } = guest;
    const at = probe.make(2 * probe.word, [0, 4, entries], [probe.word, probe.word, buffer]);
    return [memory(XENMEM.memory_map, at), probe.u32(at)];
  };

  describe('add_to_physmap', () => {
    it('shows shared_info where it is told to, and moves it', () => {
      const { probe } = guest;
      const [first, second] = [probe.pages(), probe.pages()];
      for (const at of [first, second]) probe.put(at, [0xff8, 8, 0x1122_3344_5566_7788n]);
      // The guest has the RAM page in its TLB.
      expect(probe.load(first + 0xff8) & 0xffff_ffffn).toBe(0x5566_7788n);
      expect(addToPhysmap(probe, SPACE.shared_info, 0, first / PAGE)).toBe(0);
      expect(probe.load(first + 0xff8)).toBe(0n);
      const shared = new SharedPage(probe, first);
      expect(shared.wallclock.seconds).toBeGreaterThan(1.7e9);
      expect(shared.wallclock.seconds).toBeLessThan(2 ** 33);
      expect(shared.wallclock.version % 2).toBe(0);
      expect(shared.wallclock.nanoseconds).toBeLessThan(1e9);
      expect(Math.abs(shared.wallclock.seconds - Date.now() / 1000)).toBeLessThan(60);

      const page = probe.frame(first / PAGE);
      probe.put(first, [0xff8, 4, 0x600d]);
      expect(addToPhysmap(probe, SPACE.shared_info, 0, second / PAGE)).toBe(0);
      expect(probe.frame(second / PAGE)).toBe(page);
      expect(probe.load(second + 0xff8)).toBe(0x600dn);
      // What was below the first place is there again, or nothing is: never the shared page.
      expect(probe.frame(first / PAGE)).not.toBe(page);
      expect(probe.command(OP.load32, first + 0xff8)[0]).not.toBe(0x600dn);
      expect(addToPhysmap(probe, SPACE.shared_info, 0, second / PAGE)).toBe(0);
      expect(probe.load(second + 0xff8)).toBe(0x600dn);
    });

    it('shows shared_info where there was nothing', () => {
      const { probe } = guest;
      expect(probe.frame(EMPTY)).toBe(0);
      expect(addToPhysmap(probe, SPACE.shared_info, 0, EMPTY)).toBe(0);
      expect(probe.load(EMPTY * PAGE + 0xff8)).toBe(0x600dn);
      expect(remove(EMPTY)).toBe(0);
      expect(probe.load(EMPTY * PAGE + 0xff8)).toBe(ALL_ONES[width]);
      expect(remove(EMPTY)).toBe(E.NOENT);
      // Its content was Xen's to keep.
      expect(addToPhysmap(probe, SPACE.shared_info, 0, EMPTY)).toBe(0);
      expect(probe.load(EMPTY * PAGE + 0xff8)).toBe(0x600dn);
    });

    it('shows grant frames, also such as did not exist', () => {
      const { probe } = guest;
      expect(addToPhysmap(probe, SPACE.grant_table, 3, EMPTY2)).toBe(0);
      probe.put(EMPTY2 * PAGE, [8, 4, 77]);
      expect(probe.load(EMPTY2 * PAGE + 8) & 0xffff_ffffn).toBe(77n);
      const other = probe.pages();
      expect(addToPhysmap(probe, SPACE.grant_table, 3, other / PAGE)).toBe(0);
      expect(probe.u32(other + 8)).toBe(77);
      expect(probe.frame(EMPTY2)).toBe(0);
    });

    it('refuses other indexes, spaces and domains', () => {
      const { probe } = guest;
      const gfn = probe.pages() / PAGE;
      const before = probe.frame(gfn);
      expect(addToPhysmap(probe, SPACE.shared_info, 1, gfn)).toBe(E.INVAL);
      expect(addToPhysmap(probe, SPACE.grant_table, 64, gfn)).toBe(E.INVAL);
      expect(addToPhysmap(probe, SPACE.grant_table, 0x7fff_ffff, gfn)).toBe(E.INVAL);
      // Status frames come with version 2.
      expect(addToPhysmap(probe, SPACE.grant_table, STATUS_FRAME, gfn)).toBe(E.INVAL);
      expect(addToPhysmap(probe, 6, 0, gfn)).toBe(E.INVAL);
      expect(addToPhysmap(probe, 0xffff_ffff, 0, gfn)).toBe(E.INVAL);
      expect(addToPhysmap(probe, SPACE.dev_mmio, 0, gfn)).toBe(E.ACCES);
      expect(addToPhysmap(probe, SPACE.gmfn_foreign, 0, gfn)).toBe(E.NOSYS);
      expect(addToPhysmap(probe, SPACE.shared_info, 0, gfn, DOMID.missing)).toBe(E.SRCH);
      expect(addToPhysmap(probe, SPACE.shared_info, 0, gfn, DOMID.zero)).toBe(E.PERM);
      expect(memory(XENMEM.add_to_physmap, probe.hole())).toBe(E.FAULT);
      expect(probe.frame(gfn)).toBe(before);
    });

    it('reads its argument across pages', () => {
      const { probe } = guest;
      const { word } = probe;
      const gfn = probe.pages() / PAGE;
      for (const offset of [0xff8, 0xffc]) {
        const at = probe.scattered() + offset;
        probe.put(at, [0, 2, DOMID.self], [4, 4, SPACE.shared_info], [8, word, 0], [8 + word, word, gfn]);
        expect(memory(XENMEM.add_to_physmap, at)).toBe(0);
      }
      expect(probe.u32(gfn * PAGE + 0xff8)).toBe(0x600d);
    });

    it('moves a page of RAM', () => {
      const { probe } = guest;
      const [from, to] = [probe.pages(), probe.pages()];
      probe.put(from, [0, 4, 0xf00d]);
      const page = probe.frame(from / PAGE);
      expect(addToPhysmap(probe, SPACE.gmfn, from / PAGE, to / PAGE)).toBe(0);
      expect(probe.frame(to / PAGE)).toBe(page);
      expect(probe.command(OP.load32, to)[0]).toBe(0xf00dn);
      expect(probe.frame(from / PAGE)).toBe(0);
      expect(addToPhysmap(probe, SPACE.gmfn, from / PAGE, to / PAGE)).toBe(E.INVAL);
      expect(addToPhysmap(probe, SPACE.gmfn, to / PAGE, from / PAGE)).toBe(0);
      expect(probe.command(OP.load32, from)[0]).toBe(0xf00dn);
    });
  });

  describe('add_to_physmap_batch', () => {
    /** struct xen_add_to_physmap_batch */
    const batch = (space: number, idxs: number[], gpfns: number[], size = idxs.length, dom: number = DOMID.self) => {
      const { probe } = guest;
      const { word } = probe;
      const errs = probe.put(probe.alloc(4 * Math.max(1, size)), ...idxs.map((_, i) => [i * 4, 4, 99] as const));
      const at = probe.make(
        8 + 3 * word,
        [0, 2, dom],
        [2, 2, space],
        [4, 2, size],
        [8, word, frames(probe, ...idxs)],
        [8 + word, word, frames(probe, ...gpfns)],
        [8 + 2 * word, word, errs],
      );
      const result = memory(XENMEM.add_to_physmap_batch, at);
      return { result, errs: idxs.map((_, i) => probe.u32(errs + i * 4) | 0) };
    };

    it('maps each on its own, with its own error', () => {
      const { probe } = guest;
      const [a, b, c] = [probe.pages(), probe.pages(), probe.pages()].map((at) => at / PAGE) as [number, number, number];
      expect(batch(SPACE.grant_table, [1, 64, 2], [a, b, c])).toEqual({ result: 0, errs: [0, E.INVAL, 0] });
      probe.put(a * PAGE, [0, 4, 0x51]);
      expect(addToPhysmap(probe, SPACE.grant_table, 1, b)).toBe(0);
      expect(probe.u32(b * PAGE)).toBe(0x51);
    });

    it('refuses empty batches, ranges and other domains', () => {
      const gfn = guest.probe.pages() / PAGE;
      expect(batch(SPACE.grant_table, [], [], 0).result).toBe(0);
      expect(batch(SPACE.gmfn_range, [1], [gfn]).result).toBe(E.OPNOTSUPP);
      expect(batch(SPACE.grant_table, [1], [gfn], 1, DOMID.missing).result).toBe(E.SRCH);
      expect(batch(SPACE.grant_table, [1], [gfn], 1, DOMID.zero).result).toBe(E.PERM);
      expect(batch(SPACE.dev_mmio, [1], [gfn]).result).toBe(E.ACCES);
      expect(memory(XENMEM.add_to_physmap_batch, guest.probe.hole())).toBe(E.FAULT);
    });
  });

  it('remove_from_physmap takes a page away, from oneself', () => {
    const { probe } = guest;
    const at = probe.pages();
    expect(remove(at / PAGE, DOMID.missing)).toBe(E.SRCH);
    expect(remove(at / PAGE, DOMID.zero)).toBe(E.PERM);
    expect(memory(XENMEM.remove_from_physmap, probe.hole())).toBe(E.FAULT);
    expect(remove(at / PAGE)).toBe(0);
    expect(probe.load(at)).toBe(ALL_ONES[width]);
    expect(remove(at / PAGE)).toBe(E.NOENT);
    expect(remove(ALL_ONES[width])).toBe(E.NOENT);
  });

  describe('the balloon', () => {
    it('gives pages back and takes them again, zeroed', () => {
      const { probe } = guest;
      const pages = domid(XENMEM.current_reservation);
      const at = probe.pages(3);
      probe.write(at, new Uint8Array(3 * PAGE).fill(0x77));
      const list = frames(probe, at / PAGE, at / PAGE + 1, at / PAGE + 2);
      expect(reservation(XENMEM.decrease_reservation, { list, count: 3 })).toBe(3);
      expect(domid(XENMEM.current_reservation)).toBe(pages - 3);
      expect(probe.load(at)).toBe(ALL_ONES[width]);
      expect(reservation(XENMEM.populate_physmap, { list, count: 2 })).toBe(2);
      expect(domid(XENMEM.current_reservation)).toBe(pages - 1);
      expect(probe.load(at)).toBe(0n);
      expect(probe.load(at + PAGE)).toBe(0n);
      expect(probe.load(at + 2 * PAGE)).toBe(ALL_ONES[width]);
      // Elsewhere is as good.
      expect(reservation(XENMEM.populate_physmap, { list: frames(probe, 0xd_1000), count: 1 })).toBe(1);
      expect(probe.load(0xd_1000 * PAGE)).toBe(0n);
      expect(domid(XENMEM.current_reservation)).toBe(pages);
      expect(reservation(XENMEM.decrease_reservation, { list: frames(probe, 0xd_1000), count: 1 })).toBe(1);
      expect(reservation(XENMEM.populate_physmap, { list: frames(probe, at / PAGE + 2), count: 1 })).toBe(1);
    });

    it('does extents of several pages', () => {
      const { probe } = guest;
      const pages = domid(XENMEM.current_reservation);
      const at = probe.alloc(8 * PAGE, 4 * PAGE);
      const list = frames(probe, at / PAGE, at / PAGE + 4);
      expect(reservation(XENMEM.decrease_reservation, { list, count: 2, order: 2 })).toBe(2);
      expect(domid(XENMEM.current_reservation)).toBe(pages - 8);
      expect(reservation(XENMEM.populate_physmap, { list, count: 2, order: 2 })).toBe(2);
      expect(domid(XENMEM.current_reservation)).toBe(pages);
    });

    it('stops at the first extent that fails, and says how many it did', () => {
      const { probe } = guest;
      const at = probe.pages(2);
      const list = frames(probe, at / PAGE, EMPTY2, at / PAGE + 1);
      expect(reservation(XENMEM.decrease_reservation, { list, count: 3 })).toBe(1);
      expect(reservation(XENMEM.populate_physmap, { list, count: 1 })).toBe(1);
    });

    it('reads its list across a page and stops where it cannot be read', () => {
      const { probe } = guest;
      const at = probe.pages(3);
      const page = probe.map(probe.pages());
      probe.hole();
      const list = page + PAGE - 2 * probe.word;
      probe.put(list, [0, probe.word, at / PAGE], [probe.word, probe.word, at / PAGE + 1]);
      expect(reservation(XENMEM.decrease_reservation, { list, count: 3 })).toBe(2);
      expect(reservation(XENMEM.populate_physmap, { list, count: 3 })).toBe(2);
    });

    it('does nothing for what it cannot do', () => {
      const { probe } = guest;
      const list = frames(probe, probe.pages() / PAGE);
      for (const op of [XENMEM.decrease_reservation, XENMEM.populate_physmap]) {
        expect(memory(op, probe.hole())).toBe(0);
        expect(reservation(op, { list, count: 1, domid: DOMID.missing })).toBe(0);
        expect(reservation(op, { list, count: 1, domid: DOMID.zero })).toBe(0);
        expect(reservation(op, { list, count: 1, order: 10 })).toBe(0);
        expect(reservation(op, { list: probe.hole(), count: 1 })).toBe(0);
        expect(reservation(op, { list, count: 0 })).toBe(0);
      }
    });

    it('does not exceed the maximum', () => {
      const { probe } = guest;
      expect(domid(XENMEM.maximum_reservation)).toBeGreaterThanOrEqual(domid(XENMEM.current_reservation));
      let done = 0;
      while (done < 4096 && reservation(XENMEM.populate_physmap, { list: frames(probe, 0xd_2000 + done), count: 1 }) === 1)
        done++;
      expect(domid(XENMEM.current_reservation)).toBeLessThanOrEqual(domid(XENMEM.maximum_reservation));
      for (let i = 0; i < done; i++) reservation(XENMEM.decrease_reservation, { list: frames(probe, 0xd_2000 + i), count: 1 });
    });
  });

  it('exchange checks what it is given', () => {
    const { probe } = guest;
    const { word } = probe;
    // struct xen_memory_exchange: two reservations, then a count.
    const out = width === 64 ? 32 : 20;
    const exchange = (...members: readonly Member[]): number => {
      const domids: Member[] = [
        [2 * word + 8, 2, DOMID.self],
        [out + 2 * word + 8, 2, DOMID.self],
      ];
      return memory(XENMEM.exchange, probe.make(2 * out + word, ...domids, ...members));
    };
    expect(memory(XENMEM.exchange, probe.hole())).toBe(E.FAULT);
    expect(exchange([2 * word, 4, 10])).toBe(E.PERM);
    expect(exchange([word, word, 2], [out + word, word, 1])).toBe(E.INVAL);
    expect(exchange([2 * out, word, 1])).toBe(E.INVAL);
    expect(exchange([2 * word + 8, 2, DOMID.zero])).toBe(E.INVAL);
    expect(exchange([2 * word + 8, 2, DOMID.missing], [out + 2 * word + 8, 2, DOMID.missing])).toBe(E.SRCH);
    expect(exchange([2 * word + 8, 2, DOMID.zero], [out + 2 * word + 8, 2, DOMID.zero])).toBe(E.PERM);
  });

  it('tells about the domain itself only', () => {
    const { probe } = guest;
    for (const op of [XENMEM.current_reservation, XENMEM.maximum_reservation, XENMEM.maximum_gpfn]) {
      expect(domid(op)).toBeGreaterThan(0);
      expect(domid(op, probe.cpuid(0x4000_0004)[2])).toBe(domid(op));
      expect(domid(op, DOMID.missing)).toBe(E.SRCH);
      expect(domid(op, DOMID.zero)).toBe(E.PERM);
      expect(memory(op, probe.hole())).toBe(E.FAULT);
    }
    expect(domid(XENMEM.maximum_gpfn)).toBeGreaterThanOrEqual(0xfefff);
    expect(memory(XENMEM.maximum_ram_page, 0)).toBeGreaterThan(0);
  });

  it('memory_map gives the E820 map that the start info has', () => {
    const { probe } = guest;
    const at = probe.alloc(128 * 20);
    const [result, count] = memoryMap(128, at);
    expect(result).toBe(0);
    expect(count).toBeGreaterThan(2);
    const entries = Array.from({ length: count }, (_, i) => ({
      addr: Number(probe.get(at + i * 20, 8)),
      size: Number(probe.get(at + i * 20 + 8, 8)),
      type: probe.u32(at + i * 20 + 16),
    }));
    expect(entries[0]).toEqual({ addr: 0, size: 16 << 20, type: 1 });
    const holds = (address: number, type: number): boolean =>
      entries.some((e) => e.type === type && address >= e.addr && address < e.addr + e.size);
    for (const special of [0xfeff8000, 0xfeffc000, 0xfefff000]) expect(holds(special, 2)).toBe(true);
    // Of a shorter buffer, what fits.
    probe.write(at, new Uint8Array(64));
    expect(memoryMap(2, at)).toEqual([0, 2]);
    expect(probe.u32(at + 16)).toBe(1);
    expect(probe.get(at + 40, 8)).toBe(0n);
    expect(memoryMap(128, probe.hole())[0]).toBe(E.FAULT);
    expect(memory(XENMEM.memory_map, probe.hole())).toBe(E.FAULT);
  });

  it('set_memory_map changes what memory_map gives', () => {
    const { probe } = guest;
    const { word } = probe;
    const set = (entries: number, buffer: number, dom: number = DOMID.self): number =>
      memory(XENMEM.set_memory_map, probe.make(3 * word, [0, 2, dom], [word, 4, entries], [2 * word, word, buffer]));
    const map = probe.make(40, [0, 8, 0], [8, 8, 0x50_0000], [16, 4, 1], [20, 8, 0x50_0000], [28, 8, 0x1000], [36, 4, 2]);
    expect(set(129, map)).toBe(E.INVAL);
    expect(set(2, map, DOMID.missing)).toBe(E.SRCH);
    expect(set(2, map, DOMID.zero)).toBe(E.PERM);
    expect(set(2, probe.hole())).toBe(E.FAULT);
    expect(set(2, map)).toBe(0);
    const at = probe.alloc(60);
    expect(memoryMap(3, at)).toEqual([0, 2]);
    expect(probe.read(at, 40)).toEqual(probe.read(map, 40));
  });

  it('refuses what is not for a guest', () => {
    const { probe } = guest;
    const { word } = probe;
    expect(memory(XENMEM.machine_memory_map, probe.make(16, [0, 4, 1], [word, word, probe.alloc(32)]))).toBe(E.PERM);
    expect(memory(XENMEM.machphys_mapping, probe.alloc(24))).toBe(E.NOSYS);
    expect(memory(XENMEM.get_vnumainfo, probe.make(40, [0, 2, DOMID.self]))).toBe(E.OPNOTSUPP);
    // struct xen_mem_acquire_resource: for other domains.
    const resource = (dom: number, pad = 0): number =>
      memory(XENMEM.acquire_resource, probe.make(32, [0, 2, dom], [2, 2, 1], [8, 4, 1], [12, 4, pad]));
    // rcu_lock_remote_domain_by_id: it knows numbers, not DOMID_SELF.
    expect(resource(DOMID.self)).toBe(E.SRCH);
    expect(resource(probe.cpuid(0x4000_0004)[2])).toBe(E.PERM);
    expect(resource(DOMID.missing)).toBe(E.SRCH);
    expect(resource(DOMID.self, 1)).toBe(E.INVAL);
    // No device of the host's is passed through; flag 1 is XENMEM_RDM_ALL.
    const devices = probe.make(24, [0, 4, 1], [4, 4, 5]);
    expect(memory(XENMEM.reserved_device_memory_map, devices)).toBe(0);
    expect(probe.u32(devices + 4)).toBe(0);
    expect(memory(XENMEM.reserved_device_memory_map, probe.put(devices, [0, 4, 2]))).toBe(E.INVAL);
    for (const op of [8, 29, 30, 63]) expect(memory(op, probe.alloc(64))).toBe(E.NOSYS);
  });
});
