// Operations for control domains, monitors and PV guests, as an ordinary HVM guest meets them: xen/common/memory.c, xen/common/mem_access.c, xen/arch/x86/mm.c (arch_memory_op), xen/arch/x86/x86_64/mm.c, public/memory.h.
import { describe, expect, it } from 'vitest';
import { useProbe, WIDTHS } from './use-probe.ts';
import { DOMID, E, HVMOP, HYPERVISOR, XENMEM } from './xen-numbers.ts';

/** Above the number of an operation is the extent to begin with: MEMOP_EXTENT_SHIFT. */
const SECOND_EXTENT = 1 << 6;

describe.each(WIDTHS)('operations for others, of a %i-bit guest', (width) => {
  const guest = useProbe(width);
  const word = width === 64 ? 8 : 4;
  const memory = (op: number, at = 0): number => guest.probe.call(HYPERVISOR.memory_op, op, at);
  const own = (): number => guest.probe.cpuid(0x4000_0004)[2];

  it('no page of the host is shared between domains', () => {
    expect(memory(XENMEM.get_sharing_freed_pages)).toBe(0);
    expect(memory(XENMEM.get_sharing_shared_pages)).toBe(0);
  });

  // alloc_domheap_pages without a place in the physical map: a PV guest would put them there itself.
  it('increase_reservation gives pages, up to the maximum, that a translated guest has nowhere', () => {
    const { probe } = guest;
    const count = (op: number): number => memory(op, probe.make(2, [0, 2, DOMID.self]));
    /** struct xen_memory_reservation */
    const reservation = (op: number, pages: number, list = 0): number =>
      memory(op, probe.make(4 * word, [0, word, list], [word, word, pages], [2 * word + 8, 2, DOMID.self]));
    const first = probe.pages(3) / 0x1000;
    const list = probe.make(3 * word, [0, word, first], [word, word, first + 1], [2 * word, word, first + 2]);
    expect(reservation(XENMEM.decrease_reservation, 3, list)).toBe(3);
    const before = count(XENMEM.current_reservation);
    const room = count(XENMEM.maximum_reservation) - before;
    expect(room).toBeGreaterThanOrEqual(3);
    expect(reservation(XENMEM.increase_reservation, 1)).toBe(1);
    expect(reservation(XENMEM.increase_reservation, room + 5)).toBe(room - 1);
    expect(reservation(XENMEM.increase_reservation, 1)).toBe(0);
    expect(count(XENMEM.current_reservation)).toBe(before + room);
    for (const gfn of [first, first + 1, first + 2]) expect(probe.frame(gfn)).toBe(0);
    expect(memory(XENMEM.increase_reservation, probe.hole())).toBe(0);
  });

  it('nobody monitors the guest, who may ask for it all the same', () => {
    const { probe } = guest;
    expect(probe.call(HYPERVISOR.hvm_op, HVMOP.guest_request_vm_event, 0)).toBe(0);
    expect(probe.call(HYPERVISOR.hvm_op, HVMOP.guest_request_vm_event, probe.alloc(8))).toBe(E.INVAL);
    // Level 3 may only where a monitor has allowed it.
    expect(probe.callFrom('user', HYPERVISOR.hvm_op, HVMOP.guest_request_vm_event, 0)).toBe(E.PERM);
  });

  it('paging and sharing are not built in', () => {
    const { probe } = guest;
    for (const op of [XENMEM.paging_op, XENMEM.sharing_op])
      for (const at of [probe.make(64, [2, 2, DOMID.self]), probe.hole()]) expect(memory(op, at)).toBe(E.NOSYS);
  });

  it("restricting access to pages is for another domain's monitor", () => {
    const { probe } = guest;
    // struct xen_mem_access_op: op and access in 8 bits each, then the domain.
    const access = (dom: number): number => memory(XENMEM.access_op, probe.make(40, [2, 2, dom]));
    expect(access(DOMID.self)).toBe(E.SRCH);
    expect(access(DOMID.missing)).toBe(E.SRCH);
    expect(access(own())).toBe(E.PERM);
    expect(access(DOMID.zero)).toBe(E.INVAL);
    expect(memory(XENMEM.access_op, probe.hole())).toBe(E.FAULT);
  });

  it("populating on demand is the control domain's", () => {
    const { probe } = guest;
    // struct xen_pod_target: four numbers of 8 bytes (uint64_t), then the domain.
    for (const op of [XENMEM.set_pod_target, XENMEM.get_pod_target]) {
      const pod = (dom: number): number => memory(op, probe.make(40, [32, 2, dom]));
      expect(pod(DOMID.self)).toBe(E.PERM);
      expect(pod(DOMID.zero)).toBe(E.PERM);
      expect(pod(DOMID.missing)).toBe(E.SRCH);
      expect(memory(op, probe.hole())).toBe(E.FAULT);
    }
  });

  it("claiming memory is the control domain's", () => {
    const { probe } = guest;
    // struct xen_memory_reservation; a claim has no list, no order and no flags.
    const claim = (dom: number, list = 0, order = 0, flags = 0): number => {
      const at = probe.make(4 * word, [0, word, list], [word, word, 4], [2 * word, 4, order], [2 * word + 4, 4, flags]);
      return memory(XENMEM.claim_pages, probe.put(at, [2 * word + 8, 2, dom]));
    };
    expect(claim(own())).toBe(E.PERM);
    expect(claim(DOMID.zero)).toBe(E.PERM);
    for (const dom of [DOMID.self, DOMID.missing]) expect(claim(dom)).toBe(E.INVAL);
    for (const wrong of [claim(own(), 8), claim(own(), 0, 1), claim(own(), 0, 0, 1)]) expect(wrong).toBe(E.INVAL);
    expect(memory(XENMEM.claim_pages | SECOND_EXTENT, probe.alloc(32))).toBe(E.INVAL);
    expect(memory(XENMEM.claim_pages, probe.hole())).toBe(E.FAULT);
  });

  // Xen lets an HVM guest ask. Here no machine lies below, so the table has no frames.
  it('the machine-to-physical table has no frames', () => {
    const { probe } = guest;
    const list = probe.alloc(64);
    for (const op of [XENMEM.machphys_mfn_list, XENMEM.machphys_compat_mfn_list]) {
      // struct xen_machphys_mfn_list
      const at = probe.make(3 * word, [0, 4, 4], [word, word, list], [2 * word, 4, 0xdead]);
      expect(memory(op, at)).toBe(0);
      expect(probe.u32(at + 2 * word)).toBe(0);
      expect(probe.get(list, 8)).toBe(0n);
      expect(memory(op, probe.hole())).toBe(E.FAULT);
    }
  });

  it.each([
    ['maximum_ram_page', XENMEM.maximum_ram_page],
    ['current_reservation', XENMEM.current_reservation],
    ['maximum_reservation', XENMEM.maximum_reservation],
    ['maximum_gpfn', XENMEM.maximum_gpfn],
    ['remove_from_physmap', XENMEM.remove_from_physmap],
    ['exchange', XENMEM.exchange],
    ['get_vnumainfo', XENMEM.get_vnumainfo],
    ['reserved_device_memory_map', XENMEM.reserved_device_memory_map],
  ])('%s has no extents', (_, op) => {
    expect(memory(op | SECOND_EXTENT, guest.probe.make(64, [0, 2, DOMID.self]))).toBe(E.INVAL);
  });
});
