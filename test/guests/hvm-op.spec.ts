// hvm_op and the HVM parameters, row by row: xen/arch/x86/hvm/hvm.c, public/hvm/params.h.
import { describe, expect, it } from 'vitest';
import { latchWidth, SharedPage } from './shared-page.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { callbackVector, DOMID, E, HVMOP, HYPERVISOR } from './xen-numbers.ts';

/** What a guest may do with a parameter: set and get give a result, for a value that is fine. */
const READ_WRITE = { STORE_EVTCHN: 2, CONSOLE_EVTCHN: 18, VM_GENERATION_ID_ADDR: 34 } as const;
const READ_ONLY = { STORE_PFN: 1, CONSOLE_PFN: 17 } as const;
const TOOLSTACK = {
  IOREQ_PFN: 5,
  BUFIOREQ_PFN: 6,
  VIRIDIAN: 9,
  TIMER_MODE: 10,
  HPET_ENABLED: 11,
  IDENT_PT: 12,
  ACPI_S_STATE: 14,
  VPT_ALIGN: 16,
  PAGING_RING_PFN: 27,
  MONITOR_RING_PFN: 28,
  SHARING_RING_PFN: 29,
  TRIPLE_FAULT_REASON: 31,
  IOREQ_SERVER_PFN: 32,
  NR_IOREQ_SERVER_PAGES: 33,
  MCA_CAP: 38,
} as const;
const DEPRECATED = [4, 13, 20, 21, 22, 23, 24, 25, 26, 30] as const;
const UNWRITTEN = 0xdead;

