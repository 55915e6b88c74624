// Why an SSE or MMX instruction may not run. SDM vol. 3, tables 2-2 and 13-1; vol. 2, the exceptions of each instruction.
import { GuestFault } from './cpu.ts';
import type { Helper } from './helper-context.ts';
import { CR0, CR4, STATE, STATE_COMPONENTS, VECTOR } from './state.ts';

/** FSW.ES. */
const PENDING = 0x80;

/** The helper behind STATE.sseBlocked, STATE.mmxBlocked and a pending x87 exception: raises #UD, #NM or #MF. */
export const simdBlocked: Helper = ({ cpu, handler }) => {
  const kinds = handler.variant.operands.map((operand) => operand.kind);
  const mmx = kinds.includes('mmx') || handler.semantics.name === 'emms';
  const sse = kinds.includes('xmm') || !mmx;
  if (cpu.cr0 & CR0.em || (sse && (cpu.cr4 & CR4.osfxsr) === 0)) throw new GuestFault(VECTOR.ud);
  if (cpu.cr0 & CR0.ts) throw new GuestFault(VECTOR.nm);
  if (mmx && (cpu.view.getUint16(STATE.fsw, true) & PENDING) !== 0) throw new GuestFault(VECTOR.mf);
};

/** The helper behind STATE.avxBlocked. SDM vol. 2, table 2-15: TS is looked at last. */
export const avxBlocked: Helper = ({ cpu }) => {
  const state = BigInt(STATE_COMPONENTS.sse | STATE_COMPONENTS.avx);
  const enabled = (cpu.cr4 & CR4.osxsave) !== 0 && (cpu.get64(STATE.xcr0) & state) === state;
  throw new GuestFault(cpu.get32(STATE.vexBlocked) !== 0 || !enabled ? VECTOR.ud : VECTOR.nm);
};
