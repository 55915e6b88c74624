// grant_table_op: xen/common/grant_table.c, public/grant_table.h. The guest grants pages to itself.
import { describe, expect, it } from 'vitest';
import { OP } from './probe-layout.ts';
import { addToPhysmap, latchWidth } from './shared-page.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { DOMID, E, GNTTABOP, HYPERVISOR, SPACE } from './xen-numbers.ts';

const PAGE = 0x1000;
const STATUS_FRAME = 0x8000_0000;
const GTF = { permit: 1, readonly: 4, reading: 8, writing: 16 } as const;
const MAP = { device: 1, host: 2, readonly: 4 } as const;
const GNTST = {
  okay: 0,
  general_error: -1,
  bad_domain: -2,
  bad_gntref: -3,
  bad_handle: -4,
  bad_virt_addr: -5,
  permission_denied: -8,
  bad_copy_arg: -10,
} as const;
/** Guest frames without memory. */
const [EMPTY, EMPTY2] = [0xd_0000, 0xd_0001];

describe.each(WIDTHS)('grant_table_op of a %i-bit guest', (width) => {
  let table: number;
  let domid: number;
  const guest = useProbe(width, (probe) => {
    latchWidth(probe);
    domid = probe.cpuid(0x4000_0004)[2];
    table = probe.pages();
    addToPhysmap(probe, SPACE.grant_table, 0, table / PAGE);
  });
  const op = (cmd: number, at: number, count = 1): number => guest.probe.call(HYPERVISOR.grant_table_op, cmd, at, count);
  const grant = (ref: number, frame: number, flags: number = GTF.permit, dom = domid): void =>
    void guest.probe.put(table + ref * 8, [2, 2, dom], [4, 4, frame], [0, 2, flags]);
  const flags = (ref: number): number => guest.probe.u16(table + ref * 8);
  /** struct gnttab_map_grant_ref */
  const map = (at: number, ref: number, mapFlags: number = MAP.host, dom: number = domid) => {
    const { probe } = guest;
    const arg = probe.make(32, [0, 8, at], [8, 4, mapFlags], [12, 4, ref], [16, 2, dom]);
    const result = op(GNTTABOP.map_grant_ref, arg);
    return { result, status: probe.s16(arg + 18), handle: probe.u32(arg + 20) };
  };
  /** struct gnttab_unmap_grant_ref */
  const unmap = (at: number, handle: number) => {
    const arg = guest.probe.make(24, [0, 8, at], [16, 4, handle]);
    const result = op(GNTTABOP.unmap_grant_ref, arg);
    return { result, status: guest.probe.s16(arg + 20) };
  };
  const querySize = (dom: number = DOMID.self) => {
    const { probe } = guest;
    const at = probe.make(16, [0, 2, dom], [12, 2, 0x55]);
    const result = op(GNTTABOP.query_size, at);
    return { result, frames: probe.u32(at + 4), max: probe.u32(at + 8), status: probe.s16(at + 12) };
  };
  /** struct gnttab_setup_table */
  const setupTable = (frames: number, list: number, dom: number = DOMID.self) => {
    const { probe } = guest;
    const at = probe.make(24, [0, 2, dom], [4, 4, frames], [8, 2, 0x55], [width === 64 ? 16 : 12, probe.word, list]);
    return { result: op(GNTTABOP.setup_table, at), status: probe.s16(at + 8) };
  };
  const setVersion = (version: number): number => op(GNTTABOP.set_version, guest.probe.make(4, [0, 4, version]));
  const getVersion = (dom: number = DOMID.self): number => {
    const at = guest.probe.make(8, [0, 2, dom]);
    const result = op(GNTTABOP.get_version, at);
    return result === 0 ? guest.probe.u32(at + 4) : result;
  };

  it('the console has its entry', () => {
    expect(flags(0)).toBe(GTF.permit);
    expect(guest.probe.u16(table + 2)).toBe(DOMID.zero);
    expect(guest.probe.u32(table + 4)).toBe(0xfefff);
  });

  it('query_size', () => {
    const { result, frames, max, status } = querySize();
    expect({ result, status }).toEqual({ result: 0, status: GNTST.okay });
    expect(frames).toBeGreaterThanOrEqual(1);
    expect(max).toBe(64);
    expect(querySize(domid)).toMatchObject({ result: 0, status: GNTST.okay });
    expect(querySize(DOMID.missing)).toMatchObject({ result: 0, status: GNTST.bad_domain });
    expect(querySize(DOMID.zero)).toMatchObject({ result: 0, status: GNTST.permission_denied });
    expect(op(GNTTABOP.query_size, guest.probe.alloc(32), 2)).toBe(E.INVAL);
    expect(op(GNTTABOP.query_size, guest.probe.hole())).toBe(E.FAULT);
  });

  it('setup_table grows the table and lists its frames', () => {
    const { probe } = guest;
    const list = probe.alloc(64 * probe.word);
    expect(setupTable(5, list)).toEqual({ result: 0, status: GNTST.okay });
    expect(querySize().frames).toBe(5);
    expect(probe.pointer(list)).toBe(BigInt(table / PAGE));
    expect(probe.pointer(list + probe.word)).toBe(width === 64 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn);
    expect(addToPhysmap(probe, SPACE.grant_table, 4, EMPTY)).toBe(0);
    expect(setupTable(5, list).status).toBe(GNTST.okay);
    expect(probe.pointer(list + 4 * probe.word)).toBe(BigInt(EMPTY));
    expect(setupTable(65, list)).toEqual({ result: 0, status: GNTST.general_error });
    expect(setupTable(1, list, DOMID.missing).status).toBe(GNTST.bad_domain);
    expect(setupTable(1, list, DOMID.zero).status).toBe(GNTST.permission_denied);
    expect(setupTable(1, probe.hole()).status).toBe(GNTST.bad_virt_addr);
    expect(op(GNTTABOP.setup_table, probe.alloc(64), 2)).toBe(E.INVAL);
    // The 32-bit entry does each of none.
    expect(op(GNTTABOP.setup_table, probe.alloc(64), 0)).toBe(width === 64 ? E.INVAL : 0);
    expect(op(GNTTABOP.setup_table, probe.hole())).toBe(E.FAULT);
  });

  it('what is not for an HVM guest', () => {
    const { probe } = guest;
    const others = [
      GNTTABOP.dump_table,
      GNTTABOP.transfer,
      GNTTABOP.unmap_and_replace,
      GNTTABOP.get_status_frames,
      GNTTABOP.cache_flush,
    ];
    for (const cmd of others) for (const at of [probe.alloc(64), probe.hole()]) expect(op(cmd, at)).toBe(E.NOSYS);
    for (const cmd of [13, 100, 0x7fff_ffff]) expect(op(cmd, probe.alloc(64))).toBe(E.NOSYS);
    expect(op(GNTTABOP.query_size, probe.alloc(16), 0xffff_ffff)).toBe(E.INVAL);
  });

  // A page of one's own moves: p2m_add_page takes it from where it was, and unmapping leaves a hole.
  it('a mapped grant is the page itself, pinned meanwhile', () => {
    const { probe } = guest;
    const page = probe.pages();
    const frame = probe.frame(page / PAGE);
    probe.put(page, [0, 4, 0x1234]);
    grant(20, page / PAGE);
    const mapped = map(EMPTY2 * PAGE, 20);
    expect(mapped).toMatchObject({ result: 0, status: GNTST.okay });
    expect(flags(20)).toBe(GTF.permit | GTF.reading | GTF.writing);
    expect(probe.frame(EMPTY2)).toBe(frame);
    expect(probe.frame(page / PAGE)).toBe(0);
    expect(probe.command(OP.load32, EMPTY2 * PAGE)[0]).toBe(0x1234n);
    probe.command(OP.store32, EMPTY2 * PAGE, 0x5678);
    expect(probe.u32(EMPTY2 * PAGE)).toBe(0x5678);
    expect(unmap(EMPTY2 * PAGE, mapped.handle)).toEqual({ result: 0, status: GNTST.okay });
    expect(flags(20)).toBe(GTF.permit);
    expect(probe.command(OP.load32, EMPTY2 * PAGE)[0]).toBe(0xffff_ffffn);
    expect(unmap(EMPTY2 * PAGE, mapped.handle).status).toBe(GNTST.bad_handle);
    expect(unmap(EMPTY2 * PAGE, 0xffff_ffff).status).toBe(GNTST.bad_handle);
  });

  it('a grant mapped for reading cannot be written', () => {
    const { probe } = guest;
    const page = probe.pages();
    probe.put(page, [0, 4, 0x1234]);
    grant(21, page / PAGE, GTF.permit | GTF.readonly);
    expect(map(EMPTY2 * PAGE, 21).status).toBe(GNTST.general_error);
    expect(flags(21)).toBe(GTF.permit | GTF.readonly);
    const mapped = map(EMPTY2 * PAGE, 21, MAP.host | MAP.readonly);
    expect(mapped.status).toBe(GNTST.okay);
    expect(flags(21)).toBe(GTF.permit | GTF.readonly | GTF.reading);
    expect(probe.command(OP.load32, EMPTY2 * PAGE)[0]).toBe(0x1234n);
    probe.attempt(OP.store32, EMPTY2 * PAGE, 0x5678);
    expect(probe.u32(EMPTY2 * PAGE)).toBe(0x1234);
    // Nor by Xen on the guest's behalf: platform_parameters would write 0.
    probe.call(HYPERVISOR.xen_version, 5, EMPTY2 * PAGE);
    expect(probe.u32(EMPTY2 * PAGE)).toBe(0x1234);
    expect(unmap(EMPTY2 * PAGE, mapped.handle).status).toBe(GNTST.okay);
    expect(flags(21)).toBe(GTF.permit | GTF.readonly);
  });

  it('map refuses what is not granted', () => {
    const { probe } = guest;
    const at = EMPTY2 * PAGE;
    grant(22, probe.pages() / PAGE, 0);
    expect(map(at, 22).status).toBe(GNTST.general_error);
    grant(22, probe.pages() / PAGE, GTF.permit, DOMID.missing);
    expect(map(at, 22).status).toBe(GNTST.general_error);
    grant(22, 0xd_8000);
    expect(map(at, 22).status).not.toBe(GNTST.okay);
    expect(map(at, 0x7fff_ffff).status).toBe(GNTST.bad_gntref);
    expect(map(at, 22, MAP.host, DOMID.missing).status).toBe(GNTST.bad_domain);
    grant(22, probe.pages() / PAGE);
    expect(map(at, 22, 0).status).toBe(GNTST.bad_gntref);
    expect(op(GNTTABOP.map_grant_ref, probe.hole())).toBe(E.FAULT);
    expect(op(GNTTABOP.unmap_grant_ref, probe.hole())).toBe(E.FAULT);
    expect(op(GNTTABOP.map_grant_ref, probe.hole(), 0)).toBe(0);
    expect(probe.frame(EMPTY2)).toBe(0);
  });

  it('does a list of operations, each with its status', () => {
    const { probe } = guest;
    const pages = [probe.pages(), probe.pages()];
    grant(30, (pages[0] as number) / PAGE);
    grant(31, (pages[1] as number) / PAGE);
    const at = probe.alloc(3 * 32);
    for (const [i, ref] of [30, 0x7fff_ffff, 31].entries())
      probe.put(at + i * 32, [0, 8, (EMPTY2 + i) * PAGE], [8, 4, MAP.host], [12, 4, ref], [16, 2, domid]);
    expect(op(GNTTABOP.map_grant_ref, at, 3)).toBe(0);
    const statuses = [0, 1, 2].map((i) => probe.s16(at + i * 32 + 18));
    expect(statuses).toEqual([GNTST.okay, GNTST.bad_gntref, GNTST.okay]);
    const undo = probe.alloc(2 * 24);
    for (const [i, k] of [0, 2].entries())
      probe.put(undo + i * 24, [0, 8, (EMPTY2 + k) * PAGE], [16, 4, probe.u32(at + k * 32 + 20)]);
    expect(op(GNTTABOP.unmap_grant_ref, undo, 2)).toBe(0);
    expect([0, 1].map((i) => probe.s16(undo + i * 24 + 20))).toEqual([GNTST.okay, GNTST.okay]);
  });

  describe('copy', () => {
    interface End {
      readonly ref?: number;
      readonly gfn?: number;
      readonly domid?: number;
      readonly offset?: number;
    }
    /** struct gnttab_copy: its offsets in either width. */
    const F =
      width === 64
        ? { size: 40, dest: 16, domid: 8, offset: 10, len: 32, flags: 34, status: 36 }
        : { size: 24, dest: 8, domid: 4, offset: 6, len: 16, flags: 18, status: 20 };
    const copy = (source: End, dest: End, len: number) => {
      const { probe } = guest;
      const end = (at: number, { ref, gfn = 0, domid: dom = DOMID.self, offset = 0 }: End) =>
        [
          ref === undefined ? ([at, probe.word, gfn] as const) : ([at, 4, ref] as const),
          [at + F.domid, 2, dom] as const,
          [at + F.offset, 2, offset] as const,
        ] as const;
      const copyFlags = (source.ref === undefined ? 0 : 1) | (dest.ref === undefined ? 0 : 2);
      const at = probe.make(F.size, ...end(0, source), ...end(F.dest, dest), [F.len, 2, len], [F.flags, 2, copyFlags]);
      return { result: op(GNTTABOP.copy, at), status: probe.s16(at + F.status) };
    };

    it('from frame to frame, by references too', () => {
      const { probe } = guest;
      const [a, b, c] = [probe.pages(), probe.pages(), probe.pages()];
      probe.put(a, [0x10, 8, 0x0102_0304_0506_0708n]);
      expect(copy({ gfn: a / PAGE, offset: 0x10 }, { gfn: b / PAGE, offset: 0xff8 }, 8)).toEqual({ result: 0, status: 0 });
      expect(probe.get(b + 0xff8, 8)).toBe(0x0102_0304_0506_0708n);
      grant(40, b / PAGE, GTF.permit | GTF.readonly);
      grant(41, c / PAGE);
      expect(copy({ ref: 40, domid, offset: 0xff9 }, { ref: 41, domid, offset: 3 }, 4).status).toBe(GNTST.okay);
      expect([...probe.read(c, 8)]).toEqual([0, 0, 0, 7, 6, 5, 4, 0]);
      expect([flags(40), flags(41)]).toEqual([GTF.permit | GTF.readonly, GTF.permit]);
      expect(copy({ gfn: a / PAGE }, { gfn: c / PAGE }, PAGE).status).toBe(GNTST.okay);
      expect(probe.read(c, PAGE)).toEqual(probe.read(a, PAGE));
    });

    it('refuses with a status', () => {
      const { probe } = guest;
      const gfn = probe.pages() / PAGE;
      grant(42, gfn, GTF.permit | GTF.readonly);
      expect(copy({ gfn, offset: 1 }, { gfn }, PAGE).status).toBe(GNTST.bad_copy_arg);
      expect(copy({ gfn }, { gfn, offset: 0xfff }, 2).status).toBe(GNTST.bad_copy_arg);
      expect(copy({ gfn }, { ref: 42, domid }, 4).status).toBe(GNTST.general_error);
      expect(copy({ ref: 0x7fff_ffff, domid }, { gfn }, 4).status).toBe(GNTST.bad_gntref);
      expect(copy({ gfn, domid }, { gfn }, 4).status).toBe(GNTST.permission_denied);
      expect(copy({ ref: 42, domid: DOMID.missing }, { gfn }, 4).status).toBe(GNTST.bad_domain);
      expect(op(GNTTABOP.copy, probe.hole())).toBe(E.FAULT);
    });
  });

  it('swap_grant_ref exchanges two entries', () => {
    const { probe } = guest;
    grant(50, 0x111);
    grant(51, 0x222, GTF.permit | GTF.readonly);
    const at = probe.make(12, [0, 4, 50], [4, 4, 51], [8, 2, 0x55]);
    expect(op(GNTTABOP.swap_grant_ref, at)).toBe(0);
    expect(probe.s16(at + 8)).toBe(GNTST.okay);
    expect([probe.u32(table + 50 * 8 + 4), probe.u32(table + 51 * 8 + 4)]).toEqual([0x222, 0x111]);
    expect([flags(50), flags(51)]).toEqual([GTF.permit | GTF.readonly, GTF.permit]);
    const bad = probe.make(12, [0, 4, 50], [4, 4, 0x7fff_ffff]);
    expect(op(GNTTABOP.swap_grant_ref, bad)).toBe(0);
    expect(probe.s16(bad + 8)).toBe(GNTST.bad_gntref);
    grant(50, 0, 0);
    grant(51, 0, 0);
  });

  describe('version 2', () => {
    it('get_version and set_version', () => {
      expect(getVersion()).toBe(1);
      expect(getVersion(domid)).toBe(1);
      expect(getVersion(DOMID.missing)).toBe(E.SRCH);
      expect(getVersion(DOMID.zero)).toBe(E.PERM);
      expect(setVersion(1)).toBe(0);
      for (const version of [0, 3, 0xffff_ffff]) expect(setVersion(version)).toBe(E.INVAL);
      expect(op(GNTTABOP.set_version, guest.probe.hole())).toBe(E.FAULT);
      expect(op(GNTTABOP.get_version, guest.probe.hole())).toBe(E.FAULT);
    });

    it('the version cannot change while a grant is mapped', () => {
      const { probe } = guest;
      grant(20, probe.pages() / PAGE);
      const mapped = map(EMPTY2 * PAGE, 20);
      expect(setVersion(2)).toBe(E.BUSY);
      expect(getVersion()).toBe(1);
      expect(unmap(EMPTY2 * PAGE, mapped.handle).status).toBe(GNTST.okay);
    });

    it('entries of 16 bytes keep the reserved ones; status words are apart', () => {
      const { probe } = guest;
      const at = probe.make(4, [0, 4, 2]);
      expect(op(GNTTABOP.set_version, at)).toBe(0);
      expect(probe.u32(at)).toBe(2);
      expect(getVersion()).toBe(2);
      // Entry 0, the console's.
      expect(probe.u16(table) & 3).toBe(GTF.permit);
      expect(probe.u16(table + 2)).toBe(DOMID.zero);
      expect(probe.get(table + 8, 8)).toBe(0xfefffn);
      expect(probe.read(table + 8 * 16, PAGE - 8 * 16).every((byte) => byte === 0)).toBe(true);

      const status = probe.pages();
      expect(addToPhysmap(probe, SPACE.grant_table, STATUS_FRAME, status / PAGE)).toBe(0);
      const page = probe.pages();
      probe.put(page, [0, 4, 0xabcd]);
      probe.put(table + 20 * 16, [2, 2, domid], [8, 8, page / PAGE], [0, 2, GTF.permit]);
      const mapped = map(EMPTY2 * PAGE, 20);
      expect(mapped.status).toBe(GNTST.okay);
      expect(probe.u16(table + 20 * 16)).toBe(GTF.permit);
      expect(probe.u16(status + 20 * 2)).toBe(GTF.reading | GTF.writing);
      expect(probe.command(OP.load32, EMPTY2 * PAGE)[0]).toBe(0xabcdn);
      expect(unmap(EMPTY2 * PAGE, mapped.handle).status).toBe(GNTST.okay);
      expect(probe.u16(status + 20 * 2)).toBe(0);
    });

    it('goes back to version 1', () => {
      const { probe } = guest;
      expect(setVersion(1)).toBe(0);
      expect(getVersion()).toBe(1);
      expect(flags(0)).toBe(GTF.permit);
      expect(probe.u32(table + 4)).toBe(0xfefff);
      expect(probe.read(table + 8 * 8, PAGE - 8 * 8).every((byte) => byte === 0)).toBe(true);
      expect(addToPhysmap(probe, SPACE.grant_table, STATUS_FRAME, EMPTY2)).toBe(E.INVAL);
    });
  });
});
