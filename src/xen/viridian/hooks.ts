// What Microsoft's interface needs of the machine around a vCPU. All are called on the vCPU's thread, during its exit.

export interface ViridianHooks {
  /** RCX of the caller: the input value of a 64-bit hypercall. */
  readonly rcx: () => bigint;
  /** Sets EDX: the upper half of the result of a 32-bit hypercall. */
  readonly setEdx: (value: number) => void;
  /** Raises an edge-triggered fixed interrupt in any vCPU's LAPIC; dropped while that one is software-disabled. */
  readonly sendInterrupt: (vcpu: number, vector: number) => void;
  /** Registers of the vCPU's own LAPIC by their xAPIC offset (SDM vol. 3A, table 11-1), whatever mode it is in. */
  readonly readApic: (offset: number) => number;
  readonly writeApic: (offset: number, value: number) => void;
}
