// What every x87 instruction works with: the register stack, the environment, and the response to exceptions
// (SDM vol. 1, 8.4-8.6).

import type { FpEnv, Rounding } from './env.ts';
import { createFpEnv, FLAG, PRE_COMPUTATION } from './env.ts';
import type { F80Bits, Format } from './format.ts';
import { F80_BY_PC, packF80, unpackF80 } from './format.ts';
import type { Num } from './num.ts';
import { INDEFINITE } from './num.ts';
import { FCW, FSW, X87State } from './x87-state.ts';

const CONDITIONS = FSW.C0 | FSW.C2 | FSW.C3;

export class X87Unit {
  readonly state: X87State;
  readonly env: FpEnv = createFpEnv(true);
  /** The memory operand: filled before an instruction that reads, taken after one that writes. Little endian. */
  readonly memory = new DataView(new ArrayBuffer(128));
  /** In: EFLAGS for FCMOV. Out: ZF, PF and CF of FCOMI and kin, at their places. */
  eflags = 0;
  /** Out: what FNSTSW AX returns. */
  ax = 0;
  private readonly bits: F80Bits = { se: 0, m: 0n };
  private stackFault = false;

  constructor(view: DataView, base: number) {
    this.state = new X87State(view, base);
  }

  /** Takes the controls of FCW and clears the flags of the instruction. */
  prepare(): void {
    const { env } = this;
    const fcw = this.state.fcw;
    env.rounding = ((fcw >> FCW.roundingShift) & 3) as Rounding;
    env.masks = fcw & FCW.masks;
    env.flags = 0;
    env.roundedUp = false;
    this.stackFault = false;
  }

  /** The register format under FCW.PC. */
  get format(): Format {
    return F80_BY_PC[((this.state.fcw >> FCW.precisionShift) & 3) as 0 | 1 | 2 | 3];
  }

  get(i: number): Num {
    return unpackF80(this.state.signExponent(i), this.state.significand(i));
  }

  /** Writes ST(i) and marks it valid. */
  put(i: number, value: Num): void {
    const { se, m } = packF80(value, this.bits);
    this.putRaw(i, se, m);
  }
  putRaw(i: number, se: number, m: bigint): void {
    const { state } = this;
    const at = state.at(i);
    state.view.setBigUint64(at, m, true);
    state.view.setUint16(at + 8, se, true);
    state.setEmpty(i, false);
  }

  push(value: Num): void {
    this.state.top--;
    this.put(0, value);
  }
  pop(): void {
    this.state.setEmpty(0, true);
    this.state.top++;
  }

  /** An instruction reads an empty register. */
  underflow(): Num {
    this.env.flags = FLAG.IE;
    this.env.roundedUp = false;
    this.stackFault = true;
    return INDEFINITE;
  }
  /** An instruction pushes onto a register in use. */
  overflow(): Num {
    this.env.flags = FLAG.IE;
    this.env.roundedUp = true;
    this.stackFault = true;
    return INDEFINITE;
  }

  /** Reports the flags; false when an unmasked exception keeps the result from being stored. */
  finish(): boolean {
    const { env, state } = this;
    const unmasked = env.flags & ~env.masks;
    const stops = (unmasked & PRE_COMPUTATION) !== 0;
    if (stops) {
      env.flags &= PRE_COMPUTATION;
      if (!this.stackFault) env.roundedUp = false;
    }
    state.fsw =
      (state.fsw & ~FSW.C1) |
      env.flags |
      (env.roundedUp ? FSW.C1 : 0) |
      (this.stackFault ? FSW.SF : 0) |
      (unmasked ? FSW.ES | FSW.B : 0);
    return !stops;
  }

  /** Sets C0, C2 and C3, given at their places in FSW. */
  setConditions(bits: number): void {
    this.state.fsw = (this.state.fsw & ~CONDITIONS) | bits;
  }
  setC1(set: boolean): void {
    this.state.fsw = set ? this.state.fsw | FSW.C1 : this.state.fsw & ~FSW.C1;
  }

  /** Puts a result into ST(0) unless an exception forbids it. */
  replaceTop(value: Num): void {
    if (this.finish()) this.put(0, value);
  }
}
