// The x87 FPU: executes one instruction, given its opcode and modrm, on the state in memory.
// The caller raises #NM for CR0.EM and CR0.TS beforehand, fills `memory` when x87Operand says `read`, and afterwards
// acts on the outcome. It should know that a write will succeed before it executes a store, because stores pop.
import { compareFlags, compareRegister, memoryArithmetic, registerArithmetic } from './x87-arith.ts';
import type { ImageMode } from './x87-image.ts';
import { environmentSize, readEnvironment, readRegisters, writeEnvironment, writeRegisters } from './x87-image.ts';
import { x87Operand } from './x87-operand.ts';
import { FCW, FSW } from './x87-state.ts';
import {
  exchange,
  loadBcd,
  loadFloat,
  loadInteger,
  loadRaw,
  loadRegister,
  moveIf,
  storeBcd,
  storeFloat,
  storeInteger,
  storeRaw,
  storeRegister,
  storeRegisterQuietly,
} from './x87-transfer.ts';
import { unary } from './x87-unary.ts';
import { X87Unit } from './x87-unit.ts';

/** What an instruction left for the caller to do; a set of bits. */
export const OUTCOME = {
  done: 0,
  /** Nothing was executed: an unmasked exception is pending. #MF (or FERR# when CR0.NE is clear). */
  mf: 1,
  /** The encoding does not exist: #UD. */
  ud: 2,
  /** `memory` holds x87Operand().size bytes to be stored. */
  store: 4,
  /** `ax` goes to AX. */
  ax: 8,
  /** `eflags` replaces ZF, PF and CF; OF, SF and AF are cleared. */
  eflags: 16,
} as const;

/** Where an instruction is and what it addresses, for FIP and FDP. */
export interface X87Origin {
  ip: bigint;
  cs: number;
  dp: bigint;
  ds: number;
}

export class X87 extends X87Unit {
  /** Set by the caller before `execute`. */
  readonly origin: X87Origin = { ip: 0n, cs: 0, dp: 0n, ds: 0 };
  /** Set by the caller before FLDENV, FNSTENV, FRSTOR and FNSAVE. */
  readonly mode: { -readonly [K in keyof ImageMode]: ImageMode[K] } = { operandSize16: false, realMode: false };

  /** FWAIT, and the first step of every waiting instruction, MMX included: #MF is due. */
  get pending(): boolean {
    return (this.state.fsw & FSW.ES) !== 0;
  }

  /**
   * @param opcode 0xd8..0xdf
   * @returns bits of OUTCOME
   */
  execute(opcode: number, modrm: number): number {
    if (!x87Operand(opcode, modrm).valid) return OUTCOME.ud;
    const waits = !isNonWaiting(opcode, modrm);
    if (waits && this.pending) return OUTCOME.mf;
    if (waits && !isControl(opcode, modrm)) this.record(opcode, modrm);
    this.prepare();
    const outcome = modrm >= 0xc0 ? this.registerForm(opcode, modrm) : this.memoryForm(opcode, (modrm >> 3) & 7);
    if (waits && this.pending) this.state.fop = ((opcode & 7) << 8) | modrm;
    return outcome;
  }

  /** FIP and FDP follow every instruction that is not a control instruction; FOP only an unmasked exception. */
  private record(opcode: number, modrm: number): void {
    const { state, origin } = this;
    state.fip = origin.ip;
    state.fcs = origin.cs;
    if (x87Operand(opcode, modrm).size === 0) return;
    state.fdp = origin.dp;
    state.fds = origin.ds;
  }

  private memoryForm(opcode: number, reg: number): number {
    const stored = (yes: boolean): number => (yes ? OUTCOME.store : OUTCOME.done);
    if (!(opcode & 1)) {
      memoryArithmetic(this, opcode, reg);
      return OUTCOME.done;
    }
    switch (((opcode & 6) << 3) | reg) {
      case 0o00: // D9 /0
        loadFloat(this, false);
        return OUTCOME.done;
      case 0o02:
      case 0o03:
        return stored(storeFloat(this, false, reg === 3));
      case 0o04: // FLDENV
        readEnvironment(this.state, this.memory, this.mode);
        return OUTCOME.done;
      case 0o05: // FLDCW
        this.state.fcw = this.memory.getUint16(0, true);
        this.state.summarize();
        return OUTCOME.done;
      case 0o06: // FNSTENV
        writeEnvironment(this.state, this.memory, this.mode);
        this.state.fcw |= FCW.masks;
        this.state.summarize();
        return OUTCOME.store;
      case 0o07: // FNSTCW
        this.memory.setUint16(0, this.state.fcw, true);
        return OUTCOME.store;
      case 0o20: // DB /0
        loadInteger(this, 4);
        return OUTCOME.done;
      case 0o21:
      case 0o22:
      case 0o23:
        return stored(storeInteger(this, 4, reg === 1, reg !== 2));
      case 0o25:
        loadRaw(this, this.memory.getUint16(8, true), this.memory.getBigUint64(0, true));
        return OUTCOME.done;
      case 0o27:
        return stored(storeRaw(this));
      case 0o40: // DD /0
        loadFloat(this, true);
        return OUTCOME.done;
      case 0o41:
        return stored(storeInteger(this, 8, true, true));
      case 0o42:
      case 0o43:
        return stored(storeFloat(this, true, reg === 3));
      case 0o44: // FRSTOR
        readEnvironment(this.state, this.memory, this.mode);
        readRegisters(this.state, this.memory, environmentSize(this.mode), 10);
        return OUTCOME.done;
      case 0o46: // FNSAVE
        writeEnvironment(this.state, this.memory, this.mode);
        writeRegisters(this.state, this.memory, environmentSize(this.mode), 10);
        this.state.reset();
        return OUTCOME.store;
      case 0o47: // FNSTSW m16
        this.memory.setUint16(0, this.state.fsw, true);
        return OUTCOME.store;
      case 0o60: // DF /0
        loadInteger(this, 2);
        return OUTCOME.done;
      case 0o61:
      case 0o62:
      case 0o63:
        return stored(storeInteger(this, 2, reg === 1, reg !== 2));
      case 0o64:
        loadBcd(this);
        return OUTCOME.done;
      case 0o65:
        loadInteger(this, 8);
        return OUTCOME.done;
      case 0o66:
        return stored(storeBcd(this));
      default: // DF /7
        return stored(storeInteger(this, 8, false, true));
    }
  }

