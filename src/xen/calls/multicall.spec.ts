import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EFAULT, EINVAL, ENOSYS, EPERM } from '../../abi/xen/errno.ts';
import { GNTTABOP } from '../../abi/xen/grant-table.ts';
import { HYPERVISOR } from '../../abi/xen/hypercall.ts';
import { SCHEDOP, SHUTDOWN } from '../../abi/xen/sched.ts';
import { TestGuest } from '../fixtures/test-guest.ts';
import { CONTINUE } from './hypercall-context.ts';
import { MULTICALL_SLICE } from './multicall.ts';

const LIST = 0x8000;
const ARG = 0x2000;
const UNTOUCHED = 0x7777;

type Entry = readonly [op: number, ...args: number[]];

function guest(narrow = false) {
  const g = new TestGuest({ vcpus: 2 });
  const caller = g.callers[0];
  if (caller) caller.longMode = !narrow;
  const size = narrow ? 32 : 64;
  /** Lays the entries out, each with a result nobody has written. */
  const lay = (entries: readonly Entry[], at = LIST) => {
    for (const [i, [op, ...args]] of entries.entries()) {
      const six = Array.from({ length: 6 }, (_, n) => args[n] ?? 0);
      const words = [op, UNTOUCHED, ...six];
      g.poke(at + i * size, ...(narrow ? words : words.flatMap((word) => [word, 0])));
    }
    return at;
  };
  const result = (i: number, at = LIST) =>
    narrow ? g.peek(at + i * size + 4) | 0 : Number(BigInt.asIntN(64, g.peek64(at + i * size + 8)));
  const results = (count: number) => Array.from({ length: count }, (_, i) => result(i));
  const call = (entries: readonly Entry[]) => g.call('multicall', lay(entries), entries.length);
  return { g, lay, result, results, call };
}
const VERSION: Entry = [HYPERVISOR.xen_version, 0];

