// Recognises sums, products, quotients and roots of doubles that are exact, without big integers: a program that only
// ever computes exact results never sets MXCSR.PE, and would otherwise always take the slow way.

/** The least normal double. */
const LEAST = 2 ** -1022;
/** Within these, the error terms below neither overflow nor underflow. */
const SMALL = 2 ** -400;
const LARGE = 2 ** 400;
/** Splits a double into halves of 26 bits (Veltkamp). */
const SPLITTER = 2 ** 27 + 1;

/** Error of the rounded product `p` of `x` and `y` (Dekker). */
function productError(x: number, y: number, p: number): number {
  const xs = SPLITTER * x;
  const xh = xs - (xs - x);
  const xl = x - xh;
  const ys = SPLITTER * y;
  const yh = ys - (ys - y);
  const yl = y - yh;
  return xh * yh - p + xh * yl + xl * yh + xl * yl;
}

const moderate = (x: number): boolean => {
  const size = Math.abs(x);
  return size >= SMALL && size <= LARGE;
};

/** `x + y` if it is exact and normal or zero, and neither operand is denormal; else NaN. */
export function exactSum(x: number, y: number): number {
  const sum = x + y;
  const part = sum - x;
  if (x - (sum - part) + (y - part) !== 0) return Number.NaN;
  return ordinary(x) && ordinary(y) && ordinary(sum) ? sum : Number.NaN;
}
/** `x × y` if it is exact, of moderate size or a zero; else NaN. */
export function exactProduct(x: number, y: number): number {
  const product = x * y;
  if (x === 0 || y === 0) return ordinary(x) && ordinary(y) ? product : Number.NaN;
  if (!moderate(x) || !moderate(y) || !moderate(product)) return Number.NaN;
  return productError(x, y, product) === 0 ? product : Number.NaN;
}
/** `x ÷ y` if it is exact, of moderate size or a zero; else NaN. */
export function exactQuotient(x: number, y: number): number {
  const quotient = x / y;
  if (x === 0) return ordinary(y) && y !== 0 ? quotient : Number.NaN;
  if (!moderate(x) || !moderate(y) || !moderate(quotient)) return Number.NaN;
  return quotient * y === x && productError(quotient, y, x) === 0 ? quotient : Number.NaN;
}
/** The root if it is exact; else NaN. */
export function exactRoot(x: number): number {
  const root = Math.sqrt(x);
  if (x === 0) return root;
  if (!moderate(x)) return Number.NaN;
  return root * root === x && productError(root, root, x) === 0 ? root : Number.NaN;
}

/** Zero or normal. */
const ordinary = (x: number): boolean => x === 0 || (Math.abs(x) >= LEAST && Math.abs(x) <= Number.MAX_VALUE);
