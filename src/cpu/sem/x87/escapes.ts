// The x87 escapes D8 to DF: ordinary operands in generated code, everything else (denormals, infinities, NaNs, results that
// overflow or underflow, faults of the stack, exceptions that are unmasked or pending, rare instructions) by the helper that
// has the exact arithmetic.
import { Const } from '../../../wasm/expr.ts';
import { type Semantics, semantics } from '../../emit/semantics.ts';
import { STATE } from '../../state.ts';
import { choose } from './choose.ts';
import { type Form, MEMORY_FORMS } from './memory-forms.ts';
import { REGISTER_FORMS } from './register-forms.ts';
import { X87Unit } from './unit.ts';

/** Only these have environments, whose format depends on the operand size. */
const WITH_ENVIRONMENT = new Set([0xd9, 0xdd]);

/** The semantics of `opcode`, 0xd8 to 0xdf. */
export function x87Escape(opcode: number): Semantics {
  const at = opcode & 7;
  return semantics(
    `x87 ${opcode.toString(16)}`,
    'a',
    (e) => {
      const { f } = e;
      const memory = e.variant.operands[0]?.kind === 'mem';
      const forms = (memory ? MEMORY_FORMS[at] : REGISTER_FORMS[at]) as readonly (Form | undefined)[];
      const modrm = e.modrm();
      const index = memory ? modrm.shrU(3).and(7) : modrm.and(0x3f);
      // Prefixes that change nothing but the format of environments are as rare as these.
      const plain = e.variant.osize === 4;
      if (!plain || (index instanceof Const && forms[Number(index.value)] === undefined)) {
        e.helper('x87');
        return;
      }
      f.block((done) => {
        f.block((slow) => {
          choose(f, index, forms, slow, (form) => f.scope(() => form(new X87Unit(e, slow))));
          f.br(done);
        });
        e.helper('x87');
      });
    },
    { by: `modrm${WITH_ENVIRONMENT.has(opcode) ? ' osize' : ''}` },
  );
}

/** WAIT, when nothing waits. TS alone, without MP, is the helper's too (SDM vol. 3, table 9-3). */
export const fwait: Semantics = semantics('fwait', '', (e) => {
  const pending = e.state.load('i32', 2, STATE.fsw).and(0x80);
  e.f.if(e.slot32(STATE.mmxBlocked).or(pending), () => e.helper('fwait'));
});
