// x87, FXSAVE and XSAVE, and what keeps SSE and MMX from running. SDM vol. 1, chapters 8 to 13; vol. 3, 2.5.
import { GuestFault } from '../cpu.ts';
import { OUTCOME, X87 } from '../fp/x87.ts';
import { x87Operand } from '../fp/x87-operand.ts';
import type { Helper, HelperContext } from '../helper-context.ts';
import { REC } from '../interpreter/record.ts';
import { CODE_MODE, CR0, FLAG, SEGMENT, STATE, VECTOR } from '../state.ts';
import { deviceNotAvailable, invalidOpcode } from '../system/faults.ts';
import { fxrstor, fxsave, xrstor, xsave } from '../system/xsave.ts';

const FSW_ES = 0x80;
const FCW_BYTES = 108;

/** #NM when x87 instructions are to be emulated or the context is another task's. */
function requireX87(x: HelperContext): void {
  if (x.cpu.cr0 & (CR0.em | CR0.ts)) throw deviceNotAvailable();
}

/** #MF, or with CR0.NE clear the external interrupt that a PC would make of FERR#: there is no such wire here. */
const mathFault = (): GuestFault => new GuestFault(VECTOR.mf);

/** Makes the x87 helper of one vCPU: the unit keeps scratch space, so it is made once. */
export function fpuHelpers(): Readonly<Record<string, Helper>> {
  let unit: X87 | undefined;
  const bytes = new Uint8Array(FCW_BYTES);

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
    if (operand.size > 0) {
      origin.dp = x.offset;
      origin.ds = cpu.selector(x.segment);
      if (operand.read) {
        x.readMemoryBytes(buffer);
        for (let i = 0; i < buffer.length; i++) memory.setUint8(i, buffer[i] as number);
      } else {
        // A store pops: it must be known to succeed.
        x.mem.probeWrite(x.linear(operand.size, true), operand.size, false);
      }
    }
    const outcome = unit.execute(opcode, modrm);
    if (outcome & OUTCOME.ud) throw invalidOpcode();
    if (outcome & OUTCOME.mf) throw mathFault();
    if (outcome & OUTCOME.store) {
      for (let i = 0; i < buffer.length; i++) buffer[i] = memory.getUint8(i);
      x.writeMemoryBytes(buffer);
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
  const address = (x: HelperContext, size: number, write: boolean): bigint =>
    x.cpu.get32(STATE.codeMode) === CODE_MODE.code64 ? x.linear(1, write) : x.linear(size, write);
  const image = (size: number, write: boolean, act: (x: HelperContext, at: bigint) => void): Helper => (x) => {
    act(x, address(x, size, write));
    return 'next';
  };
  return {
    x87,
    fwait,

    fxsave: image(512, true, (x, at) => fxsave(x.cpu, x.mem, at, wide(x))),
    fxrstor: image(512, false, (x, at) => fxrstor(x.cpu, x.mem, at, wide(x))),
    xsave: image(576, true, (x, at) => xsave(x.cpu, x.mem, at, mask(x), wide(x), false)),
    xsaveopt: image(576, true, (x, at) => xsave(x.cpu, x.mem, at, mask(x), wide(x), true)),
    xrstor: image(576, false, (x, at) => xrstor(x.cpu, x.mem, at, mask(x), wide(x))),
  };
}