  private registerForm(opcode: number, modrm: number): number {
    const group = (modrm >> 3) & 7;
    const i = modrm & 7;
    switch (opcode & 7) {
      case 0:
      case 4:
        if (group === 2 || group === 3) compareRegister(this, i, false, group - 2);
        else registerArithmetic(this, group, i, opcode & 4 ? i : 0, false);
        return OUTCOME.done;
      case 1:
        if (group >= 4) unary(this, modrm);
        else if (group === 0) loadRegister(this, i);
        else if (group === 1) exchange(this, i);
        else if (group === 3) storeRegisterQuietly(this, i);
        return OUTCOME.done;
      case 2:
        if (group < 4) moveIf(this, group, false, i);
        else compareRegister(this, 1, true, 2);
        return OUTCOME.done;
      case 3:
        return this.groupDb(group, i);
      case 5:
        return this.groupDd(group, i);
      case 6:
        if (group === 2) compareRegister(this, i, false, 1);
        else if (group === 3) compareRegister(this, 1, false, 2);
        else registerArithmetic(this, group, i, i, true);
        return OUTCOME.done;
      default:
        return this.groupDf(group, i);
    }
  }

  private groupDb(group: number, i: number): number {
    const { state } = this;
    if (group < 4) moveIf(this, group, true, i);
    else if (group >= 5) return this.compareToFlags(i, group === 5, false);
    else if (i === 2) state.fsw &= ~(FSW.B | FSW.ES | FSW.SF | FCW.masks);
    else if (i === 3) state.reset();
    // FNENI, FNDISI and FNSETPM do nothing since the 387.
    return OUTCOME.done;
  }

  private compareToFlags(i: number, quiet: boolean, pop: boolean): number {
    compareFlags(this, i, quiet, pop);
    return OUTCOME.eflags;
  }

  /** FFREE. */
  private free(i: number): void {
    this.state.setEmpty(i, true);
    this.setC1(false);
  }

  private groupDd(group: number, i: number): number {
    if (group === 0) this.free(i);
    else if (group === 1) exchange(this, i);
    else if (group === 2 || group === 3) storeRegister(this, i, group === 3);
    else compareRegister(this, i, true, group - 4);
    return OUTCOME.done;
  }

  private groupDf(group: number, i: number): number {
    if (group === 4) {
      this.ax = this.state.fsw;
      return OUTCOME.ax;
    }
    if (group >= 5) return this.compareToFlags(i, group === 5, true);
    if (group === 0) {
      this.free(i);
      this.pop();
    } else if (group === 1) exchange(this, i);
    else storeRegister(this, i, true);
    return OUTCOME.done;
  }
}

/** FNCLEX, FNINIT, FNSTCW, FNSTSW, FNSTENV, FNSAVE and the three that do nothing. */
export function isNonWaiting(opcode: number, modrm: number): boolean {
  if (modrm >= 0xc0) return (opcode === 0xdb && modrm >= 0xe0 && modrm <= 0xe4) || (opcode === 0xdf && modrm === 0xe0);
  const reg = (modrm >> 3) & 7;
  return (opcode === 0xd9 || opcode === 0xdd) && (reg === 6 || reg === 7);
}

/** Control instructions that wait: FLDENV, FLDCW, FRSTOR. They leave FIP, FDP and FOP alone. */
function isControl(opcode: number, modrm: number): boolean {
  if (modrm >= 0xc0) return false;
  const reg = (modrm >> 3) & 7;
  return (opcode === 0xd9 && (reg === 4 || reg === 5)) || (opcode === 0xdd && reg === 4);
}
