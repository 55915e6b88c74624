// INS and OUTS: with a REP prefix one element a call, or as many as the machine moves at once (Exit.most); RIP stays on the instruction
// while some are left. SDM vol. 2: INS, OUTS, REP.

import { BLOCK_BYTES, GPR } from '../../vcpu/contract.ts';
import type { Helper, HelperContext } from '../helper-context.ts';
import { SCRATCH } from '../sem/scratch.ts';
import { CODE_MODE, FLAG, SEGMENT, STATE } from '../state.ts';
import { checkIoPermission } from '../system/io-permission.ts';
import { segmentRoom } from '../system/segment-check.ts';

const MASK = { 2: 0xffffn, 4: 0xffff_ffffn, 8: 0xffff_ffff_ffff_ffffn } as const;

/** Writes the low `asize` bytes of a register; 32 bits zero-extend. */
function setCounter(x: HelperContext, register: number, value: bigint): void {
  x.writeRegisterAt(STATE.gpr + register * 8, x.asize, value);
}

/** The operand in memory of an iteration, whose first element has been checked. */
interface Place {
  readonly segment: number;
  readonly offset: bigint;
  readonly linear: bigint;
  readonly size: number;
  readonly write: boolean;
}

/** How many elements may be moved at once: none of them can fault once the first has not, and nothing is to be seen between them. */
function together(x: HelperContext, left: bigint, port: number, { linear, offset, segment, size, write }: Place): number {
  const { cpu } = x;
  if (left === 1n || port % size !== 0 || cpu.get32(STATE.eflags) & FLAG.df) return 1;
  // Under a trap flag or breakpoints each iteration is one step.
  if (cpu.get32(STATE.stepping) !== 0) return 1;
  let room = Math.min(4096 - Number(linear & 0xfffn), BLOCK_BYTES);
  if (x.asize === 2) room = Math.min(room, 0x1_0000 - Number(offset));
  if (cpu.get32(STATE.codeMode) !== CODE_MODE.code64) room = Math.min(room, segmentRoom(cpu, segment, Number(offset)));
  const most = Math.floor(room / size);
  const count = left < BigInt(most) ? Number(left) : most;
  return count > 1 && x.mem.isPlain(linear, count * size, write) ? count : 1;
}

/** Elements moved; 0 when the machine must act first. */
function move(x: HelperContext, port: number, { linear, size, write }: Place, count: number): number {
  const { cpu, io, mem } = x;
  if (count > 1) {
    const bytes = new Uint8Array(count * size);
    if (!write) mem.readBytes(linear, bytes);
    if (!io.elements(port, size, !write, bytes)) return 0;
    if (write) mem.writeBytes(linear, bytes);
    return count;
  }
  const { view } = cpu;
  if (write) {
    mem.probeWrite(linear, size, false);
    if (!io.port(port, size, false, view, STATE.vectorScratch)) return 0;
    mem.write(linear, size, BigInt(view.getUint32(STATE.vectorScratch, true)), false);
    return 1;
  }
  view.setUint32(STATE.vectorScratch, Number(mem.read(linear, size, false)), true);
  return io.port(port, size, true, view, STATE.vectorScratch) ? 1 : 0;
}

const stringIo =
  (input: boolean): Helper =>
  (x) => {
    const { cpu, asize } = x;
    const mask = MASK[asize];
    const repeated = x.handler.variant.rep !== 'none';
    const left = repeated ? cpu.gpr(GPR.rcx) & mask : 1n;
    const size = cpu.get32(SCRATCH.a);
    const port = cpu.gpr32(GPR.rdx) & 0xffff;
    // A count of zero does not spare the check.
    checkIoPermission(cpu, x.mem, port, size);
    if (left === 0n) return 'next';
    const register = input ? GPR.rdi : GPR.rsi;
    const offset = cpu.gpr(register) & mask;
    const segment = input ? SEGMENT.es : x.segment;
    const place: Place = { segment, offset, linear: x.linearIn(segment, offset, size, input), size, write: input };
    x.mem.checkAlignment(place.linear, size);
    const moved = move(x, port, place, x.io.answered || together(x, left, port, place));
    if (moved === 0) return 'blocked';
    x.io.clear();
    const bytes = BigInt(moved * size);
    setCounter(x, register, (offset + (cpu.get32(STATE.eflags) & FLAG.df ? -bytes : bytes)) & mask);
    if (!repeated) return 'next';
    setCounter(x, GPR.rcx, left - BigInt(moved));
    return left === BigInt(moved) ? 'next' : 'again';
  };

export const STRING_IO_HELPERS: Readonly<Record<string, Helper>> = { ins: stringIo(true), outs: stringIo(false) };
