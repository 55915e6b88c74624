// x87, FXSAVE and XSAVE, and what keeps SSE and MMX from running. SDM vol. 1, chapters 8 to 13; vol. 3, 2.5.
import { GuestFault } from '../cpu.ts';
import { isNonWaiting, OUTCOME, X87 } from '../fp/x87.ts';
import { x87Operand } from '../fp/x87-operand.ts';
import type { Helper, HelperContext } from '../helper-context.ts';
import { REC } from '../interpreter/record.ts';
import { CODE_MODE, CR0, FLAG, SEGMENT, STATE, VECTOR } from '../state.ts';
import { deviceNotAvailable, invalidOpcode } from '../system/faults.ts';
import { isCanonical } from '../system/system-state.ts';
import { fxrstor, fxsave, xrstor, xsave, xsaveAreaBytes } from '../system/xsave.ts';

const FSW_ES = 0x80;
const FCW_BYTES = 108;
const EXTENDED_BYTES = 10;
const FXSAVE_BYTES = 512;
/** The x87 unit's part of the state, from FCW on. */
const X87_BYTES = STATE.x87 + 8 * 16 - STATE.fcw;

/** #NM when x87 instructions are to be emulated or the context is another task's. */
function requireX87(x: HelperContext): void {
  if (x.cpu.cr0 & (CR0.em | CR0.ts)) throw deviceNotAvailable();
}

/** #MF, or with CR0.NE clear the external interrupt that a PC would make of FERR#: there is no such wire here. */
const mathFault = (): GuestFault => new GuestFault(VECTOR.mf);

/**
 * What may be wrong with the operand of an x87 instruction, in the order in which processors find it: the first piece, then
 * the last byte. It decides which exception there is, and which address a page fault reports.
 */
function checkOperand(x: HelperContext, size: number, write: boolean): void {
  // Alignment: SDM vol. 3, table 6-7.
  const first = size > EXTENDED_BYTES ? (x.osize === 2 ? 2 : 4) : size === EXTENDED_BYTES ? 8 : size;
  const linear = x.linear(first, write);
  if (!isCanonical(linear + BigInt(first - 1))) throw new GuestFault(x.segment === SEGMENT.ss ? VECTOR.ss : VECTOR.gp, 0);
  x.mem.checkAlignment(linear, first);
  if (first === size && !write) return;
  probe(x, 0, first, write);
  if (size === EXTENDED_BYTES) probe(x, first, size - first, write);
  else probe(x, size - 1, 1, write);
}

/** Ten bytes are two stores: when the second one faults, the first has been done. */
function writeExtended(x: HelperContext, bytes: Uint8Array): void {
  x.mem.checkAlignment(x.linear(8, true), 8);
  for (const [at, end] of [
    [0, 8],
    [8, EXTENDED_BYTES],
  ] as const) {
    probe(x, at, end - at, true);
    x.mem.writeBytes(x.linear(end - at, true, at), bytes.subarray(at, end));
  }
}

function probe(x: HelperContext, at: number, size: number, write: boolean): void {
  const linear = x.linear(size, write, at);
  if (write) x.mem.probeWrite(linear, size, false);
  else x.mem.probeRead(linear, size, false);
}

