// VCVTPH2PS and VCVTPS2PH, four lanes at a time, as `avxOf` takes them. SDM vol. 2, under each name.
import { i32 } from '../../../wasm/expr.ts';
import { sse } from '../sse-access.ts';
import { computeSlow, FP_SLOT } from '../sse-operation.ts';

export const cvtph2ps = sse('cvtph2ps', 'w,r', (e) => {
  const b = e.getVector(1);
  computeSlow(e, 'fromHalf', 'ps', b, b, i32(0));
  e.setVector(0, e.state.loadV(FP_SLOT.result));
});
/** The halves are in the low quadword. Memory is found not to fault before any flag is raised. */
export const cvtps2ph = sse('cvtps2ph', 'w,r,r', (e) => {
  if (e.variant.operands[0]?.kind === 'mem') e.hostAddress(e.linear(0), e.size(0), 'w');
  const b = e.getVector(1);
  computeSlow(e, 'toHalf', 'ps', b, b, e.get(2));
  e.setVector(0, e.state.loadV(FP_SLOT.result));
});
