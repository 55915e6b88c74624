// Which local APIC registers exist, and which of their bits software may write. SDM vol. 3A, tables 11-1 and 11-6.
import { ICR_X2_BITS } from './icr.ts';
import { LVT_MASKED, REG } from './registers.ts';

const LVT_COMMON = 0xff | LVT_MASKED;
const LVT_DELIVERY = 0x700;
/** Polarity and trigger mode. */
const LVT_PIN = (1 << 13) | (1 << 15);
/** Delivery status, and remote IRR of a LINT pin: read-only, so a write may carry them. */
const LVT_STATUS = 1 << 12;
const LVT_REMOTE_IRR = 1 << 14;
/** Bits software may set, in order of the registers from LVT timer to LVT error (SDM figure 11-8). */
export const LVT_WRITABLE: readonly number[] = [
  LVT_COMMON | (3 << 17),
  LVT_COMMON | LVT_DELIVERY,
  LVT_COMMON | LVT_DELIVERY,
  LVT_COMMON | LVT_DELIVERY | LVT_PIN,
  LVT_COMMON | LVT_DELIVERY | LVT_PIN,
  LVT_COMMON,
];
/** Vector, software enable, focus checking. */
export const SVR_WRITABLE = 0x3ff;
/** Divide configuration bits 3, 1 and 0 (SDM figure 11-10). */
export const DIVIDE_WRITABLE = 0b1011;

/** Is there a register at this offset of the page? The others set ESR bit 7. */
export function isRegister(offset: number): boolean {
  if (offset >= REG.isr && offset < REG.irr + 0x80) return true;
  if (offset >= REG.icrLow && offset <= REG.timerCurrent) return true;
  return SINGLE_REGISTERS.has(offset);
}
const SINGLE_REGISTERS: ReadonlySet<number> = new Set([
  REG.id,
  REG.version,
  REG.tpr,
  REG.apr,
  REG.ppr,
  REG.eoi,
  REG.ldr,
  REG.dfr,
  REG.svr,
  REG.esr,
  REG.timerDivide,
]);

/** x2APIC MSRs that RDMSR may read (SDM table 11-6). */
export function x2Readable(offset: number): boolean {
  const absent = offset === REG.apr || offset === REG.eoi || offset === REG.dfr || offset === REG.icrHigh;
  return !absent && isRegister(offset);
}

/** What WRMSR may set of each x2APIC MSR (SDM table 11-6); another bit is #GP. */
export const X2_WRITABLE: ReadonlyMap<number, number> = new Map([
  [REG.tpr, 0xff],
  [REG.eoi, 0],
  [REG.svr, SVR_WRITABLE],
  [REG.esr, 0],
  [REG.icrLow, ICR_X2_BITS],
  [REG.timerInitial, -1],
  [REG.timerDivide, DIVIDE_WRITABLE],
  [REG.selfIpi, 0xff],
  ...LVT_WRITABLE.map((bits, i) => {
    const readOnly = (bits & LVT_PIN) === 0 ? LVT_STATUS : LVT_STATUS | LVT_REMOTE_IRR;
    return [REG.lvtTimer + i * 0x10, bits | readOnly] as const;
  }),
]);
