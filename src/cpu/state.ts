// Layout of one virtual CPU in shared memory: the registers, their hidden parts, and what the generated code needs beside
// them. Offsets are from the vCPU's base address; generated code bakes base + offset into its loads and stores.

/** Bytes a vCPU takes: registers, scratch space and the software TLBs. */
export const VCPU_BYTES = 0x43000;

export const STATE = {
  /** 16 × u64: RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8..R15. */
  gpr: 0x000,
  /** u64, always 0: the register an address without base or index reads. */
  zero: 0x080,
  /** u64: RIP (or EIP, IP) of the first byte of the current code page: RIP = ripBase + offset in the page. */
  ripBase: 0x088,
  /** u64: RIP while no generated code runs. */
  rip: 0x090,
  /**
   * The arithmetic flags, kept apart so that setting them is three stores. ZF = (flagZ == 0). SF = sign of flagS and
   * PF = even parity of its low byte. flagC: bit 31 CF, bit 30 CF xor OF, bit 3 AF.
   */
  flagZ: 0x098,
  flagS: 0x0a0,
  flagC: 0x0a8,
  /** u32: the other bits of RFLAGS (TF IF DF IOPL NT RF VM AC VIF VIP ID); bit 1 and the arithmetic flags are 0 here. */
  eflags: 0x0ac,
  /** 8 segment registers of 24 bytes (see SEG), in encoding order ES CS SS DS FS GS, then LDTR, TR. */
  seg: 0x0b0,
  /** u64 base, u16 limit at +8. */
  gdtr: 0x170,
  idtr: 0x180,
  /** u64 each. */
  cr0: 0x190,
  cr2: 0x198,
  cr3: 0x1a0,
  cr4: 0x1a8,
  cr8: 0x1b0,
  efer: 0x1b8,
  xcr0: 0x1c0,
  /** 8 × u64: DR0..DR7 (4 and 5 unused). */
  dr: 0x1c8,
  /** u64 MSRs. */
  star: 0x208,
  lstar: 0x210,
  cstar: 0x218,
  fmask: 0x220,
  kernelGsBase: 0x228,
  sysenterCs: 0x230,
  sysenterEsp: 0x238,
  sysenterEip: 0x240,
  pat: 0x248,
  tscAux: 0x250,
  /** u64 added to the clock's ticks to give the TSC (WRMSR of IA32_TSC, IA32_TSC_ADJUST). */
  tscOffset: 0x258,
  tscAdjust: 0x260,
  miscEnable: 0x268,

  /** u32: current privilege level, 0..3. */
  cpl: 0x280,
  /** u32: what the code segment makes of the bytes: see CODE_MODE. */
  codeMode: 0x284,
  /** u32: added to the page in an execute-TLB tag, so that one page decoded in two modes does not mix. Equals codeMode. */
  codeTag: 0x288,
  /** u64: base of CS as seen by the fetch (0 in 64-bit mode). */
  codeBase: 0x290,
  /** u64: mask of the stack pointer: 0xffff, 0xffffffff or all ones. */
  stackMask: 0x298,
  /** u32 addresses of the read, write and execute TLB in force (privilege, AC and SMAP choose among three sets). */
  tlbRead: 0x2a0,
  tlbWrite: 0x2a4,
  tlbExec: 0x2a8,
  /** u32: see MMU_INDEX. */
  mmuIndex: 0x2ac,

  /** i32, any thread: not zero asks the generated code to return at the next block head. Bits: REQUEST. */
  request: 0x2b0,
  /** i32, any thread: a maskable interrupt waits to be taken (used when IF becomes 1). */
  interruptPending: 0x2b4,
  /** u32: interrupt shadow of STI, MOV SS, POP SS: see SHADOW. Over once RIP is not shadowRip any more. */
  shadow: 0x2b8,
  /** u32: 1 while one instruction at a time runs (TF, breakpoints, replay). */
  stepping: 0x2bc,
  /** u64: instructions retired. */
  retired: 0x2c0,

  /** The exception a failing instruction left behind: u32 vector, u32 error code, u64 address for CR2. */
  faultVector: 0x2d0,
  faultError: 0x2d4,
  faultAddress: 0x2d8,
  /** u32: address of the record that was executing when generated code returned. */
  record: 0x2e0,
  /** u64 in/out of the memory slow paths: linear address. */
  slowAddress: 0x2e8,
  /** u64: RIP of the one instruction that `shadow` covers. */
  shadowRip: 0x2f8,
  /** 64 bytes that semantics, helpers and computes pass operands in: see sem/scratch.ts. */
  scratch: 0x300,
  /** 64 bytes: where accesses that cannot go straight to RAM are gathered (page crossing, MMIO, pages holding code). */
  bounce: 0x340,

  /** u32 MXCSR, and the x87 unit. */
  mxcsr: 0x380,
  /** u16 each: control, status (with TOP), abridged tag byte (1 = valid), last opcode. As X87_LAYOUT has them. */
  fcw: 0x3e0,
  fsw: 0x3e2,
  ftw: 0x3e4,
  fop: 0x3e6,
  /** u64 instruction and data pointers, u16 selectors. */
  fip: 0x3e8,
  fdp: 0x3f0,
  fcs: 0x3f8,
  fds: 0x3fa,
  /** 8 × 16 bytes: ST(i) in *physical* order R0..R7, 10 bytes used; MMi is the low 8 bytes of Ri. */
  x87: 0x400,
  /** 16 × 16 bytes. */
  xmm: 0x480,
  /** 4 scratch vectors. */
  vectorScratch: 0x580,

  /** 4 × u64: the PDPTEs that PAE paging outside long mode keeps. */
  pdpte: 0x640,
  /** u32, not 0 when SSE (MMX) instructions must raise #UD or #NM (MMX: or #MF): see Cpu.updateMode. */
  sseBlocked: 0x660,
  mmxBlocked: 0x664,
  /** u64: mask of linear addresses: all ones in 64-bit mode, 0xffffffff elsewhere. */
  linearMask: 0x668,
  /** i32: instructions left in the budget when generated code returned. */
  left: 0x670,
  /** u32: not 0 when decoded code was dropped, or a TLB flushed, since a translated region began to run. */
  codeDropped: 0x674,
  /** u32: what second-level TLB entries of the current address space, and global ones, must hold to be good; see tlb.ts. */
  tlbKey: 0x678,
  tlbGlobalKey: 0x67c,
  /** u32: how many addresses `TLB.filledAt` holds, and how many `TLB.filledGlobalAt`. */
  tlbFilled: 0x680,
  tlbFilledGlobal: 0x688,
  /** i32: transfers out of translated regions until the next one that is looked at. */
  untilTransfer: 0x684,
  /** u64: instructions run in translated regions; and i32: `left` when the last of them was left. */
  inRegions: 0x690,
  regionLeft: 0x698,
  /** u32: straight runs of instructions in the trace at TRACE.at. */
  traced: 0x6b0,
  /** u32: whether a read of the time stamp counter has every instruction before it counted first: see TIME_GATE. */
  timeGate: 0x69c,
  /** u32, not 0 when an instruction with a VEX prefix must raise #UD whatever it does: real-address and virtual-8086 mode. */
  vexBlocked: 0x6a0,
  /** u32, not 0 when AVX instructions must raise #UD or #NM: see Cpu.updateMode. */
  avxBlocked: 0x6a4,
  /** u64: RIP of the head's page of the translated region that runs. */
  regionOrigin: 0x6a8,
  /** 16 × 16 bytes: bits 255:128 of the YMM registers. */
  ymmHigh: 0xc00,
} as const;