describe.each(WIDTHS)('hvm_op of a %i-bit guest', (width) => {
  const guest = useProbe(width);
  const op = (cmd: number, at: number): number => guest.probe.call(HYPERVISOR.hvm_op, cmd, at);
  const set = (index: number, value: number | bigint, dom: number = DOMID.self): number =>
    op(HVMOP.set_param, guest.probe.make(16, [0, 2, dom], [4, 4, index], [8, 8, value]));
  const get = (index: number, dom: number = DOMID.self): number | bigint => {
    const { probe } = guest;
    const at = probe.make(16, [0, 2, dom], [4, 4, index], [8, 8, UNWRITTEN]);
    const result = op(HVMOP.get_param, at);
    return result === 0 ? probe.get(at + 8, 8) : result;
  };

  it.each(Object.entries(READ_WRITE))("%s is the guest's to set", (_, index) => {
    expect(typeof get(index)).toBe('bigint');
    expect(set(index, 0x1234_5678_9abcn)).toBe(0);
    expect(get(index)).toBe(0x1234_5678_9abcn);
  });

  it.each(Object.entries(READ_ONLY))('%s is only read', (_, index) => {
    const value = get(index);
    expect(typeof value).toBe('bigint');
    expect(set(index, 1)).toBe(E.PERM);
    expect(get(index)).toBe(value);
  });

  it('CONSOLE_PFN names the special page', () => {
    expect(get(17)).toBe(0xfefffn);
  });

  it.each(Object.entries(TOOLSTACK))("%s is the toolstack's", (_, index) => {
    expect(set(index, 0)).toBe(E.PERM);
    expect(get(index)).toBe(E.PERM);
  });

  it.each(DEPRECATED)('parameter %i is gone', (index) => {
    expect(set(index, 0)).toBe(E.INVAL);
    expect(get(index)).toBe(E.INVAL);
  });

  it.each([39, 40, 100, 0xffff_ffff])('there is no parameter %i', (index) => {
    expect(set(index, 0)).toBe(E.INVAL);
    expect(get(index)).toBe(E.INVAL);
  });

  it('ALTP2M is set once, by the toolstack', () => {
    expect(set(35, 1)).toBe(E.EXIST);
    expect(get(35)).toBe(0n);
  });

  it('VM86_TSS is kept with a size', () => {
    expect(set(37, (0x100n << 32n) | 0x9000n)).toBe(0);
    expect(get(37)).toBe((0x100n << 32n) | 0x9000n);
    expect(get(15)).toBe(0x9000n);
    expect(set(15, 0xa000)).toBe(0);
    expect(get(15)).toBe(0xa000n);
    expect(get(37)).toBe((128n << 32n) | 0xa000n);
  });

  it('X87_FIP_WIDTH is 0, 4 or 8', () => {
    for (const value of [4, 8, 0]) {
      expect(set(36, value)).toBe(0);
      expect(get(36)).toBe(BigInt(value));
    }
    for (const value of [1, 2, 16]) expect(set(36, value)).toBe(E.INVAL);
  });

  it('parameters are of the domain itself', () => {
    const { probe } = guest;
    const own = probe.cpuid(0x4000_0004)[2];
    expect(set(2, 7, own)).toBe(0);
    expect(get(2, own)).toBe(7n);
    expect([set(2, 0, DOMID.missing), get(2, DOMID.missing)]).toEqual([E.SRCH, E.SRCH]);
    expect([set(2, 0, DOMID.zero), get(2, DOMID.zero)]).toEqual([E.PERM, E.PERM]);
    for (const cmd of [HVMOP.set_param, HVMOP.get_param]) expect(op(cmd, probe.hole())).toBe(E.FAULT);
    const page = probe.pages();
    probe.put(page, [0, 2, DOMID.self], [4, 4, 17]);
    expect(op(HVMOP.get_param, probe.readOnly(page))).toBe(E.FAULT);
    const at = probe.scattered() + 0xffc;
    probe.put(at, [0, 2, DOMID.self], [4, 4, 17], [8, 8, 0]);
    expect(op(HVMOP.get_param, at)).toBe(0);
    expect(probe.get(at + 8, 8)).toBe(0xfefffn);
  });

  it('CALLBACK_IRQ: setting it latches the width of shared_info', () => {
    const { probe } = guest;
    const shared = SharedPage.map(probe);
    // Nothing has told Xen the width: the layout is the 64-bit one.
    expect(new SharedPage(probe, shared.at, 64).wallclock.seconds).toBeGreaterThan(1.7e9);
    expect(set(0, 1)).toBe(0);
    expect(get(0)).toBe(1n);
    expect(shared.wallclock.seconds).toBeGreaterThan(1.7e9);
    expect(shared.wallclock.version % 2).toBe(0);
  });

  it.runIf(width === 64)('the mode at the call counts: 32-bit code in long mode latches the 32-bit width', () => {
    const { probe } = guest;
    const shared = SharedPage.map(probe);
    const wide = new SharedPage(probe, shared.at, 64).wallclock;
    const at = probe.make(16, [0, 2, DOMID.self], [4, 4, 0], [8, 8, 1]);
    probe.write(shared.at + 0x900, new Uint8Array(0x30));
    expect(probe.callFrom('compat', HYPERVISOR.hvm_op, HVMOP.set_param, at)).toBe(0);
    expect(new SharedPage(probe, shared.at, 32).wallclock.seconds).toBe(wide.seconds);
    latchWidth(probe);
    expect(new SharedPage(probe, shared.at, 64).wallclock.seconds).toBe(wide.seconds);
  });

  it.each([0n, 1n, 9n, 1n << 56n, (1n << 56n) | 0x1803n, 3n << 56n, 0xffn << 56n, callbackVector(0xf3)])(
    'CALLBACK_IRQ takes any value: %i',
    (value) => {
      expect(set(0, value)).toBe(0);
      expect(get(0)).toBe(value);
    },
  );

  it('flush_tlbs takes no argument', () => {
    expect(op(HVMOP.flush_tlbs, 0)).toBe(0);
    expect(op(HVMOP.flush_tlbs, guest.probe.alloc(8))).toBe(E.INVAL);
  });

  it('get_time goes on', () => {
    const { probe } = guest;
    const at = probe.alloc(8);
    expect(op(HVMOP.get_time, at)).toBe(0);
    const first = probe.get(at, 8);
    expect(op(HVMOP.get_time, at)).toBe(0);
    const second = probe.get(at, 8);
    expect(second).toBeGreaterThan(first);
    expect(second - first).toBeLessThan(60_000_000_000n);
    expect(op(HVMOP.get_time, probe.hole())).toBe(E.FAULT);
  });

  it('get_mem_type tells RAM from nothing', () => {
    const { probe } = guest;
    const type = (gfn: number, dom: number = DOMID.self): number => {
      const at = probe.make(16, [0, 2, dom], [2, 2, 0xffff], [8, 8, gfn]);
      const result = op(HVMOP.get_mem_type, at);
      return result === 0 ? probe.u16(at + 2) : result;
    };
    expect(type(0x300)).toBe(0); // HVMMEM_ram_rw
    expect(type(0xd_0000)).toBe(2); // HVMMEM_mmio_dm
    expect(type(0x300, DOMID.missing)).toBe(E.SRCH);
    expect(type(0x300, DOMID.zero)).toBe(E.PERM);
    expect(op(HVMOP.get_mem_type, probe.hole())).toBe(E.FAULT);
  });

  it('the rest', () => {
    const { probe } = guest;
    const at = probe.make(64, [0, 2, DOMID.self]);
    expect(op(HVMOP.xentrace, probe.alloc(64))).toBe(0);
    expect(op(HVMOP.pagetable_dying, at)).toBe(E.INVAL);
    for (const cmd of [2, 3, 4, 0x101, 26, 200, 0xffff_ffff]) expect(op(cmd, at)).toBe(E.NOSYS);
  });
});
