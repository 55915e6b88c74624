// INS and OUTS: one element a call; with a REP prefix RIP stays on the instruction while some are left.
// SDM vol. 2: INS, OUTS, REP.

import { GPR } from '../../vcpu/contract.ts';
import type { Helper, HelperContext } from '../helper-context.ts';
import { SCRATCH } from '../sem/scratch.ts';
import { FLAG, SEGMENT, STATE } from '../state.ts';
import { checkIoPermission } from '../system/io-permission.ts';

const MASK = { 2: 0xffffn, 4: 0xffff_ffffn, 8: 0xffff_ffff_ffff_ffffn } as const;

/** Writes the low `asize` bytes of a register; 32 bits zero-extend. */
function setCounter(x: HelperContext, register: number, value: bigint): void {
  x.writeRegisterAt(STATE.gpr + register * 8, x.asize, value);
}

const stringIo =
  (input: boolean): Helper =>
  (x) => {
    const { cpu, asize } = x;
    const mask = MASK[asize];
    const repeated = x.handler.variant.rep !== 'none';
    const left = cpu.gpr(GPR.rcx) & mask;
    const size = cpu.get32(SCRATCH.a);
    const port = cpu.gpr32(GPR.rdx) & 0xffff;
    // A count of zero does not spare the check.
    checkIoPermission(cpu, x.mem, port, size);
    if (repeated && left === 0n) return 'next';
    const register = input ? GPR.rdi : GPR.rsi;
    const offset = cpu.gpr(register) & mask;
    const linear = x.linearIn(input ? SEGMENT.es : x.segment, offset, size, input);
    if (input) {
      x.mem.probeWrite(linear, size, false);
      if (!x.io.port(port, size, false, cpu.view, STATE.vectorScratch)) return 'blocked';
      x.mem.write(linear, size, BigInt(cpu.view.getUint32(STATE.vectorScratch, true)), false);
    } else {
      cpu.view.setUint32(STATE.vectorScratch, Number(x.mem.read(linear, size, false)), true);
      if (!x.io.port(port, size, true, cpu.view, STATE.vectorScratch)) return 'blocked';
    }
    x.io.clear();
    const step = cpu.get32(STATE.eflags) & FLAG.df ? -BigInt(size) : BigInt(size);
    setCounter(x, register, (offset + step) & mask);
    if (!repeated) return 'next';
    setCounter(x, GPR.rcx, left - 1n);
    return left === 1n ? 'next' : 'again';
  };

export const STRING_IO_HELPERS: Readonly<Record<string, Helper>> = { ins: stringIo(true), outs: stringIo(false) };
