import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { inspectJson } from './inspect-json.ts';
import type { InspectNode } from './inspect-node.ts';
import { InspectPathError, inspectAt } from './inspect-path.ts';
import { inspectText } from './inspect-text.ts';

const tree = {
  name: 'web',
  memory: { bytes: 0x1000_0000, p2m: 0x1234n },
  vcpu: { 0: () => ({ rip: 0xffff_ffff_8100_0000n, halted: false, note: null }) },
  xen: {
    evtchn: () => ({
      1: { type: 'interdomain', target: 12, pending: false },
      10: { type: 'virq', target: 0, pending: true },
    }),
    overlays: {},
  },
} satisfies InspectNode;

describe('looking a path up', () => {
  it.each([
    ['/name', 'web'],
    ['memory/bytes', 0x1000_0000],
    ['/vcpu/0/rip', 0xffff_ffff_8100_0000n],
    ['/xen/evtchn/10/type/', 'virq'],
  ])('%s', (path, value) => {
    expect(inspectAt(tree, path)).toBe(value);
  });

  it('builds only what lies on the way', () => {
    const far = vi.fn(() => 1);
    const near = vi.fn(() => ({ a: 2 }));
    expect(inspectAt({ far, near }, '/near/a')).toBe(2);
    expect(near).toHaveBeenCalledOnce();
    expect(far).not.toHaveBeenCalled();
  });

  it.each([
    ['/xen/evtchm', 'there is nothing at /xen/evtchm; /xen has evtchn, overlays'],
    ['/nothing/at/all', 'there is nothing at /nothing/at/all; / has name, memory, vcpu, xen'],
    ['/name/x', 'there is nothing at /name/x; /name has nothing below it'],
    ['/__proto__', 'there is nothing at /__proto__; / has name, memory, vcpu, xen'],
    ['/constructor', 'there is nothing at /constructor; / has name, memory, vcpu, xen'],
  ])('an unknown one names the nearest node there is: %s', (path, message) => {
    expect(() => inspectAt(tree, path)).toThrow(InspectPathError);
    expect(() => inspectAt(tree, path)).toThrow(message);
  });

  it('names no more children than one reads', () => {
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`port${i}`, i]));
    expect(() => inspectAt(many, '/x')).toThrow(/port19 and 80 more$/);
  });
});

describe('as JSON', () => {
  it('writes bigints in hexadecimal and calls every function', () => {
    expect(inspectJson(inspectAt(tree, '/vcpu'))).toEqual({ 0: { rip: '0xffffffff81000000', halted: false, note: null } });
    expect(inspectJson({ a: -16n, b: Number.NaN })).toEqual({ a: '-0x10', b: null });
  });
});

describe('as text', () => {
  it('aligns values, indents sub-trees, and makes a table of sub-trees that are alike', () => {
    expect(inspectText(tree)).toBe(
      [
        'name  web',
        'memory:',
        '  bytes  268435456',
        '  p2m    0x1234',
        'vcpu:',
        '  0:',
        '    rip     0xffffffff81000000',
        '    halted  no',
        '    note    -',
        'xen:',
        '  evtchn:',
        '        type         target  pending',
        '     1  interdomain      12  no',
        '    10  virq              0  yes',
        '  overlays:',
      ].join('\n'),
    );
  });

  it('is the value alone for a value', () => {
    expect(inspectText(inspectAt(tree, '/memory/p2m'))).toBe('0x1234');
  });

  it('shows control characters instead of sending them to a terminal', () => {
    expect(inspectText({ name: 'a\x1b[2Jb\nc\u202e' })).toBe('name  a\\u{1b}[2Jb\\u{a}c\\u{202e}');
  });

  it('shows each value of any tree', () => {
    const { node } = fc.letrec<{ node: InspectNode }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        fc.integer(),
        fc.bigInt({ min: 0n, max: 2n ** 64n }),
        fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), tie('node'), { maxKeys: 4 }),
      ),
    }));
    fc.assert(
      fc.property(node, (any) => {
        const text = inspectText(any);
        const leaves = (here: unknown): unknown[] =>
          typeof here === 'object' && here !== null ? Object.values(here).flatMap(leaves) : [here];
        for (const leaf of leaves(inspectJson(any))) expect(text).toContain(String(leaf));
        expect(JSON.parse(JSON.stringify(inspectJson(any)))).toEqual(inspectJson(any));
      }),
    );
  });
});
