// The interrupt command register: how its bits become a message (SDM vol. 3A, 11.6.1, 11.12.9).
import { type ApicMessage, DELIVERY, type DeliveryMode, SHORTHAND, type Shorthand, widenDest } from './registers.ts';

const ICR_ASSERT = 1 << 14;
const ICR_LEVEL = 1 << 15;
/** Vector, delivery mode, destination mode, level, trigger mode, shorthand: everything but the delivery status. */
export const ICR_X2_BITS = 0x000c_cfff;

/**
 * Reads a command. `high` is the upper half of ICR: in xAPIC mode the destination is its top byte.
 * The trigger mode is not part of the message: it has no meaning but in an INIT de-assert.
 */
export function decodeIcr(low: number, high: number, x2apic: boolean): ApicMessage {
  return {
    shorthand: ((low >>> 18) & 3) as Shorthand,
    dest: x2apic ? high >>> 0 : widenDest(high >>> 24),
    logical: (low & (1 << 11)) !== 0,
    mode: ((low >>> 8) & 7) as DeliveryMode,
    vector: low & 0xff,
    level: false,
  };
}

/** Is it a combination that gets sent (SDM table 11-3)? An INIT level de-assert is none: it does nothing since the Pentium 4. */
export function icrSendable(low: number, message: ApicMessage): boolean {
  const { mode, shorthand } = message;
  if (mode === DELIVERY.reserved || mode === DELIVERY.extInt) return false;
  if (mode === DELIVERY.init && (low & ICR_LEVEL) !== 0 && (low & ICR_ASSERT) === 0) return false;
  // To oneself only fixed interrupts; everything may go to all the others.
  return mode === DELIVERY.fixed || (shorthand !== SHORTHAND.self && shorthand !== SHORTHAND.all);
}