/** Makes the x87 helper of one vCPU: the unit keeps scratch space, so it is made once. */
export function fpuHelpers(): Readonly<Record<string, Helper>> {
  let unit: X87 | undefined;
  const bytes = new Uint8Array(FCW_BYTES);
  const saved = new Uint8Array(X87_BYTES);

  const x87: Helper = (x) => {
    requireX87(x);
    const { cpu } = x;
    unit ??= new X87(cpu.view, STATE.fcw);
    const word = cpu.memory.view.getUint16(x.record + REC.reg2, true);
    const opcode = word >> 8;
    const modrm = word & 0xff;
    const operand = x87Operand(opcode, modrm, x.osize === 2);
    if (!operand.valid) throw invalidOpcode();
    const { origin, mode, memory } = unit;
    mode.operandSize16 = x.osize === 2;
    mode.realMode = !cpu.protectedMode || cpu.virtual8086;
    origin.ip = cpu.rip;
    origin.cs = cpu.selector(SEGMENT.cs);
    const buffer = bytes.subarray(0, operand.size);
    // An exception that waits comes before everything this instruction does.
    if ((cpu.u16[STATE.fsw >> 1] as number) & FSW_ES && !isNonWaiting(opcode, modrm)) throw mathFault();
    if (operand.size > 0) {
      origin.dp = x.offset;
      origin.ds = cpu.selector(x.segment);
      if (operand.read) {
        checkOperand(x, operand.size, false);
        x.readMemoryBytes(buffer);
        for (let i = 0; i < buffer.length; i++) memory.setUint8(i, buffer[i] as number);
      }
    }
    // A store that an unmasked exception prevents does not touch memory; one that faults must leave no trace.
    if (operand.write) saved.set(cpu.u8.subarray(STATE.fcw, STATE.fcw + X87_BYTES));
    // FCMOV looks at the flags.
    if (modrm >= 0xc0 && (opcode === 0xda || opcode === 0xdb)) unit.eflags = cpu.rflags;
    const outcome = unit.execute(opcode, modrm);
    if (outcome & OUTCOME.ud) throw invalidOpcode();
    if (outcome & OUTCOME.mf) throw mathFault();
    if (outcome & OUTCOME.store) {
      for (let i = 0; i < buffer.length; i++) buffer[i] = memory.getUint8(i);
      try {
        if (operand.size === EXTENDED_BYTES) writeExtended(x, buffer);
        else {
          checkOperand(x, operand.size, true);
          x.writeMemoryBytes(buffer);
        }
      } catch (fault) {
        cpu.u8.set(saved, STATE.fcw);
        throw fault;
      }
    }
    if (outcome & OUTCOME.ax) cpu.u16[0] = unit.ax;
    if (outcome & OUTCOME.eflags) cpu.rflags = (cpu.rflags & ~FLAG.arithmetic) | unit.eflags;
    return 'next';
  };

  const fwait: Helper = (x) => {
    // WAIT heeds TS only together with MP: SDM vol. 3, table 9-3.
    const { cr0 } = x.cpu;
    if (cr0 & CR0.mp && cr0 & CR0.ts) throw deviceNotAvailable();
    if ((x.cpu.u16[STATE.fsw >> 1] as number) & FSW_ES) throw mathFault();
    return 'next';
  };

  const wide = (x: HelperContext): boolean => x.osize === 8;
  const mask = (x: HelperContext): bigint => (BigInt(x.cpu.gpr32(2)) << 32n) | BigInt(x.cpu.gpr32(0));
  const address = (x: HelperContext, size: number, write: boolean): bigint => {
    if (x.cpu.get32(STATE.codeMode) === CODE_MODE.code64) {
      const at = x.linear(1, write);
      if (!isCanonical(at)) throw new GuestFault(x.segment === SEGMENT.ss ? VECTOR.ss : VECTOR.gp, 0);
      return at;
    }
    // The order of processors: the limit at the first four bytes, #AC, whether the segment is writable, #GP for other
    // misalignment, the limit at the last byte.
    x.mem.checkAlignment(x.linear(4, false), 4);
    const linear = x.linear(4, write);
    if ((linear & 15n) !== 0n) throw new GuestFault(VECTOR.gp, 0);
    try {
      return x.linear(size, write);
    } catch (beyond) {
      probe(x, 0, 1, write);
      throw beyond;
    }
  };
  const areaBytes = (x: HelperContext): number => xsaveAreaBytes(Number(mask(x) & x.cpu.get64(STATE.xcr0)));
  const image =
    (bytes: number | ((x: HelperContext) => number), write: boolean, act: (x: HelperContext, at: bigint) => void): Helper =>
    (x) => {
      const size = typeof bytes === 'number' ? bytes : bytes(x);
      const at = address(x, size, write);
      if (size === FXSAVE_BYTES) {
        x.mem.checkAlignment(at, 4);
        // Processors try the last byte first: it decides which address a page fault reports.
        if ((at & 15n) === 0n) probe(x, size - 1, 1, write);
      }
      act(x, at);
      return 'next';
    };
  return {
    x87,
    fwait,

    fxsave: image(FXSAVE_BYTES, true, (x, at) => fxsave(x.cpu, x.mem, at, wide(x))),
    fxrstor: image(FXSAVE_BYTES, false, (x, at) => fxrstor(x.cpu, x.mem, at, wide(x))),
    xsave: image(areaBytes, true, (x, at) => xsave(x.cpu, x.mem, at, mask(x), wide(x), false)),
    xsaveopt: image(areaBytes, true, (x, at) => xsave(x.cpu, x.mem, at, mask(x), wide(x), true)),
    xrstor: image(areaBytes, false, (x, at) => xrstor(x.cpu, x.mem, at, mask(x), wide(x))),
  };
}
