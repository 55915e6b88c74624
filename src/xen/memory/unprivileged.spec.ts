import { describe, expect, it } from 'vitest';
import { EFAULT, EINVAL, EOPNOTSUPP, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import { XENMEM } from '../../abi/xen/memory.ts';
import { DOMID, TestGuest } from '../fixtures/test-guest.ts';

const ARG = 0x2000;
const SELF = 0x7ff0;

for (const narrow of [false, true]) {
  describe(narrow ? 'a 32-bit caller' : 'a 64-bit caller', () => {
    const guest = () => {
      const g = new TestGuest();
      const caller = g.callers[0];
      if (caller) caller.longMode = !narrow;
      const op = (cmd: number, ...words: number[]) => g.call('memory_op', cmd, g.poke(ARG, ...words));
      return { g, op };
    };
    /** The words of a pointer or long of the caller's width. */
    const long = (value: number): number[] => (narrow ? [value] : [value, 0]);

    it('may not claim memory, and is told so last', () => {
      const { g, op } = guest();
      const claim = (start: number, order: number, flags: number, domid: number) =>
        op(XENMEM.claim_pages, ...long(start), ...long(4), order, flags, domid, 0);
      expect([DOMID, 0].map((domid) => claim(0, 0, 0, domid))).toEqual([-EPERM, -EPERM]);
      expect([SELF, 99].map((domid) => claim(0, 0, 0, domid))).toEqual([-EINVAL, -EINVAL]);
      expect([claim(1, 0, 0, DOMID), claim(0, 1, 0, DOMID), claim(0, 0, 1, DOMID)]).toEqual([-EINVAL, -EINVAL, -EINVAL]);
      expect(g.call('memory_op', XENMEM.claim_pages, 0xdead_0000)).toBe(-EFAULT);
      expect(op(XENMEM.claim_pages | (1 << 6), 0)).toBe(-EINVAL);
    });

    it("may not populate on demand, watch or map what is another domain's", () => {
      const { g, op } = guest();
      for (const cmd of [XENMEM.set_pod_target, XENMEM.get_pod_target]) {
        const pod = (domid: number) => op(cmd, 0, 0, 0, 0, 0, 0, 0, 0, domid, 0);
        expect([SELF, DOMID, 0, 99].map(pod)).toEqual([-EPERM, -EPERM, -EPERM, -ESRCH]);
      }
      const access = (domid: number) => op(XENMEM.access_op, domid << 16);
      expect([SELF, DOMID, 0, 99].map(access)).toEqual([-ESRCH, -EPERM, -EINVAL, -ESRCH]);
      const acquire = (domid: number, pad = 0) => op(XENMEM.acquire_resource, domid, 0, 0, pad);
      expect([SELF, DOMID, 0, 99].map((domid) => acquire(domid))).toEqual([-ESRCH, -EPERM, -EPERM, -ESRCH]);
      expect(acquire(SELF, 1)).toBe(-EINVAL);
      for (const cmd of [XENMEM.set_pod_target, XENMEM.access_op, XENMEM.acquire_resource])
        expect(g.call('memory_op', cmd, 0xdead_0000)).toBe(-EFAULT);
    });

    it('has no virtual NUMA nodes, no reserved device memory and no machine below', () => {
      const { g, op } = guest();
      const vnuma = (domid: number, pad = 0) => op(XENMEM.get_vnumainfo, domid | (pad << 16), 0, 0, 0);
      expect([SELF, DOMID, 0, 99].map((domid) => vnuma(domid))).toEqual([-EOPNOTSUPP, -EOPNOTSUPP, -EPERM, -ESRCH]);
      expect(vnuma(SELF, 1)).toBe(-EINVAL);
      expect(op(XENMEM.reserved_device_memory_map, 1, 7, ...long(0x3000), 0)).toBe(0);
      expect(g.peek(ARG + 4)).toBe(0);
      expect(op(XENMEM.reserved_device_memory_map, 2, 7, ...long(0x3000), 0)).toBe(-EINVAL);
      for (const cmd of [XENMEM.machphys_mfn_list, XENMEM.machphys_compat_mfn_list]) {
        expect(op(cmd, ...long(4), ...long(0x3000), 9)).toBe(0);
        expect(g.peek(ARG + (narrow ? 8 : 16))).toBe(0);
      }
      expect([18, 19].map((cmd) => op(cmd))).toEqual([0, 0]);
      expect(op(XENMEM.machine_memory_map)).toBe(-EPERM);
      for (const cmd of [XENMEM.get_vnumainfo, XENMEM.reserved_device_memory_map, XENMEM.machphys_mfn_list])
        expect(g.call('memory_op', cmd, 0xdead_0000)).toBe(-EFAULT);
    });

    it('gets no further with an exchange than its checks', () => {
      const { g, op } = guest();
      const done = ARG + (narrow ? 40 : 64);
      const half = (count: number, order: number, domid: number) =>
        narrow ? [0x3000, count, order, 0, domid] : [0x3000, 0, count, 0, order, 0, domid, 0];
      const exchange = (from: [number, number, number], to: [number, number, number], nr = 0) =>
        op(XENMEM.exchange, ...half(...from), ...half(...to), ...long(nr));
      expect(exchange([4, 0, SELF], [1, 10, SELF])).toBe(-EPERM);
      expect(exchange([4, 0, SELF], [2, 0, SELF])).toBe(-EINVAL);
      expect(exchange([4, 0, SELF], [4, 0, DOMID])).toBe(-EINVAL);
      expect(exchange([4, 0, SELF], [4, 0, SELF], 5)).toBe(-EINVAL);
      expect(exchange([4, 0, 99], [4, 0, 99])).toBe(-ESRCH);
      expect(exchange([4, 0, 0], [4, 0, 0])).toBe(-EPERM);
      expect(exchange([4, 0, SELF], [1, 2, SELF], 3)).toBe(-EINVAL);
      expect(g.peek(done)).toBe(0); // whole chunks of four
      expect(exchange([4, 0, SELF], [4, 0, SELF], 4)).toBe(0);
      expect(exchange([0, 0, SELF], [0, 0, SELF])).toBe(0);
      const unreadable = narrow ? [0xdead_0000, 4, 0, 0, SELF] : [0xdead_0000, 0, 4, 0, 0, 0, SELF, 0];
      expect(op(XENMEM.exchange, ...unreadable, ...half(4, 0, SELF), ...long(0))).toBe(-EFAULT);
      expect(op(XENMEM.exchange | (1 << 6), 0)).toBe(-EINVAL);
      expect(g.call('memory_op', XENMEM.exchange, 0xdead_0000)).toBe(-EFAULT);
    });
  });
}

it('takes no extent to begin with where there are none', () => {
  const g = new TestGuest();
  g.poke(ARG, SELF);
  for (const cmd of [2, 3, 4, 11, 14, 15, 24, 26, 27]) expect(g.call('memory_op', cmd | (1 << 6), ARG)).toBe(-EINVAL);
});
