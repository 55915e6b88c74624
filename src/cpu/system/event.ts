// Interrupts and exceptions on their way to a handler.
import type { Cpu } from '../cpu.ts';
import { FLAG, STATE, VECTOR } from '../state.ts';

export interface Event {
  /** 0..255. */
  readonly vector: number;
  /** Pushed when given; only exceptions have one. */
  readonly errorCode?: number | undefined;
  /**
   * exception: a fault, trap or abort of the processor. software: INT n. softwareException: INT3, INTO. icebp: INT1.
   * interrupt: from the interrupt controller. nmi: vector 2.
   */
  readonly kind: 'exception' | 'software' | 'softwareException' | 'icebp' | 'interrupt' | 'nmi';
  /**
   * RIP to push when it is not cpu.rip: that of the next instruction, for the software kinds and icebp. A trap (#DB after an
   * instruction) comes with cpu.rip already moved on, so that a fault during its delivery returns there too.
   */
  readonly next?: bigint;
  /** Bits to set in DR6: given for every #DB of a breakpoint or single step. SDM vol. 3, 17.2.3. */
  readonly debugStatus?: number;
  /** The event arrived between two iterations of a repeated string instruction: the pushed RF is 1. */
  readonly amidRepeat?: boolean;
}

/** The error code's EXT bit is set by faults during the delivery of all but software interrupts. SDM vol. 3, 6.13. */
export const isExternal = (event: Event): boolean => event.kind !== 'software' && event.kind !== 'softwareException';

/** The gate's DPL restrains INT n, INT3 and INTO only. SDM vol. 3, 6.12.1.1. */
export const checksGateDpl = (event: Event): boolean => !isExternal(event);

const BD = 1 << 13;
const NOT_FAULTS: readonly number[] = [VECTOR.db, VECTOR.bp, VECTOR.of, VECTOR.df, VECTOR.mc];
/** Exceptions that leave RIP at the instruction, whatever raised them. SDM vol. 3, table 6-1; #DB may be one, too. */
export const isFault = (vector: number): boolean => !NOT_FAULTS.includes(vector);

/** The RFLAGS image to push: RF as SDM vol. 3, 17.3.1.1 has it. */
export function flagsImage(cpu: Cpu, event: Event): number {
  const flags = cpu.rflags;
  if (event.amidRepeat === true) return flags | FLAG.rf;
  if (event.kind === 'software' || event.kind === 'softwareException') return flags & ~FLAG.rf;
  if (event.kind !== 'exception') return flags;
  // General detect is the one fault-class #DB besides instruction breakpoints.
  const thrown = event.vector === VECTOR.db && event.debugStatus === undefined;
  const generalDetect = thrown && (cpu.get32(STATE.dr + 6 * 8) & BD) !== 0;
  return generalDetect || isFault(event.vector) ? flags | FLAG.rf : flags;
}

/** What entering a handler clears in protected and long mode. SDM vol. 3, 6.12.1.3. */
export const clearedByGate = (interruptGate: boolean): number =>
  FLAG.tf | FLAG.nt | FLAG.rf | FLAG.vm | (interruptGate ? FLAG.if : 0);
