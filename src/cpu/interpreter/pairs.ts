// Pairs of instructions that follow each other so often that one handler does both: a dispatch less, and the second finds
// the flags of the first in locals. Chosen by counting pairs while Debian's kernel boots and its shell runs.
import type { Handler } from './variants.ts';

const list = (names: string): ReadonlySet<string> => new Set(names.split(' '));

const jumps = (conditions: string): ReadonlySet<string> =>
  list(
    conditions
      .split(' ')
      .map((c) => `${c}:rel`)
      .join(' '),
  );
const NONE: ReadonlySet<string> = new Set();

const AFTER_CMP = jumps('jz jnz jb jae jbe ja jl jge jle jg');
const AFTER_TEST = jumps('jz jnz js jns jle jg');
/** Operands that the table of pairs is worth growing for; sizes 4 and 8 for all, 1 where bytes are usual. */
const CMP_SHAPES = list(
  'gpr8,gpr8 gpr4,gpr4 gpr1,gpr1 gpr8,imm8 gpr4,imm4 gpr1,imm1 mem1,imm1 mem4,imm4 mem8,imm8 gpr8,mem8 gpr4,mem4 mem8,gpr8',
);
const TEST_SHAPES = list('gpr8,gpr8 gpr4,gpr4 gpr1,gpr1 gpr1,imm1 mem1,imm1 gpr4,imm4');
/** Arithmetic at the end of loops. */
const COUNTING = list('add sub and dec inc');
const COUNTING_SHAPES = list('gpr8,imm8 gpr4,imm4 gpr8 gpr4');
const AFTER_COUNTING = jumps('jz jnz');

/** Moves and arithmetic on whole registers, and what else comes in runs: what may follow each. */
const RUNS: Readonly<Record<string, ReadonlySet<string>>> = {
  'mov gpr8,gpr8': list(
    'mov:gpr8,gpr8 mov:gpr4,gpr4 imul2:gpr8,gpr8 add:gpr8,gpr8 sub:gpr8,gpr8 callRelative:rel push:gpr8 mov:mem8,gpr8 mov:gpr8,mem8',
  ),
  'mov gpr4,gpr4': list('shr:gpr8,imm1 mov:gpr8,gpr8 callRelative:rel'),
  'imul2 gpr8,gpr8': list('imul2:gpr8,gpr8 mov:gpr8,gpr8'),
  'add gpr8,gpr8': list('cmp:gpr8,gpr8 add:gpr8,gpr8 mov:gpr8,gpr8 shl:gpr8,imm1 shr:gpr8,imm1'),
  'shl gpr8,imm1': list('add:gpr8,gpr8'),
  'shr gpr8,imm1': list('add:gpr8,gpr8 mov:gpr8,gpr8'),
  'cmp gpr8,gpr8': list('setb:gpr1 cmovae:gpr8,gpr8'),
  'adc gpr8,gpr8': list('mov:mem8,gpr8'),
  'lea gpr8,mem8': list('mov:gpr8,gpr8'),
  'mov gpr8,mem8': list('mov:gpr8,gpr8 mov:gpr8,mem8 lea:gpr8,mem8'),
  'mov mem8,gpr8': list('mov:gpr8,gpr8 mov:mem8,gpr8'),
  'push gpr8': list('push:gpr8 mov:gpr8,gpr8'),
  'pop gpr8': list('pop:gpr8 ret:'),
};

const shape = ({ variant }: Handler): string =>
  variant.operands
    .map(({ kind, size, fixed }) => (kind === 'rel' ? kind : `${kind}${size}${fixed === undefined ? '' : '!'}`))
    .join();

/** What the interpreter's loop itself does in 64-bit mode. */
export const fusible = ({ semantics, variant }: Handler): boolean =>
  semantics.hot && !variant.lock && variant.osize !== 2 && variant.long;

/** Semantics and operands, as the table above has them. */
export const pairKey = (handler: Handler): string => `${handler.semantics.name}:${shape(handler)}`;

/** Keys of the instructions that share a handler with `first` when they follow it. Both must be fusible; the first never jumps. */
export function followers(first: Handler): ReadonlySet<string> {
  const { name } = first.semantics;
  const operands = shape(first);
  const run = RUNS[`${name} ${operands}`] ?? NONE;
  if (name === 'cmp' && CMP_SHAPES.has(operands)) return new Set([...AFTER_CMP, ...run]);
  if (name === 'test' && TEST_SHAPES.has(operands)) return AFTER_TEST;
  if (COUNTING.has(name) && COUNTING_SHAPES.has(operands)) return new Set([...AFTER_COUNTING, ...run]);
  return run;
}
