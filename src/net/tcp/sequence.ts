// Sequence numbers are 32 bits and wrap (RFC 9293, section 3.4).

/** How far `a` is ahead of `b`, negative when behind: right while both are within 2^31 of each other. */
export const seqDiff = (a: number, b: number): number => (a - b) | 0;

export const seqAdd = (seq: number, n: number): number => (seq + n) >>> 0;
