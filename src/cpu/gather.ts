// VGATHERDPS, VPGATHERQQ and kin: the elements that a mask chooses, each from an address of its own. SDM vol. 2, VGATHERDPD.
import { GuestFault } from './cpu.ts';
import type { Helper } from './helper-context.ts';
import { REC } from './interpreter/record.ts';
import { STATE } from './state.ts';

const TO_HIGH = STATE.ymmHigh - STATE.xmm;

/** Byte `at` of the YMM register whose low half is at `slot`. */
const place = (slot: number, at: number): number => slot + (at < 16 ? at : at - 16 + TO_HIGH);

/**
 * A fault comes with all elements before it loaded and their masks cleared, and the instruction goes on from there. There is no
 * alignment check (exceptions of type 12). Operands: destination, memory, mask, vector of indices.
 */
export const gather: Helper = (x) => {
  const { cpu, handler } = x;
  const { view } = cpu;
  const size = x.operand(1).size;
  const [to, mask, indices] = [x.registerField(0), x.registerField(2), x.registerField(3)];
  const indexSize = handler.semantics.name.endsWith('q') ? 8 : 4;
  const count = Math.min(x.operand(0).size / size, x.operand(3).size / indexSize);
  const scale = BigInt(cpu.memory.view.getUint8(x.record + REC.scale));
  const base = x.offset;
  const addressMask = x.asize === 8 ? (1n << 64n) - 1n : 0xffff_ffffn;
  const loaded = new Uint8Array(32);
  const chosen = Array.from({ length: count }, (_, n) => view.getInt8(place(mask, n * size + size - 1)) < 0);
  const finish = (elements: number) => {
    for (let n = 0; n < elements; n++) {
      if (chosen[n] === true) cpu.u8.set(loaded.subarray(n * size, (n + 1) * size), place(to, n * size));
      cpu.u8.fill(0, place(mask, n * size), place(mask, n * size) + size);
    }
  };
  for (let n = 0; n < count; n++) {
    if (chosen[n] !== true) continue;
    const at = place(indices, n * indexSize);
    const index = indexSize === 8 ? view.getBigInt64(at, true) : BigInt(view.getInt32(at, true));
    const offset = (base + (index << scale)) & addressMask;
    try {
      x.mem.readBytes(x.linearIn(x.segment, offset, size, false), loaded.subarray(n * size, (n + 1) * size));
    } catch (reason) {
      if (reason instanceof GuestFault) finish(n);
      throw reason;
    }
  }
  finish(count);
  // Nothing stays above what was gathered, and nothing of the mask.
  for (const [slot, from] of [
    [to, count * size],
    [mask, 0],
  ] as const)
    for (let byte = from; byte < 32; byte++) cpu.u8[place(slot, byte)] = 0;
};
