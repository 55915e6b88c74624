// Far transfers, interrupts by instruction, and the fast system calls.

import { EXIT } from '../../vcpu/contract.ts';
import type { Helper, HelperContext } from '../helper-context.ts';
import { FLAG, STATE, VECTOR } from '../state.ts';
import { deliver } from '../system/exceptions.ts';
import { farReturn } from '../system/far-return.ts';
import { farCall, farJump } from '../system/far-transfer.ts';
import { interruptReturn } from '../system/interrupt-return.ts';
import { syscall, sysenter, sysexit, sysret } from '../system/syscall.ts';

type Far = typeof farJump;

/** Immediate forms have offset and selector in the instruction, memory forms in the operand. */
const direct =
  (transfer: Far): Helper =>
  (x) => {
    transfer(x.cpu, x.mem, x.immediate2 & 0xffff, BigInt.asUintN(x.osize * 8, x.immediate), x.osize, x.next);
    return 'jump';
  };
const indirect =
  (transfer: Far): Helper =>
  (x) => {
    const offset = x.readMemory(x.osize);
    const selector = Number(x.readMemory(2, x.osize));
    transfer(x.cpu, x.mem, selector, offset, x.osize, x.next);
    return 'jump';
  };

/** INT n, INT3, INTO, INT1. deliver() sees to the faults on the way; what is left is a triple fault. */
function software(x: HelperContext, vector: number, kind: 'software' | 'softwareException' | 'icebp'): 'gate' | 'exit' {
  if (deliver(x.cpu, x.mem, { vector, kind, next: x.next }) === 'delivered') return 'gate';
  x.exit.reason = EXIT.shutdown;
  return 'exit';
}

export const TRANSFER_HELPERS: Readonly<Record<string, Helper>> = {
  farJump: direct(farJump),
  farCall: direct(farCall),
  farJumpIndirect: indirect(farJump),
  farCallIndirect: indirect(farCall),
  farReturn: (x) => {
    farReturn(x.cpu, x.mem, x.osize, 0);
    return 'jump';
  },
  farReturnRelease: (x) => {
    farReturn(x.cpu, x.mem, x.osize, Number(x.immediate & 0xffffn));
    return 'jump';
  },
  iret: (x) => {
    interruptReturn(x.cpu, x.mem, x.osize, x.next);
    return 'jump';
  },
  int: (x) => {
    // In virtual-8086 mode INT n needs IOPL 3 unless VME redirects it; deliver() knows.
    return software(x, Number(x.immediate & 0xffn), 'software');
  },
  int3: (x) => software(x, VECTOR.bp, 'softwareException'),
  into: (x) => software(x, VECTOR.of, 'softwareException'),
  int1: (x) => software(x, VECTOR.db, 'icebp'),
  syscall: (x) => {
    syscall(x.cpu, x.next);
    return x.cpu.get32(STATE.eflags) & FLAG.tf ? 'jump' : 'gate';
  },
  sysret: (x) => {
    sysret(x.cpu, x.osize);
    return 'jump';
  },
  sysenter: (x) => {
    sysenter(x.cpu);
    return 'jump';
  },
  sysexit: (x) => {
    sysexit(x.cpu, x.osize);
    return 'jump';
  },
  /** A repeated string instruction pauses between two iterations: RIP stays on it. */
  repeat: (x) => {
    x.io.clear();
    return 'again';
  },
};
