// INS and OUTS: one element a call, or of a REP INS as many as the device has at hand; with a REP prefix RIP stays on the instruction while
// some are left.
// SDM vol. 2: INS, OUTS, REP.

import { GPR } from '../../vcpu/contract.ts';
import type { Helper, HelperContext } from '../helper-context.ts';
import { SCRATCH } from '../sem/scratch.ts';
import { ATTR, CODE_MODE, FLAG, SEGMENT, STATE } from '../state.ts';
import { checkIoPermission } from '../system/io-permission.ts';

const MASK = { 2: 0xffffn, 4: 0xffff_ffffn, 8: 0xffff_ffff_ffff_ffffn } as const;

/** DR7: some breakpoint is enabled. */
const BREAKPOINTS = 0xff;

/** Writes the low `asize` bytes of a register; 32 bits zero-extend. */
function setCounter(x: HelperContext, register: number, value: bigint): void {
  x.writeRegisterAt(STATE.gpr + register * 8, x.asize, value);
}

/** Reads a port several times, `size` bytes each, into `into`; gives the number of bytes, 0 where each element needs an exit. */
export type PortReader = (port: number, size: number, into: Uint8Array) => number;

/**
 * The next elements of a REP INS at once: what lies in one page of memory that the TLB knows, because an element went there before. Gives
 * how many, 0 for none.
 */
function inputMany(x: HelperContext, read: PortReader, port: number, size: number): number {
  const { cpu, asize } = x;
  // Each element is a trap of its own.
  if (cpu.get32(STATE.eflags) & (FLAG.df | FLAG.tf) || cpu.get32(STATE.dr + 7 * 8) & BREAKPOINTS || cpu.checksAlignment) return 0;
  const mask = MASK[asize];
  const offset = cpu.gpr(GPR.rdi) & mask;
  const long = cpu.get32(STATE.codeMode) === CODE_MODE.code64;
  // Of a segment that grows downwards the limit is where it begins.
  if (!long && (cpu.attributes(SEGMENT.es) & (ATTR.code | ATTR.dc)) === ATTR.dc) return 0;
  const end = long || mask < cpu.limit(SEGMENT.es) ? mask : BigInt(cpu.limit(SEGMENT.es));
  const room = Number(end - offset) + 1;
  const left = Number(cpu.gpr(GPR.rcx) & mask);
  const linear = x.linearIn(SEGMENT.es, offset, size, true);
  const bytes = Math.min(left * size, room, 4096 - Number(linear & 4095n));
  const into = bytes < 2 * size ? undefined : x.mem.knownForWriting(linear, bytes - (bytes % size));
  const count = into === undefined ? 0 : read(port, size, into) / size;
  if (count === 0) return 0;
  setCounter(x, GPR.rdi, (offset + BigInt(count * size)) & mask);
  setCounter(x, GPR.rcx, BigInt(left - count));
  return count;
}

const stringIo =
  (input: boolean, readPorts?: PortReader): Helper =>
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
    if (repeated && input && readPorts !== undefined && !x.io.active && inputMany(x, readPorts, port, size) > 0)
      return (cpu.gpr(GPR.rcx) & mask) === 0n ? 'next' : 'again';
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

export const stringIoHelpers = (readPorts?: PortReader): Readonly<Record<string, Helper>> => ({
  ins: stringIo(true, readPorts),
  outs: stringIo(false),
});
