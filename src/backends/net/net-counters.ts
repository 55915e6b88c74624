/** What went through a card since it was made, as a guest counts: tx is what it sent. */
export interface NetCounters {
  txFrames: number;
  txBytes: number;
  /** Answered with an error: what the guest put on the ring made no frame. */
  txErrors: number;
  /** Not passed on: the link was down. */
  txDropped: number;
  rxFrames: number;
  rxBytes: number;
  /** A page that the guest offered could not be written. */
  rxErrors: number;
  /** Not wanted, too large, or the guest had stopped offering pages. */
  rxDropped: number;
}

export const newCounters = (): NetCounters => ({
  txFrames: 0,
  txBytes: 0,
  txErrors: 0,
  txDropped: 0,
  rxFrames: 0,
  rxBytes: 0,
  rxErrors: 0,
  rxDropped: 0,
});