/**
 * Where guest time is made of the instructions that were retired, a read of it is left and begun again, so that they are all
 * counted. `open`: time does not depend on them. `shut`: leave first. `passing`: the next instruction may read, and shuts.
 */
export const TIME_GATE = { open: 0, shut: 1, passing: 2 } as const;

/** One segment register: selector u16 at 0, attributes u16 at 2 (descriptor bits 40..55), limit u32 at 4 (in bytes), base u64 at 8, u64 reserved. */
export const SEG = { selector: 0, attributes: 2, limit: 4, base: 8, sizeof: 24 } as const;
export const SEGMENT = { es: 0, cs: 1, ss: 2, ds: 3, fs: 4, gs: 5, ldtr: 6, tr: 7 } as const;

/** Descriptor attribute bits as kept in SEG.attributes. SDM vol. 3, 3.4.5. */
export const ATTR = {
  type: 0x0f,
  accessed: 0x01,
  /** Data: writable. Code: readable. */
  rw: 0x02,
  /** Data: expand-down. Code: conforming. */
  dc: 0x04,
  code: 0x08,
  /** Code or data, as opposed to system. */
  s: 0x10,
  dplShift: 5,
  present: 0x80,
  avl: 0x1000,
  long: 0x2000,
  db: 0x4000,
  g: 0x8000,
} as const;

export const CODE_MODE = { code16: 0, code32: 1, code64: 2 } as const;
/** Which set of TLBs: supervisor with SMAP in force, supervisor that may touch user pages, user. */
export const MMU_INDEX = { supervisor: 0, supervisorAc: 1, user: 2 } as const;
export const REQUEST = {
  /** Somebody kicked the vCPU. */
  kick: 1 << 0,
  /** Leave after one instruction. */
  step: 1 << 1,
  /** Interrupt state changed: look again. */
  interrupt: 1 << 2,
  /** Virtual time: the I/O side has done what the vCPU waits for. */
  settled: 1 << 3,
} as const;
export const SHADOW = { sti: 1, movSs: 2 } as const;

