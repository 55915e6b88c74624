// Local APIC registers and their fields. SDM vol. 3A, table 11-1 (xAPIC offsets) and table 11-6 (x2APIC MSRs).

/** Offsets in the register page. The x2APIC MSR of a register is 0x800 + offset / 16. */
export const REG = {
  id: 0x020,
  version: 0x030,
  tpr: 0x080,
  apr: 0x090,
  ppr: 0x0a0,
  eoi: 0x0b0,
  ldr: 0x0d0,
  dfr: 0x0e0,
  svr: 0x0f0,
  /** Eight registers of 32 vectors each, 0x10 apart; so are TMR and IRR. */
  isr: 0x100,
  tmr: 0x180,
  irr: 0x200,
  esr: 0x280,
  icrLow: 0x300,
  icrHigh: 0x310,
  lvtTimer: 0x320,
  lvtThermal: 0x330,
  lvtPerf: 0x340,
  lvtLint0: 0x350,
  lvtLint1: 0x360,
  lvtError: 0x370,
  timerInitial: 0x380,
  timerCurrent: 0x390,
  timerDivide: 0x3e0,
  /** x2APIC only (SDM 11.12.11). */
  selfIpi: 0x3f0,
} as const;

export const APIC_MSR = { base: 0x1b, tscDeadline: 0x6e0, x2First: 0x800, x2Last: 0x8ff } as const;

/** IA32_APIC_BASE, low half (SDM 11.4.4, 11.12.1). */
export const BASE_BSP: number = 1 << 8;
export const BASE_X2APIC: number = 1 << 10;
export const BASE_ENABLE: number = 1 << 11;
export const BASE_RESET_GPA = 0xfee0_0000;

/** Bits 10:8 of ICR, of an LVT entry and of an I/O APIC's redirection entry (SDM 11.6.1). */
export const DELIVERY = {
  fixed: 0,
  lowestPriority: 1,
  smi: 2,
  reserved: 3,
  nmi: 4,
  init: 5,
  startup: 6,
  extInt: 7,
} as const;
export type DeliveryMode = (typeof DELIVERY)[keyof typeof DELIVERY];

/** ICR bits 19:18 (SDM 11.6.1). */
export const SHORTHAND = { none: 0, self: 1, all: 2, others: 3 } as const;
export type Shorthand = (typeof SHORTHAND)[keyof typeof SHORTHAND];

/** Error status register (SDM 11.5.3). */
export const ERROR = { sendIllegalVector: 1 << 5, receiveIllegalVector: 1 << 6, illegalRegister: 1 << 7 } as const;

export const SVR_ENABLE: number = 1 << 8;
export const LVT_MASKED: number = 1 << 16;
/** LVT timer bits 18:17 (SDM 11.5.4). */
export const TIMER_MODE = { oneShot: 0, periodic: 1, tscDeadline: 2 } as const;
export const timerModeOf = (lvt: number): number => (lvt >>> 17) & 3;

/** Version 0x14 with six LVT entries, as Xen's: no CMCI, no EOI-broadcast suppression. */
export const APIC_VERSION = 0x0005_0014;
/** Vectors below this one are reserved for exceptions (SDM 11.5.2). */
export const FIRST_LEGAL_VECTOR = 16;
/** `dest` of a message to every APIC: 0xff in xAPIC mode and in an I/O APIC, all ones in x2APIC mode (SDM 11.6.2). */
export const BROADCAST = 0xffff_ffff;

/** Widens an 8-bit destination, so that 0xff means the same everywhere. */
export const widenDest = (dest8: number): number => (dest8 === 0xff ? BROADCAST : dest8);

/** An interrupt message between APICs. */
export interface ApicMessage {
  readonly shorthand: Shorthand;
  /** APIC id or logical address; `BROADCAST` for all. Ignored with a shorthand. */
  readonly dest: number;
  readonly logical: boolean;
  readonly mode: DeliveryMode;
  readonly vector: number;
  /** Level-triggered: the receiver sets its TMR bit and broadcasts the EOI. */
  readonly level: boolean;
}