for (const narrow of [false, true]) {
  describe(narrow ? 'a multicall of a 32-bit caller' : 'a multicall of a 64-bit caller', () => {
    it('writes the result of each call to its entry', () => {
      const { g, call, results } = guest(narrow);
      g.poke(ARG, 0x7ff0);
      expect(call([VERSION, [HYPERVISOR.memory_op, 3, ARG], [HYPERVISOR.set_gdt, 1], [63], [0x1234_5678]])).toBe(0);
      expect(results(5)).toEqual([0x0004_0014, 64, -ENOSYS, -ENOSYS, -ENOSYS]);
      expect(g.domain.hypercallCounts(HYPERVISOR.xen_version).calls).toBe(1);
      expect(call([])).toBe(0);
    });

    it('refuses a multicall within', () => {
      const { lay, call, result } = guest(narrow);
      const inner = lay([VERSION], 0x9000);
      expect(call([[HYPERVISOR.multicall, inner, 1], VERSION])).toBe(0);
      expect([result(0), result(1), result(0, 0x9000)]).toEqual([-EINVAL, 0x0004_0014, UNTOUCHED]);
    });

    it('ends with -EFAULT where the list does, and what came before is done', () => {
      const { g, lay, result } = guest(narrow);
      const size = narrow ? 32 : 64;
      const at = 0x4_0000 - size; // the last entry that RAM holds
      lay([VERSION], at);
      expect(g.call('multicall', at, 2)).toBe(-EFAULT);
      expect(result(0, at)).toBe(0x0004_0014);
      expect(g.call('multicall', 0xdead_0000, 1)).toBe(-EFAULT);
      expect(g.call('multicall', 0xdead_0000, 0)).toBe(0);
      // An entry may cross pages.
      lay([VERSION], 0x8ff0);
      expect(g.call('multicall', 0x8ff0, 1)).toBe(0);
      expect(result(0, 0x8ff0)).toBe(0x0004_0014);
    });

    it('is done in slices', () => {
      const { g, call, results } = guest(narrow);
      const count = MULTICALL_SLICE * 2 + 10;
      expect(call(Array.from({ length: count }, () => VERSION))).toBe(0);
      expect(results(count).every((r) => r === 0x0004_0014)).toBe(true);
      expect(g.continuations).toBe(2);
      expect(g.domain.hypercallCounts(HYPERVISOR.xen_version).calls).toBe(count);
    });

    it('does what follows a wait after it', () => {
      const { g, lay, results } = guest(narrow);
      const size = narrow ? 32 : 64;
      const calls = g.calls[0];
      const caller = g.callers[0];
      if (!calls || !caller) throw new Error('no vCPU 0');
      calls.args.u64.fill(0n);
      calls.args.u64[0] = BigInt(lay([VERSION, [HYPERVISOR.sched_op, SCHEDOP.block], VERSION]));
      calls.args.u64[1] = 3n;
      expect(calls.call(caller, HYPERVISOR.multicall)).toBe(CONTINUE);
      expect([...calls.args.u64.subarray(0, 2)]).toEqual([BigInt(LIST + 2 * size), 1n]);
      expect(results(3)).toEqual([0x0004_0014, 0, UNTOUCHED]);
      expect(g.vcpus[0]?.mayRun(false)).toBe(false);
      g.domain.events.wake(g.domain.vcpus[0] as never);
      expect(calls.call(caller, HYPERVISOR.multicall)).toBe(0);
      expect(results(3)).toEqual([0x0004_0014, 0, 0x0004_0014]);
    });

    it('leaves within an entry that has much to do, and goes on there', () => {
      const { g, call, results } = guest(narrow);
      const copies = 1200; // of no bytes; the grant table does 512 at a time
      const at = 0x1_0000;
      for (let i = 0; i < copies * 10; i++) g.poke(at + i * 4, 0);
      expect(call([VERSION, [HYPERVISOR.grant_table_op, GNTTABOP.copy, at, copies], VERSION])).toBe(0);
      expect(g.continuations).toBe(2);
      expect(results(3)).toEqual([0x0004_0014, 0, 0x0004_0014]);
      // Its arguments said what was left.
      const word = narrow ? 4 : 8;
      const entry = LIST + (narrow ? 32 : 64);
      expect(g.peek(entry + 4 * word)).toBe(copies - 1024);
      expect(g.domain.hypercallCounts(HYPERVISOR.xen_version).calls).toBe(2);
    });

    it('goes no further once the domain shuts down', () => {
      const { g, call, results } = guest(narrow);
      g.poke(ARG, SHUTDOWN.poweroff);
      expect(call([[HYPERVISOR.sched_op, SCHEDOP.yield], [HYPERVISOR.sched_op, SCHEDOP.shutdown, ARG], VERSION])).toBe(CONTINUE);
      expect(results(3)).toEqual([0, 0, UNTOUCHED]);
    });
  });
}

it('is for ring 0, and an operation beyond 32 bits does not exist', () => {
  const { g, lay, result } = guest();
  lay([VERSION]);
  g.poke(LIST + 4, 1);
  expect(g.call('multicall', LIST, 1)).toBe(0);
  expect(result(0)).toBe(-ENOSYS);
  const caller = g.callers[0];
  if (caller) caller.cpl = 3;
  expect(g.call('multicall', LIST, 1)).toBe(-EPERM);
});

it('never throws, whatever is in the list', () => {
  const word = fc.oneof(fc.integer({ min: 0, max: 60 }), fc.constantFrom(0x7ff0, LIST, ARG, 0x3ffc, 0xffff_ffff, 0xfefff));
  const entry = fc.tuple(fc.constantFrom(12, 13, 17, 20, 24, 29, 32, 33, 34, 15, 21), word, word, word);
  fc.assert(
    fc.property(fc.boolean(), fc.array(entry, { minLength: 1, maxLength: 30 }), (narrow, entries) => {
      const { g, lay } = guest(narrow);
      g.poke(ARG, 0x7ff0, 0, 1, 0);
      const result = g.call('multicall', lay(entries), entries.length);
      expect(result === 0 || result === -EFAULT || result === CONTINUE).toBe(true);
    }),
    { numRuns: 60 },
  );
});
