// The page of the stack that was found last, in two variables: most accesses around the stack pointer need no more than one
// comparison with it. Only code that nothing can take TLB entries from meanwhile may have one.
import { type Expr, i64, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import { TLB } from '../state.ts';

export class StackWindow {
  readonly #f: FunctionBuilder;
  readonly #pointers: ReadonlySet<number>;
  /** As an entry of the write TLB: no page when it is empty. Declared when first looked at. */
  #entry: { readonly tag: Local; readonly addend: Local } | undefined;

  /** `pointers`: the registers that point into the stack. */
  constructor(f: FunctionBuilder, pointers: ReadonlySet<number>) {
    this.#f = f;
    this.#pointers = pointers;
  }

  /** Whether what this register points to is likely to be in it. */
  isNear(register: number): boolean {
    return this.#pointers.has(register);
  }
  /**
   * i32, not 0 when `size` bytes (a power of two) at a linear address lie in the page. Those that are not aligned count as not: bits
   * that tell this and the page's are compared at once, and an empty entry has bits that no address has after that.
   */
  holds(linear: Expr, size: number): Expr {
    if ((size & (size - 1)) !== 0) throw new RangeError(`${size} bytes: the size of an access to the stack is a power of two`);
    return this.#variables.tag.eq(linear.and(-4096 | (size - 1)));
  }
  /** What leads from a linear address in the page to the host's. */
  get addend(): Expr {
    return this.#variables.addend;
  }
  /** It becomes the page of this entry of the write TLB. */
  move({ tag, addend }: { readonly tag: Expr; readonly addend: Expr }): void {
    const mine = this.#variables;
    this.#f.set(mine.tag, tag);
    this.#f.set(mine.addend, addend);
  }

  /**
   * It becomes what the write TLB has at the place of the page of a linear address (i32): a page of the stack or not, it may be written.
   * `readTlb` is the address of the read TLB, behind which it lies. Nothing is emitted where no code emitted before looks at the window.
   */
  open(linear: Expr, readTlb: Expr): void {
    if (this.#entry === undefined) return;
    const at = this.#f.let(
      linear
        .shrU(8)
        .and((TLB.entries - 1) * TLB.entrySize)
        .add(readTlb),
    );
    this.move({ tag: at.load('i64', 8, TLB.bytes), addend: at.load('i32', 4, TLB.bytes + 8) });
  }
  /** It becomes empty: other TLBs are in force from now on. */
  close(): void {
    this.#f.set(this.#variables.tag, i64(TLB.invalid));
  }

  get #variables(): { readonly tag: Local; readonly addend: Local } {
    this.#entry ??= { tag: this.#f.variable('i64'), addend: this.#f.variable('i32') };
    return this.#entry;
  }
}
