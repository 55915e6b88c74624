// What a domain's owner does with its time, whichever clock it has.

export interface GuestTime {
  /** Nanoseconds of guest system time. */
  readonly nowNs: () => number;
  /** Stops the clock. No vCPU may be running: they would see time jump when it goes on. */
  stop(): void;
  /** Sets it going again. Returns the nanoseconds by which the host's time has gone on meanwhile and the guest's has not. */
  start(): number;
  /** Back to 0, and running: for a domain that starts anew. */
  reset(): void;
}
