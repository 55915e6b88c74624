// What an event channel ABI does with a port: 2-level or FIFO, chosen per domain by a word in its region.

/** Any thread may call these; none takes the domain's lock. A port is below the ABI's limit and exists. */
export interface PortOps {
  /** A port was bound: state of an earlier binding is forgotten. The domain's lock is held. */
  initPort(port: number): void;
  /** Marks the port pending, and delivers it when it is not masked. */
  setPending(port: number): void;
  /** Delivers the port when it is pending already and not masked: it was bound, or moved to another vCPU. */
  redeliver(port: number): void;
  clearPending(port: number): void;
  /** Clears the mask and delivers what is pending. */
  unmask(port: number): void;
  isPending(port: number): boolean;
  isMasked(port: number): boolean;
  /** Whether a closed port is still on one of the guest's queues, and cannot be given out again. */
  isBusy(port: number): boolean;
}
