// Delivery of exceptions and interrupts in every mode, with double and triple faults. SDM vol. 3, chapter 6.
import { type Cpu, GuestFault } from '../cpu.ts';
import { PRIVATE_VECTOR, SHADOW, STATE, VECTOR } from '../state.ts';
import type { BulkMemory } from './bulk-memory.ts';
import { deliverLong } from './deliver-long.ts';
import { deliverProtected } from './deliver-protected.ts';
import { deliverReal, deliverV86Software } from './deliver-real.ts';
import { type Event, isExternal } from './event.ts';
import { generalProtection } from './faults.ts';
import { SYSTEM_STATE } from './system-state.ts';

const CONTRIBUTORY: readonly number[] = [VECTOR.de, VECTOR.ts, VECTOR.np, VECTOR.ss, VECTOR.gp];
/** Error codes of these carry the EXT bit. */
const HAS_EXT: readonly number[] = [VECTOR.ts, VECTOR.np, VECTOR.ss, VECTOR.gp];

const LAST_VECTOR = 255;

type Class = 'benign' | 'contributory' | 'pageFault' | 'doubleFault';

/** SDM vol. 3, table 6-4. Only exceptions count; interrupts of any vector are benign. */
function classOf(event: Event): Class {
  if (event.kind !== 'exception') return 'benign';
  if (event.vector === VECTOR.df) return 'doubleFault';
  if (event.vector === VECTOR.pf) return 'pageFault';
  return CONTRIBUTORY.includes(event.vector) ? 'contributory' : 'benign';
}

/**
 * What follows when `second` is raised while `first` is being delivered: the second alone, a double fault, or
 * undefined for shutdown. SDM vol. 3, table 6-5.
 */
export function combine(first: Event, second: Event): Event | undefined {
  const a = classOf(first);
  const b = classOf(second);
  if (b === 'benign') return second;
  if (a === 'doubleFault') return undefined;
  const double = (a === 'contributory' && b === 'contributory') || a === 'pageFault';
  return double ? { vector: VECTOR.df, errorCode: 0, kind: 'exception' } : second;
}

/**
 * Takes an event to its handler: the frame is pushed, cpu.rip is the handler's first instruction, the shadow is over.
 * cpu.rip on entry is the RIP to push unless `event.next` says otherwise. For a #PF, STATE.faultAddress goes to CR2.
 * @returns 'shutdown' after a triple fault, or when a stack or table lies where there is no memory: registers are as they
 *   were before the last attempt.
 */
export function deliver(cpu: Cpu, mem: BulkMemory, event: Event): 'delivered' | 'shutdown' {
  let current: Event | undefined = event;
  while (current !== undefined) {
    recordCause(cpu, current);
    try {
      deliverOnce(cpu, mem, current);
      cpu.set32(STATE.shadow, cpu.get32(STATE.shadow) & ~(SHADOW.sti | SHADOW.movSs));
      return 'delivered';
    } catch (thrown) {
      if (!(thrown instanceof GuestFault)) throw thrown;
      // Stacks are checked before they are written: what is left are tables, whose faults are #GP.
      const fault = thrown.vector === PRIVATE_VECTOR.notCanonical ? generalProtection() : thrown;
      // No exception but an access that the machine would have to answer: a stack or table outside memory.
      if (fault.vector > LAST_VECTOR) return 'shutdown';
      const ext = isExternal(current) && HAS_EXT.includes(fault.vector) ? 1 : 0;
      const errorCode = fault.errorCode === undefined ? undefined : fault.errorCode | ext;
      const second: Event = { vector: fault.vector, errorCode, kind: 'exception' };
      // CR2 takes the newest address even when the two become a double fault.
      recordCause(cpu, second);
      current = combine(current, second);
    }
  }
  return 'shutdown';
}

const DR6 = STATE.dr + 6 * 8;
const DR7 = STATE.dr + 7 * 8;
const DR7_GD = 1 << 13;
const DR6_BREAKPOINTS = 0xf;
const DEBUG_CONTROL_BTF = 2n;

function recordCause(cpu: Cpu, event: Event): void {
  if (event.kind !== 'exception' && event.kind !== 'icebp') return;
  if (event.vector === VECTOR.pf) cpu.set64(STATE.cr2, cpu.get64(STATE.faultAddress));
  if (event.vector !== VECTOR.db) return;
  if (event.debugStatus !== undefined) {
    cpu.set64(DR6, BigInt(((cpu.get32(DR6) & ~DR6_BREAKPOINTS) | event.debugStatus) >>> 0));
  }
  cpu.set64(DR7, BigInt((cpu.get32(DR7) & ~DR7_GD) >>> 0));
  // 17.4.3: branches are stepped one at a time.
  cpu.set64(SYSTEM_STATE.debugControl, cpu.get64(SYSTEM_STATE.debugControl) & ~DEBUG_CONTROL_BTF);
}

function deliverOnce(cpu: Cpu, mem: BulkMemory, event: Event): void {
  if (!cpu.protectedMode) deliverReal(cpu, mem, event);
  else if (cpu.longMode) deliverLong(cpu, mem, event);
  else if (!(cpu.virtual8086 && event.kind === 'software' && deliverV86Software(cpu, mem, event)))
    deliverProtected(cpu, mem, event);
  if (event.kind === 'nmi') cpu.set32(SYSTEM_STATE.nmiBlocked, 1);
}
