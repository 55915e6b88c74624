// An operation on many frames that is not over: Xen keeps where to go on above the sub-operation. public/memory.h.
import { MEMOP_CMD_MASK, MEMOP_EXTENT_SHIFT } from '../../abi/xen/memory.ts';
import { CONTINUE, type HypercallContext } from '../calls/hypercall-context.ts';

/** Has the vCPU make the same call again from extent `next`. */
export function continueFrom(c: HypercallContext, next: number): number {
  const op = c.args.low(0) & MEMOP_CMD_MASK;
  c.args.u64[0] = BigInt(op) | (BigInt(next) << BigInt(MEMOP_EXTENT_SHIFT));
  return CONTINUE;
}
