// Where everything of a probe guest lies, and its mailbox. Addresses are physical, and linear: RAM is mapped where it is.

const PAGE = 0x1000;

export const AT = {
  code: 0x10_0000,
  gdt: 0x11_0000,
  idt: 0x11_1000,
  tss: 0x11_2000,
  pml4: 0x11_4000,
  pdpt: 0x11_5000,
  /** Four page directories: 4 GiB in large pages. */
  pd: 0x11_6000,
  /** The page table of the window. */
  pt: 0x11_a000,
  /** Code that runs at CPL 3, mapped at WINDOW.userCode. */
  userCode: 0x11_b000,
  /** One page for each vCPU. */
  mailbox: 0x12_0000,
  /** Two pages for each vCPU; the second is the one that traps from CPL 3 use. */
  stacks: 0x13_0000,
  end: 0x14_0000,
  /** The start info follows the image; from here on memory is free. */
  heap: 0x20_0000,
  heapEnd: 0x100_0000,
} as const;
export const VCPUS = 8;
export const RAM_BYTES: number = AT.heapEnd;

/** 2 MiB of linear addresses above RAM, mapped page by page: what the tests map, and the pages of CPL 3. */
export const WINDOW = {
  at: 0x8000_0000,
  pages: 512,
  userCode: 0x8000_0000,
  userStack: 0x8000_1000,
  /** Pages from here on are given out by `Probe.map`. */
  free: 16,
} as const;

/** Selectors. The TSS of vCPU n is at `tss + 16 * n`, so that a vCPU finds its mailbox from its task register. */
export const SELECTOR = { code: 0x08, compatCode: 0x10, stack: 0x18, userCode: 0x23, data: 0x2b, tss: 0x80 } as const;
/** INT 81: back from CPL 3. */
export const USER_RETURN = 0x81;
export const LAPIC = { base: 0xfee0_0000, svr: 0xf0, eoi: 0xb0, spurious: 0xff } as const;

/** A vCPU's mailbox. Registers take 8 bytes in both widths. */
export const MAILBOX = {
  /** u32: one more than `done` asks for a command. */
  request: 0x00,
  done: 0x04,
  /** u32: an OP. */
  op: 0x08,
  /** u32: 1 once the vCPU serves commands. */
  ready: 0x0c,
  /** u32: vector + 1 of the exception that the command raised, its error code, CR2, and where. */
  fault: 0x10,
  faultError: 0x18,
  faultAddress: 0x20,
  faultRip: 0x28,
  savedStack: 0x30,
  /** Linear address of the vcpu_info that interrupt handlers clear, 0 to leave it alone. */
  vcpuInfo: 0x38,
  /** Every selector bit that a handler took from it. */
  selectorSeen: 0x40,
  /** u32: interrupts are on between commands. */
  interrupts: 0x48,
  startInfo: 0x4c,
  /** RCX of a 64-bit hypercall: not Xen's, but Microsoft's have an argument there. */
  rcx: 0x50,
  /** RAX and arguments 1 to 6 of a hypercall, and a target; other commands take what they need from the front. */
  in: 0x80,
  target: 0xb8,
  /** The same registers afterwards. */
  out: 0xc0,
  /** u32 for each vector. */
  counters: 0x400,
  size: PAGE,
} as const;

export const OP = {
  nop: 0,
  call: 1,
  callByPage: 2,
  callFromUser: 3,
  callFromCompat: 4,
  cpuid: 5,
  rdmsr: 6,
  wrmsr: 7,
  out8: 8,
  load: 9,
  store: 10,
  load32: 11,
  store32: 12,
  tsc: 13,
  flush: 14,
  enable: 15,
  disable: 16,
  halt: 17,
} as const;
export type ProbeOp = (typeof OP)[keyof typeof OP];
