// Pairs of instructions that follow each other so often that one handler does both: a dispatch less, and the second finds
// the flags of the first in locals. Chosen by counting pairs while Debian's kernel boots and its shell runs.
import type { Handler } from './variants.ts';

const list = (names: string): ReadonlySet<string> => new Set(names.split(' '));

const COMPARISONS = list('cmp test');
const AFTER_CMP = list('jz jnz jb jae jbe ja jl jge jle jg');
const AFTER_TEST = list('jz jnz js jns jle jg');
/** Operands that the table of pairs is worth growing for; sizes 4 and 8 for all, 1 where bytes are usual. */
const CMP_SHAPES = list('gpr8,gpr8 gpr4,gpr4 gpr1,gpr1 gpr8,imm8 gpr4,imm4 gpr1,imm1 mem1,imm1 mem4,imm4 mem8,imm8 gpr8,mem8 gpr4,mem4 mem8,gpr8');
const TEST_SHAPES = list('gpr8,gpr8 gpr4,gpr4 gpr1,gpr1 gpr1,imm1 mem1,imm1 gpr4,imm4');
/** Arithmetic at the end of loops. */
const COUNTING = list('add sub and dec inc');
const COUNTING_SHAPES = list('gpr8,imm8 gpr4,imm4 gpr8 gpr4');
const AFTER_COUNTING = list('jz jnz');

/** Moves and arithmetic on whole registers, and what else comes in runs: what may follow each. */
const RUNS: Readonly<Record<string, ReadonlySet<string>>> = {
  'mov gpr8,gpr8': list('mov:gpr8,gpr8 mov:gpr4,gpr4 imul2:gpr8,gpr8 add:gpr8,gpr8 sub:gpr8,gpr8 callRelative:rel push:gpr8 mov:mem8,gpr8 mov:gpr8,mem8'),
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
  variant.operands.map(({ kind, size, fixed }) => (kind === 'rel' ? kind : `${kind}${size}${fixed === undefined ? '' : '!'}`)).join();

/** Whether there is a handler for `first` and then `second`. Both must be hot; the first calls no helper and jumps nowhere. */
export function fuses(first: Handler, second: Handler): boolean {
  if (!first.semantics.hot || first.variant.lock || first.variant.osize === 2 || !second.semantics.hot) return false;
  if (second.variant.lock || second.variant.osize === 2 || !first.variant.long || !second.variant.long) return false;
  const { name } = first.semantics;
  const next = second.semantics.name;
  if (RUNS[`${name} ${shape(first)}`]?.has(`${next}:${shape(second)}`) === true) return true;
  if (COMPARISONS.has(name)) {
    const cmp = name === 'cmp';
    return (cmp ? AFTER_CMP : AFTER_TEST).has(next) && (cmp ? CMP_SHAPES : TEST_SHAPES).has(shape(first));
  }
  return COUNTING.has(name) && AFTER_COUNTING.has(next) && COUNTING_SHAPES.has(shape(first));
}
