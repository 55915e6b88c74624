// AVX forms of SSE instructions, from the semantics of those: each 128 bits by themselves. SDM vol. 1, 14.1 and 14.3.
import { type Expr, i32 } from '../../../wasm/expr.ts';
import { type Semantics, semantics } from '../../emit/semantics.ts';
import { ZERO } from '../simd-ops.ts';
import { HALF } from '../sse-operation.ts';
import { LaneEmitter, type LaneSharing, lowHalves } from './lane-emitter.ts';

export interface AvxOptions {
  /** Operands of memory must be aligned, as with SSE: MOVAPS and its like. */
  readonly aligned?: boolean;
  /** The first operand is written only, and the second read in its place. Default: SSE reads the first one. */
  readonly threeOperands?: boolean;
  /** The operand in place of XMM0. */
  readonly xmm0?: number;
  /** The high lane has the immediate's bits from this one on. */
  readonly immediateShift?: number;
  /** Bytes of the source that each lane takes, lowest first. */
  readonly part?: number;
  /** Each lane leaves a quadword, and they go into one XMM register. */
  readonly narrow?: boolean;
  /** Bits that each lane leaves for a general register. */
  readonly bits?: number;
  /** Default: false, whatever SSE's is: the interpreter's loop has room for few. */
  readonly hot?: boolean;
}

/** The AVX form of `sse`, of 128 or 256 bits as the operands have it. What is above 128 bits becomes zero in the former. */
export function avxOf(sse: Semantics, options: AvxOptions = {}): Semantics {
  const [first, ...others] = sse.access;
  const threeOperands = options.threeOperands ?? first === 'rw';
  const access = threeOperands ? ['w', 'r', ...others] : first === 'rw' ? ['w', ...others] : sse.access;
  const lane = {
    threeOperands,
    aligned: options.aligned ?? false,
    xmm0: options.xmm0,
    immediateShift: options.immediateShift ?? 0,
    part: options.part,
  };
  const names = [options.aligned && 'a', options.immediateShift, options.part, options.narrow && 'n', options.xmm0];
  const suffix = names.filter((name) => name !== undefined && name !== false).join('.');
  const by = Object.entries(sse.by).flatMap(([name, on]) => (on ? [name] : []));
  return semantics(
    `v.${sse.name}${threeOperands ? '.3' : ''}${suffix}`,
    (options.xmm0 === undefined ? access : [...access, 'r']).join(),
    (e) => {
      const count = e.variant.operands.some(({ size, kind }) => size === 32 && kind !== 'imm') ? 2 : 1;
      const failed = e.local('i32');
      const computed = e.local('i32');
      const start = e.f.code.length;
      const sharing: LaneSharing = { count, same: new Map(), failed, computed, used: false };
      const low = new LaneEmitter(e, 0, lane, sharing);
      sse.emit(low);
      let high: Expr = ZERO;
      if (count === 2) {
        const second = new LaneEmitter(e, 1, lane, sharing);
        sse.emit(second);
        high = second.result ?? ZERO;
        if (sharing.used) {
          e.f.if(failed, () => e.compute('fp', HALF.end));
          e.f.insert(start, () => {
            e.f.set(failed, i32(0));
            e.f.set(computed, i32(0));
          });
        }
      }
      if (low.result === undefined) return;
      if (low.result.type !== 'v128') e.set(0, count === 2 ? low.result.or(high.shl(options.bits ?? 0)) : low.result);
      else if (options.narrow === true) e.setWide(0, count === 2 ? lowHalves(low.result, high) : low.result, ZERO);
      else e.setWide(0, low.result, high, options.aligned === true ? { aligned: true } : {});
    },
    { hot: options.hot ?? false, by: by.join(' ') },
  );
}
