// docs/xen-calls.md says what the code does: each operation is asked, and each has a test.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import * as errno from '../../src/abi/xen/errno.ts';
import { HYPERVISOR } from '../../src/abi/xen/hypercall.ts';
import { type CallName, GROUPS, isServed, REFUSED } from '../../src/xen/calls/call-list.ts';
import { TestGuest } from '../../src/xen/fixtures/test-guest.ts';
import { mentionOf, renderCalls, specFiles, testsOf } from './xen-calls.ts';

const DOCUMENT = fileURLToPath(new URL('../../docs/xen-calls.md', import.meta.url));
const negated = (name: string): number => -((errno as Record<string, number>)[name] as number);
const ENOSYS = negated('ENOSYS');
const [DOMID_SELF, HOLE, STRUCTURES] = [0x7ff0, 0x9000_0000, [0x1000, 0x2000, 0x3000]] as const;

/** All that a call answers to arguments of several kinds: nothing, a hole, and structures with domid_t in one place or another. */
function answers(name: CallName, op?: number): Set<number> {
  const results = new Set<number>();
  const first = op === undefined ? [] : [op];
  for (const pirq of [false, true]) {
    for (const at of [0, HOLE, ...STRUCTURES]) {
      const guest = new TestGuest({ vcpus: 2, config: { emulation: { pirq }, consoleIo: pirq } });
      guest.poke(0x1000, ...new Array<number>(32).fill(0));
      guest.poke(0x2000, DOMID_SELF, DOMID_SELF, 0, DOMID_SELF);
      guest.poke(0x3000, 0, 0, 1, 0, 1, DOMID_SELF);
      // The forms of arguments: (op, pointer), (op, pointer, count), (op, vcpu, pointer), and (a, b, pointer, domain).
      results.add(guest.call(name, ...first, at, 1, 0, DOMID_SELF));
      results.add(guest.call(name, ...first, 1, at, 0, DOMID_SELF));
      results.add(guest.call(name, ...first, 0, at, 0, DOMID_SELF));
    }
  }
  return results;
}

describe('docs/xen-calls.md', () => {
  const operations = Object.entries(GROUPS).flatMap(([name, { prefix, ops }]) =>
    Object.entries(ops).map(([op, number]) => [`${prefix}.${op}`, name as CallName, number] as const),
  );

  it.each(operations)('%s is served or refused, as listed', (key, name, number) => {
    const results = answers(name, number);
    const refusal = REFUSED[key];
    if (refusal === undefined) expect([...results].some((result) => result !== ENOSYS && result !== -errno.EPERM)).toBe(true);
    else {
      expect(results).toContain(negated(refusal));
      expect([...results].filter((result) => result >= 0)).toEqual([]);
    }
  });

  it.each(Object.entries(HYPERVISOR).filter(([name]) => !isServed(name as CallName)))('%s is refused', (name) => {
    const refusal = REFUSED[name];
    const expected = refusal === undefined ? ENOSYS : negated(refusal);
    const results = answers(name as CallName);
    expect(results).toContain(expected);
    expect([...results].filter((result) => result >= 0)).toEqual([]);
  });

  it.each(Object.values(GROUPS).flatMap(({ prefix, ops }) => Object.keys(ops).map((op) => [prefix, op] as const)))(
    '%s.%s has a test',
    (prefix, op) => {
      expect(testsOf(mentionOf(prefix, op), specFiles())).not.toEqual([]);
    },
  );

  it('is up to date', () => {
    const text = renderCalls();
    if (process.env.UPDATE_DOCS !== undefined) writeFileSync(DOCUMENT, text);
    expect(readFileSync(DOCUMENT, 'utf8'), 'run npm run docs:calls').toBe(text);
  });
});
