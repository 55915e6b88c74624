// Instructions that a TypeScript helper of the same name does as a whole: it reads operands from the record, checks, acts.
import { type Semantics, semantics } from '../emit/semantics.ts';

/** `ends`: control goes elsewhere, the mode changes, or an interrupt may have to be taken right after. */
const helper = (name: string, access: string, by = '', ends = false): Semantics =>
  semantics(name, access, (e) => e.helper(name), { ends, by });
const ending = (name: string, access = '', by = ''): Semantics => helper(name, access, by, true);

// Far transfers. Direct ones have the offset and the selector as two immediates, indirect ones a memory operand.
export const farJump = ending('farJump', 'r,r', 'osize');
export const farCall = ending('farCall', 'r,r', 'osize');
export const farJumpIndirect = ending('farJumpIndirect', 'a', 'osize');
export const farCallIndirect = ending('farCallIndirect', 'a', 'osize');
export const farReturn = ending('farReturn', '', 'osize');
export const farReturnRelease = ending('farReturnRelease', 'r', 'osize');

// Interrupts.
export const int = ending('int', 'r');
export const int1 = ending('int1');
export const int3 = ending('int3');
/** Only calls when OF is set. */
export const into = semantics(
  'into',
  '',
  (e) => {
    e.f.if(e.flags.condition(0), () => e.helper('into'));
  },
  { ends: true },
);

// Ports.
export const portIn = ending('in', 'w,r');
export const portOut = ending('out', 'r,r');

// Control, debug and model-specific registers.
export const movToControl = ending('movToControl', 'w,r');
export const movFromDebug = helper('movFromDebug', 'w,r');
export const movToDebug = ending('movToDebug', 'w,r');
export const rdmsr = ending('rdmsr');
export const wrmsr = ending('wrmsr');
export const xgetbv = helper('xgetbv', '');
export const xsetbv = ending('xsetbv');

// Descriptor tables.
export const lgdt = helper('lgdt', 'a', 'osize');
export const lidt = helper('lidt', 'a', 'osize');
export const sgdt = helper('sgdt', 'a', 'osize');
export const sidt = helper('sidt', 'a', 'osize');

export const hlt = ending('hlt');
export const hypercall = ending('hypercall');

// Register state in memory; an operand size of 8 selects the 64-bit formats.
export const fxsave = helper('fxsave', 'a', 'osize');
export const fxrstor = helper('fxrstor', 'a', 'osize');
