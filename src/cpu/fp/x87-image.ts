// The memory images of FNSTENV/FLDENV, FNSAVE/FRSTOR and the x87 part of FXSAVE (SDM vol. 1, figures 8-9 to 8-12,
// 10.5.1).
import type { X87State } from './x87-state.ts';

export interface ImageMode {
  /** The operand size is 16 bits: 14-byte environment instead of 28. */
  readonly operandSize16: boolean;
  /** Real-address or virtual-8086 mode: linear addresses instead of selector and offset. */
  readonly realMode: boolean;
}

export const environmentSize = (mode: ImageMode): number => (mode.operandSize16 ? 14 : 28);

export function writeEnvironment(state: X87State, image: DataView, mode: ImageMode): void {
  const { fcw, fsw, fop, fcs, fds } = state;
  const tags = state.fullTags();
  const [fip, fdp] = [Number(state.fip & 0xffffffffn), Number(state.fdp & 0xffffffffn)];
  if (mode.operandSize16) {
    const words = mode.realMode
      ? [
          realAddress(fip, fcs),
          (((realAddress(fip, fcs) >>> 16) & 15) << 12) | fop,
          realAddress(fdp, fds),
          ((realAddress(fdp, fds) >>> 16) & 15) << 12,
        ]
      : [fip, fcs, fdp, fds];
    for (const [i, word] of [fcw, fsw, tags, ...words].entries()) image.setUint16(2 * i, word & 0xffff, true);
    return;
  }
  const reserved = 0xffff0000;
  image.setUint32(0, reserved | fcw, true);
  image.setUint32(4, reserved | fsw, true);
  image.setUint32(8, reserved | tags, true);
  if (mode.realMode) {
    const [ip, dp] = [realAddress(fip, fcs), realAddress(fdp, fds)];
    image.setUint32(12, reserved | (ip & 0xffff), true);
    image.setUint32(16, ((ip >>> 16) << 12) | fop, true);
    image.setUint32(20, reserved | (dp & 0xffff), true);
    image.setUint32(24, (dp >>> 16) << 12, true);
  } else {
    image.setUint32(12, fip, true);
    image.setUint32(16, (fop << 16) | fcs, true);
    image.setUint32(20, fdp, true);
    image.setUint32(24, reserved | fds, true);
  }
}

const realAddress = (offset: number, segment: number): number => (offset + segment * 16) >>> 0;

export function readEnvironment(state: X87State, image: DataView, mode: ImageMode): void {
  const step = mode.operandSize16 ? 2 : 4;
  state.fcw = image.getUint16(0, true);
  state.fsw = image.getUint16(step, true);
  state.setFullTags(image.getUint16(2 * step, true));
  let [fip, fcs, fdp, fds, fop] = [0, 0, 0, 0, 0];
  const word = (i: number): number => (step === 2 ? image.getUint16(2 * i, true) : image.getUint32(4 * i, true));
  if (mode.realMode) {
    fop = word(4) & 0x7ff;
    fip = (word(3) & 0xffff) | ((word(4) >>> 12) << 16);
    fdp = (word(5) & 0xffff) | ((word(6) >>> 12) << 16);
  } else {
    [fip, fcs, fdp, fds] = [word(3), word(4) & 0xffff, word(5), word(6) & 0xffff];
    if (step === 4) fop = (word(4) >>> 16) & 0x7ff;
  }
  state.fip = BigInt(fip >>> 0);
  state.fdp = BigInt(fdp >>> 0);
  state.fcs = fcs;
  state.fds = fds;
  state.fop = fop;
  state.summarize();
}

/** The eight registers, ST(0) first, `stride` bytes apart. */
export function writeRegisters(state: X87State, image: DataView, at: number, stride: number): void {
  for (let i = 0; i < 8; i++) {
    image.setBigUint64(at + i * stride, state.significand(i), true);
    image.setUint16(at + i * stride + 8, state.signExponent(i), true);
  }
}
/** Leaves the tags alone. */
export function readRegisters(state: X87State, image: DataView, at: number, stride: number): void {
  for (let i = 0; i < 8; i++) {
    state.view.setBigUint64(state.at(i), image.getBigUint64(at + i * stride, true), true);
    state.view.setUint16(state.at(i) + 8, image.getUint16(at + i * stride + 8, true), true);
  }
}

/**
 * The x87 part of an FXSAVE or XSAVE area: bytes 0..23 and 32..159; MXCSR and its mask between them are the caller's.
 * @param wide FXSAVE64: 64-bit FIP and FDP without selectors
 */
export function writeFxsave(state: X87State, area: DataView, at: number, wide: boolean): void {
  area.setUint16(at, state.fcw, true);
  area.setUint16(at + 2, state.fsw, true);
  area.setUint16(at + 4, state.ftw, true);
  area.setUint16(at + 6, state.fop, true);
  area.setBigUint64(at + 8, wide ? state.fip : (state.fip & 0xffffffffn) | (BigInt(state.fcs) << 32n), true);
  area.setBigUint64(at + 16, wide ? state.fdp : (state.fdp & 0xffffffffn) | (BigInt(state.fds) << 32n), true);
  for (let i = 0; i < 8; i++) area.setBigUint64(at + 40 + i * 16, 0n, true);
  writeRegisters(state, area, at + 32, 16);
}

/** The reverse, FXRSTOR; sets ES and B from the loaded flags and masks. */
export function readFxsave(state: X87State, area: DataView, at: number, wide: boolean): void {
  state.fcw = area.getUint16(at, true);
  state.fsw = area.getUint16(at + 2, true);
  state.ftw = area.getUint8(at + 4);
  state.fop = area.getUint16(at + 6, true);
  const [fip, fdp] = [area.getBigUint64(at + 8, true), area.getBigUint64(at + 16, true)];
  state.fip = wide ? fip : fip & 0xffffffffn;
  state.fdp = wide ? fdp : fdp & 0xffffffffn;
  state.fcs = wide ? 0 : Number((fip >> 32n) & 0xffffn);
  state.fds = wide ? 0 : Number((fdp >> 32n) & 0xffffn);
  readRegisters(state, area, at + 32, 16);
  state.summarize();
}
