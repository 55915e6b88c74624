// Where the HPET is, and what it calls itself: for the chip and for the tables that name it.
import type { IoRange } from '../io-bus.ts';

export const HPET_MMIO: IoRange = { at: 0xfed0_0000, size: 1024 };
/** Low word of the capabilities: Intel, legacy routing, a 64-bit counter, three timers, revision 1; as on Xen. */
export const HPET_VENDOR = 0x8086_a201;