/**
 * Software TLBs: direct-mapped entries of 16 bytes: i64 tag (page | codeTag), u32 addend, u32 flags (1: global page, 2: its address
 * is in the list at `filledAt`, 4: in that at `filledGlobalAt`).
 */
export const TLB = {
  entries: 1024,
  entrySize: 16,
  bytes: 1024 * 16,
  /** Arrays that are filled; one that stays empty lies behind them. */
  arrays: 9,
  /** Offset of the first array from the vCPU base; array = 3 * mmuIndex + access (0 read, 1 write, 2 execute). */
  at: 0x4000,
  invalid: -1n,
  /** u32 addresses of the entries that a change of address space must drop, and of those that only a full flush drops. */
  filledAt: 0x3c000,
  filledGlobalAt: 0x3e000,
  /** Of each. */
  mostFilled: 2048,
} as const;

/**
 * Behind the nine arrays: one second-level TLB, of sets of two entries of 16 bytes: i64 tag (page | array), u32 key, u32 addend. It
 * keeps what conflicts or a change of address space took out of the arrays.
 */
export const SECOND_TLB = { at: 0x2c000, sets: 2048, setBytes: 32, bytes: 2048 * 32, tag: 0, key: 8, addend: 12 } as const;

/** Counters of a profile, u64 each; offset of the first from the vCPU base. They lie behind the lists of the TLBs. */
export const PROFILE_COUNTERS = { at: 0x40000, count: 1024 } as const;

/**
 * A trace: what ran, as straight runs of instructions, `most` at a time. Each is the u64 linear address that it begins at, the u32
 * address of the execute TLB in force, and the u32 number of its instructions.
 */
export const TRACE = { at: 0x42000, most: 64, linear: 0, tlbExec: 8, count: 12, sizeof: 16 } as const;

/** RFLAGS bits. SDM vol. 1, 3.4.3. */
export const FLAG = {
  cf: 1 << 0,
  pf: 1 << 2,
  af: 1 << 4,
  zf: 1 << 6,
  sf: 1 << 7,
  tf: 1 << 8,
  if: 1 << 9,
  df: 1 << 10,
  of: 1 << 11,
  iopl: 3 << 12,
  nt: 1 << 14,
  rf: 1 << 16,
  vm: 1 << 17,
  ac: 1 << 18,
  vif: 1 << 19,
  vip: 1 << 20,
  id: 1 << 21,
  arithmetic: 0x8d5,
} as const;
/** The flags that STATE.eflags holds. */
export const SYSTEM_FLAGS: number =
  FLAG.tf | FLAG.if | FLAG.df | FLAG.iopl | FLAG.nt | FLAG.rf | FLAG.vm | FLAG.ac | FLAG.vif | FLAG.vip | FLAG.id;
/** What SYSRET takes of R11: all but RF and VM. SDM vol. 2B, SYSRET. */
export const SYSRET_FLAGS = 0x3c7fd7;
export const CR0 = {
  pe: 1,
  mp: 2,
  em: 4,
  ts: 8,
  et: 16,
  ne: 32,
  wp: 1 << 16,
  am: 1 << 18,
  nw: 1 << 29,
  cd: 1 << 30,
  pg: 1 << 31,
} as const;
export const CR4 = {
  vme: 1,
  pvi: 2,
  tsd: 4,
  de: 8,
  pse: 16,
  pae: 32,
  mce: 64,
  pge: 128,
  pce: 256,
  osfxsr: 512,
  osxmmexcpt: 1024,
  umip: 2048,
  la57: 1 << 12,
  fsgsbase: 1 << 16,
  pcide: 1 << 17,
  osxsave: 1 << 18,
  smep: 1 << 20,
  smap: 1 << 21,
} as const;
export const EFER = { sce: 1, lme: 1 << 8, lma: 1 << 10, nxe: 1 << 11 } as const;

/** Bits of XCR0. SDM vol. 1, 13.1. */
export const STATE_COMPONENTS = { x87: 1, sse: 2, avx: 4 } as const;

/** Exception vectors. SDM vol. 3, table 6-1. */
export const VECTOR = {
  de: 0,
  db: 1,
  nmi: 2,
  bp: 3,
  of: 4,
  br: 5,
  ud: 6,
  nm: 7,
  df: 8,
  ts: 10,
  np: 11,
  ss: 12,
  gp: 13,
  pf: 14,
  mf: 16,
  ac: 17,
  mc: 18,
  xm: 19,
} as const;
/** Fault vectors that are no exceptions. */
export const PRIVATE_VECTOR = {
  /** The access must be completed by the machine and the instruction run again. */
  exit: 0xfffe,
  /** A non-canonical address: #SS(0) or #GP(0), as the instruction has it. */
  notCanonical: 0xfffd,
  /** The instructions before this one must be counted, and it is run again. */
  count: 0xfffc,
} as const;
/** Page-fault error code. SDM vol. 3, figure 4-12. */
export const PF = { present: 1, write: 2, user: 4, reserved: 8, fetch: 16 } as const;
