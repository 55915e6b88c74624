// The data TLBs that a region works with: those of the privilege that it was translated for, at addresses that are constants. One with
// STAC or CLAC in it has their address in a variable, and can be entered with those of either.
import { Const, type Expr, i32, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import { MMU_INDEX, STATE, TLB } from '../state.ts';
import type { Region, RegionInstruction } from './region.ts';

/** Semantics behind which a region goes on, with the TLBs that they chose. */
export const SWITCH_TLBS: ReadonlySet<string> = new Set(['stac', 'clac']);
const switches = ({ row }: RegionInstruction): boolean => SWITCH_TLBS.has(row.semantics.name);

/** Which of MMU_INDEX a region that was translated for one of them can be entered with. */
export function mmuIndexesOf({ blocks }: Region, mmuIndex: number): readonly number[] {
  const both = mmuIndex !== MMU_INDEX.user && blocks.some(({ instructions }) => instructions.some(switches));
  return both ? [MMU_INDEX.supervisor, MMU_INDEX.supervisorAc] : [mmuIndex];
}

export class AssumedTlbs {
  readonly #f: FunctionBuilder;
  readonly #force: Expr;
  readonly #addresses: readonly number[];
  /** Address of the read TLB in force; the write TLB follows it. */
  readonly read: Expr;

  /** `state` is the vCPU, at `base`. */
  constructor(f: FunctionBuilder, state: Expr, base: number, region: Region, mmuIndex: number) {
    this.#f = f;
    this.#force = state.load('i32', 4, STATE.tlbRead);
    this.#addresses = mmuIndexesOf(region, mmuIndex).map((index) => base + TLB.at + 3 * index * TLB.bytes);
    this.read = this.#addresses.length === 1 ? i32(this.#addresses[0] as number) : f.variable('i32');
  }

  /** i32, not 0 where the region does not hold: another privilege, or alignment checks. */
  get differ(): Expr {
    return this.#addresses.map((address) => this.#force.ne(address)).reduce((all, other) => all.and(other));
  }
  /** i32, not 0 when others are in force than `read` says. */
  get changed(): Expr {
    return this.#force.xor(this.read);
  }

  /** The region begins, and its TLBs do not differ. */
  begin(): void {
    if (!(this.read instanceof Const)) this.#f.set(this.read as Local, this.#force);
  }
  /** The instruction was done. True when others may be in force than before it. */
  after(instruction: RegionInstruction): boolean {
    if (!switches(instruction)) return false;
    this.begin();
    return true;
  }
}
