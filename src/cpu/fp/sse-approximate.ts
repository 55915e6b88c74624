// RCPSS and RSQRTSS. The architecture asks for a relative error of at most 1.5 * 2^-12 (SDM vol. 2) and leaves the bits
// to the implementation. The rule here is: take the middle of the operand's interval of 2^-11 (RSQRT: 2^-10) of a
// binade, and round its reciprocal (root) to a multiple of 2^-13, halves up. That gives the bits Intel's CPUs give.
// No flags, whatever MXCSR says; denormals count as zero, tiny results become zero.

/** Exponent and sign of anything but an ordinary number: `undefined` when there is work to do. */
function unusual(bits: number): number | undefined {
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return (bits | 0x400000) >>> 0;
  if (magnitude < 0x00800000) return ((bits & 0x80000000) | 0x7f800000) >>> 0;
  return undefined;
}

/** @param bits raw binary32 */
export function rcp32(bits: number): number {
  const special = unusual(bits);
  if (special !== undefined) return special;
  const sign = bits & 0x80000000;
  const exponent = 253 - ((bits >>> 23) & 0xff);
  if (exponent <= 0) return sign >>> 0;
  const middle = 1 + (((bits >>> 12) & 0x7ff) + 0.5) / 2048;
  const fraction = Math.floor(8192 / middle + 0.5) - 4096;
  return (sign | (exponent << 23) | (fraction << 11)) >>> 0;
}

/** @param bits raw binary32 */
export function rsqrt32(bits: number): number {
  const special = unusual(bits);
  if (special !== undefined) return special;
  if (bits & 0x80000000) return 0xffc00000;
  if (bits === 0x7f800000) return 0;
  const exponent = ((bits >>> 23) & 0xff) - 127;
  const middle = (1 + (((bits >>> 13) & 0x3ff) + 0.5) / 1024) * (exponent & 1 ? 2 : 1);
  const fraction = Math.floor(8192 / Math.sqrt(middle) + 0.5) - 4096;
  return (((126 - (exponent >> 1)) << 23) | (fraction << 11)) >>> 0;
}
