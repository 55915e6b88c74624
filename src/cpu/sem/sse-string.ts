// The string comparisons of SSE4.2. The comparison itself is in strings/. SDM vol. 2, section 4.1.
import type { Emitter } from '../emit/emitter.ts';
import type { Semantics } from '../emit/semantics.ts';
import { STRING_LENGTH, STRING_SLOT } from '../strings/pcmpxstrx.ts';
import { sse } from './sse-access.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;

function compare(name: string, explicit: boolean, finish: (e: Emitter) => void): Semantics {
  return sse(
    name,
    'r,r,r',
    (e) => {
      const b = e.getVector(1);
      e.f.storeV(e.state, e.getVector(0), STRING_SLOT.first);
      e.f.storeV(e.state, b, STRING_SLOT.second);
      e.setSlot32(STRING_SLOT.immediate, e.get(2));
      if (explicit) {
        const length = (register: number) => (e.variant.osize === 8 ? e.gpr(register, 8) : e.gpr(register, 4).extendS());
        e.setSlot64(STRING_SLOT.firstLength, length(RAX));
        e.setSlot64(STRING_SLOT.secondLength, length(RDX));
      }
      e.compute('pcmpxstrx', explicit ? STRING_LENGTH.explicit : STRING_LENGTH.implicit);
      finish(e);
      e.flags.setAll(e.f.let(e.slot32(STRING_SLOT.flags)));
    },
    explicit ? { by: 'osize' } : {},
  );
}
const index = (e: Emitter): void => e.setGpr(RCX, 4, e.f.let(e.slot32(STRING_SLOT.index)));
const mask = (e: Emitter): void => e.setXmm(0, e.state.loadV(STRING_SLOT.mask));

export const pcmpestrm = compare('pcmpestrm', true, mask);
export const pcmpestri = compare('pcmpestri', true, index);
export const pcmpistrm = compare('pcmpistrm', false, mask);
export const pcmpistri = compare('pcmpistri', false, index);
