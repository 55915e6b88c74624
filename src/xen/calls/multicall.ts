// multicall: a list of hypercalls in one. xen/common/multicall.c.
import { EFAULT, EINVAL } from '../../abi/xen/errno.ts';
import { MulticallEntry } from '../../abi/xen/hypercall.ts';
import { CONTINUE, type HypercallContext } from './hypercall-context.ts';

/** Entries done before the vCPU's thread may look at timers, events and the domain's end. */
export const MULTICALL_SLICE = 256;

/**
 * multicall(list, count). Each entry gets its result; the call itself fails where the list cannot be read or written. Not
 * all may be done in one go: then the two registers say what is left. That happens every MULTICALL_SLICE entries, after one
 * that made the vCPU wait or ended the domain, so that the next ones come after the wait, and within one that is not over: its
 * arguments in the list then say what is left of it, as in Xen.
 */
export function multicall(c: HypercallContext): number {
  if (c.inMulticall) return -EINVAL;
  const list = c.args.pointer(0);
  const count = c.args.low(1);
  c.inMulticall = true;
  const { longMode } = c.caller;
  const size = BigInt((longMode ? MulticallEntry.wide : MulticallEntry.narrow).sizeof);
  let at = list;
  let done = 0;
  let result = 0;
  for (; done < count && result === 0; done++) {
    if (done > 0 && mustLeave(c, done)) result = CONTINUE;
    else {
      result = one(c, at);
      if (result !== CONTINUE) at += size;
    }
    if (result === CONTINUE) break;
  }
  c.inMulticall = false;
  if (result === CONTINUE) {
    c.args.u64[0] = BigInt.asUintN(longMode ? 64 : 32, at);
    c.args.u64[1] = BigInt(count - done);
  }
  return result;
}

function mustLeave(c: HypercallContext, done: number): boolean {
  return done >= MULTICALL_SLICE || c.vcpu.state.waiting !== 0 || c.domain.shutdownReason >= 0;
}

/** Serves the entry at `at`. CONTINUE when it is not over. */
function one(c: HypercallContext, at: bigint): number {
  const { args, buffer, caller } = c;
  const { longMode } = caller;
  const S = longMode ? MulticallEntry.wide : MulticallEntry.narrow;
  if (!buffer.copyIn(caller, at, S.sizeof)) return -EFAULT;
  const { view } = buffer;
  const first = S.args.offset;
  for (let i = 0; i < 6; i++) {
    args.u32[i * 2] = view.getUint32(first + i * (longMode ? 8 : 4), true);
    args.u32[i * 2 + 1] = longMode ? view.getUint32(first + i * 8 + 4, true) : 0;
  }
  const known = !longMode || view.getUint32(4, true) === 0;
  const nr = known ? view.getUint32(0, true) : -1;
  const result = c.dispatch(nr);
  if (result === CONTINUE) {
    for (let i = 0; i < 6; i++) {
      view.setUint32(i * (longMode ? 8 : 4), args.u32[i * 2] as number, true);
      if (longMode) view.setUint32(i * 8 + 4, args.u32[i * 2 + 1] as number, true);
    }
    return buffer.copyOut(caller, at + BigInt(first), longMode ? 48 : 24) ? CONTINUE : -EFAULT;
  }
  view.setInt32(0, result, true);
  if (longMode) view.setInt32(4, result < 0 ? -1 : Math.floor(result / 2 ** 32), true);
  return buffer.copyOut(caller, at + BigInt(S.result.offset), longMode ? 8 : 4) ? 0 : -EFAULT;
}
