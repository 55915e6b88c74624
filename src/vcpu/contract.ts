// The contract between an engine (the WebAssembly engine, KVM) and the machine around it.
// An engine runs one virtual CPU until something outside it must act, and returns that as a value.

/** Why `run` returned. */
export const EXIT = {
  /** The instruction budget is spent, or somebody called `kick`. */
  budget: 0,
  /** HLT with interrupts possible: sleep until one is pending. */
  hlt: 1,
  /** Port input or output: `port`, `size`, `write`, `data`. */
  pio: 2,
  /** Access to a guest-physical address without memory behind it: `gpa`, `size`, `write`, `data`. */
  mmio: 3,
  /** VMCALL or VMMCALL: read the registers, call `completeHypercall`. */
  hypercall: 4,
  /** RDMSR/WRMSR of an MSR the engine does not own: `msr`, `write`, `data`. */
  msr: 5,
  /** Triple fault. */
  shutdown: 6,
  /** Interrupts have become deliverable and somebody asked to know. */
  interruptWindow: 7,
} as const;
export type ExitReason = (typeof EXIT)[keyof typeof EXIT];

/** The details of the last exit. One object a vCPU, overwritten by each exit: nothing is allocated on the way out. */
export interface Exit {
  reason: ExitReason;
  port: number;
  /** Access size in bytes: 1, 2, 4 or 8. */
  size: number;
  write: boolean;
  /** Guest-physical address; below 2^52. */
  gpa: number;
  msr: number;
  /** Written value, or, set by the machine before the next `run`, the value read. Low and high 32 bits. */
  dataLow: number;
  dataHigh: number;
  /**
   * `pio` of a repeated INS or OUTS: the elements that may be moved by this exit, 1 for every other exit. Whoever moves several puts
   * the number into `moved`, 1 until then, and uses `block` in place of the data: it has what is written, or takes what was read.
   */
  most: number;
  moved: number;
  readonly block: Uint8Array;
}

/** Bytes of `Exit.block`: a page. */
export const BLOCK_BYTES = 4096;

/** An exit that nobody has made yet. */
export const newExit = (): Exit => ({
  reason: EXIT.budget,
  port: 0,
  size: 0,
  write: false,
  gpa: 0,
  msr: 0,
  dataLow: 0,
  dataHigh: 0,
  most: 1,
  moved: 1,
  block: new Uint8Array(BLOCK_BYTES),
});

/** What serves a guest's privileged call needs of the calling vCPU. */
export interface GuestCaller {
  readonly vcpuId: number;
  /** CS.L and EFER.LMA: the 64-bit calling convention applies. */
  readonly longMode: boolean;
  /** Current privilege level, 0..3; 3 in virtual-8086 mode. */
  readonly cpl: number;
  /**
   * Copies from guest virtual memory with supervisor rights, page by page; `address` is truncated to 32 bits outside
   * long mode. Returns false if any byte cannot be read; `into` is then unspecified and no fault reaches the guest.
   */
  readVirtual(address: bigint, into: Uint8Array): boolean;
  writeVirtual(address: bigint, from: Uint8Array): boolean;
  /** Translates a guest virtual address for reading; -1 when it is not mapped. */
  translate(address: bigint): number;
}

export const GPR = {
  rax: 0,
  rcx: 1,
  rdx: 2,
  rbx: 3,
  rsp: 4,
  rbp: 5,
  rsi: 6,
  rdi: 7,
  r8: 8,
  r9: 9,
  r10: 10,
  r11: 11,
  r12: 12,
  r13: 13,
  r14: 14,
  r15: 15,
} as const;

/** A segment register with its hidden part. `attributes`: bits 7:0 access byte, 15:12 G, D/B, L, AVL (descriptor bits 40..55). */
export interface Segment {
  readonly selector: number;
  readonly base: bigint;
  readonly limit: number;
  readonly attributes: number;
}
export type SegmentName = 'es' | 'cs' | 'ss' | 'ds' | 'fs' | 'gs' | 'ldtr' | 'tr';

export interface VcpuEngine extends GuestCaller {
  readonly exit: Exit;
  /** Runs until something outside must act. `budget` is the most instructions to retire. The details are in `exit`. */
  run(budget: number): ExitReason;
  /** Instructions retired since the vCPU was created. */
  readonly retired: number;
  gpr(index: number): bigint;
  setGpr(index: number, value: bigint): void;
  rip: bigint;
  rflags: bigint;
  segment(name: SegmentName): Segment;
  setSegment(name: SegmentName, segment: Segment): void;
  setControl(register: 'cr0' | 'cr3' | 'cr4' | 'efer', value: bigint): void;
  control(register: 'cr0' | 'cr2' | 'cr3' | 'cr4' | 'efer'): bigint;
  /** True when a maskable interrupt would be taken now: IF set, no shadow. */
  readonly canInterrupt: boolean;
  /** Delivers an external interrupt; only when `canInterrupt`. */
  interrupt(vector: number): void;
  nmi(): void;
  /** Ask `run` to return as soon as `canInterrupt` becomes true. */
  requestInterruptWindow(): void;
  /** Answers the `hypercall` exit: writes RAX, given in halves, and moves past the instruction. */
  completeHypercall(low: number, high: number): void;
  /** Answers the `msr` exit: `ok` false raises #GP(0) instead. */
  completeMsr(ok: boolean): void;
  /** Drops every cached translation. */
  flushTlb(): void;
}
