// Which exception a non-canonical address is: #SS(0) for the stack, #GP(0) for all else. SDM vol. 1, 3.3.7.1; vol. 3, 6.15.

import { GPR } from '../vcpu/contract.ts';
import type { Cpu } from './cpu.ts';
import { REC } from './interpreter/record.ts';
import type { Handler } from './interpreter/variants.ts';
import { SEGMENT, STATE, VECTOR } from './state.ts';

/** Instructions of 64-bit mode whose generated code reaches the stack by itself. */
const STACK: ReadonlySet<string> = new Set(['push', 'pop', 'pushf', 'popf', 'call', 'ret', 'enter', 'leave']);
const WIDEST_SLOT = 8n;

/** The exception for an access of the instruction decoded at `record` to the address in STATE.slowAddress. */
export function notCanonicalVector(cpu: Cpu, record: number, handler: Handler): number {
  const memory = handler.variant.operands.some((operand) => operand.kind === 'mem');
  if (STACK.has(handler.mnemonic.split(' ')[0] as string) && (!memory || isTopOfStack(cpu))) return VECTOR.ss;
  // The decoder gives operands based on RSP or RBP to SS, and those with an FS or GS prefix to that.
  return memory && cpu.memory.u8[record + REC.segment] === SEGMENT.ss ? VECTOR.ss : VECTOR.gp;
}

/** PUSH, POP and CALL of a memory operand reach both: the slot beside RSP is theirs. */
function isTopOfStack(cpu: Cpu): boolean {
  const distance = BigInt.asIntN(64, cpu.get64(STATE.slowAddress) - cpu.gpr(GPR.rsp));
  return distance >= -WIDEST_SLOT && distance < WIDEST_SLOT;
}
