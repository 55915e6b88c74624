// Control, debug and model-specific registers, descriptor tables, ports, HLT, hypercalls.
import { EXIT } from '../../vcpu/contract.ts';
import type { Helper, HelperContext } from '../helper-context.ts';
import { SCRATCH } from '../sem/scratch.ts';
import { CODE_MODE, SEGMENT, SHADOW, STATE } from '../state.ts';
import {
  loadMachineStatus,
  readControl,
  readExtendedControl,
  writeControl,
  writeExtendedControl,
} from '../system/control-registers.ts';
import { readDebug, writeDebug } from '../system/debug-registers.ts';
import { generalProtection, invalidOpcode } from '../system/faults.ts';
import { checkIoPermission } from '../system/io-permission.ts';
import { MSR, passTimeGate, readMsr, type TickSource, writeMsr } from '../system/msr.ts';
import { requireCpl0 } from '../system/privilege.ts';
import { loadDataSegment } from '../system/segmentation.ts';
import { loadTable, storeTable } from '../system/table-registers.ts';

/** CR8 is the local APIC's task priority. */
export interface TaskPriority {
  read(): number;
  write(value: number): void;
}

const long = (x: HelperContext): boolean => x.cpu.get32(STATE.codeMode) === CODE_MODE.code64;

/** MOV to and from CRn and DRn move whole registers: 64 bits in 64-bit mode, 32 elsewhere. */
const wideRegister = (x: HelperContext, n: number): bigint => {
  const value = x.cpu.view.getBigUint64(x.registerField(n), true);
  return long(x) ? value : value & 0xffff_ffffn;
};
const setWideRegister = (x: HelperContext, n: number, value: bigint): void =>
  x.writeRegisterAt(x.registerField(n), long(x) ? 8 : 4, value);

const movFromControl: (cr8: TaskPriority) => Helper = (cr8) => (x) => {
  const register = x.registerField(1);
  if (register === 8) {
    requireCpl0(x.cpu);
    setWideRegister(x, 0, BigInt(cr8.read()));
  } else setWideRegister(x, 0, readControl(x.cpu, register));
};
const movToControl: (cr8: TaskPriority) => Helper = (cr8) => (x) => {
  const register = x.registerField(0);
  const value = wideRegister(x, 1);
  if (register === 8) {
    requireCpl0(x.cpu);
    if (value > 15n) throw generalProtection();
    cr8.write(Number(value));
  } else writeControl(x.cpu, x.mem, register, value);
  x.cpu.updateMode();
  return 'poll';
};

const table =
  (which: 'gdtr' | 'idtr', store: boolean): Helper =>
  (x) => {
    const { cpu } = x;
    const size = long(x) ? 8 : 4;
    if (store) {
      const { limit, base } = storeTable(cpu, which);
      x.mem.probeWrite(x.linear(2 + size, true), 2 + size, false);
      x.writeMemory(2, BigInt(limit));
      x.writeMemory(size, base, 2);
      return;
    }
    requireCpl0(cpu);
    const limit = Number(x.readMemory(2));
    const base = x.readMemory(size, 2);
    loadTable(cpu, which, limit, base, x.osize);
  };

const segment: Helper = (x) => {
  const which = x.registerField(0);
  if (which === SEGMENT.cs || which > SEGMENT.gs) throw invalidOpcode();
  const { cpu } = x;
  loadDataSegment(cpu, x.mem, which, cpu.get32(SCRATCH.selector) & 0xffff);
  cpu.updateMode();
  if (which === SEGMENT.ss) {
    cpu.set32(STATE.shadow, SHADOW.movSs);
    cpu.set64(STATE.shadowRip, x.next);
  }
  return 'poll';
};

/** The exit carries the access; it is complete when the machine's answer is there. */
const input: Helper = (x) => {
  const { cpu } = x;
  const size = x.operand(0).size;
  const port = Number(x.read(1) & 0xffffn) & (x.operand(1).size === 1 ? 0xff : 0xffff);
  checkIoPermission(cpu, x.mem, port, size);
  if (!x.io.port(port, size, false, cpu.view, STATE.bounce)) return 'blocked';
  x.write(
    0,
    BigInt(
      size === 1
        ? cpu.view.getUint8(STATE.bounce)
        : size === 2
          ? cpu.view.getUint16(STATE.bounce, true)
          : cpu.view.getUint32(STATE.bounce, true),
    ),
  );
  return 'next';
};
const output: Helper = (x) => {
  const { cpu } = x;
  const size = x.operand(1).size;
  const port = Number(x.read(0) & 0xffffn) & (x.operand(0).size === 1 ? 0xff : 0xffff);
  checkIoPermission(cpu, x.mem, port, size);
  cpu.view.setUint32(STATE.bounce, Number(x.read(1) & 0xffff_ffffn), true);
  return x.io.port(port, size, true, cpu.view, STATE.bounce) ? 'next' : 'blocked';
};

export function systemHelpers(ticks: TickSource, cr8: TaskPriority): Readonly<Record<string, Helper>> {
  const rdmsr: Helper = (x) => {
    const { cpu, exit } = x;
    requireCpl0(cpu);
    const msr = cpu.gpr32(1);
    if (msr === MSR.tsc && !passTimeGate(cpu)) return 'recount';
    const value = readMsr(cpu, msr, ticks);
    if (value === 'gp') throw generalProtection();
    if (value === 'external') {
      exit.reason = EXIT.msr;
      exit.msr = msr;
      exit.write = false;
      return 'await';
    }
    cpu.setGpr(0, value & 0xffff_ffffn);
    cpu.setGpr(2, value >> 32n);
    return 'next';
  };
  const wrmsr: Helper = (x) => {
    const { cpu, exit } = x;
    requireCpl0(cpu);
    const msr = cpu.gpr32(1);
    const low = cpu.gpr32(0);
    const high = cpu.gpr32(2);
    if (msr === MSR.tsc && !passTimeGate(cpu)) return 'recount';
    const answer = writeMsr(cpu, x.mem, msr, (BigInt(high) << 32n) | BigInt(low), ticks);
    if (answer === 'gp') throw generalProtection();
    if (answer === 'external') {
      exit.reason = EXIT.msr;
      exit.msr = msr;
      exit.write = true;
      exit.dataLow = low;
      exit.dataHigh = high;
      return 'await';
    }
    cpu.updateMode();
    return 'poll';
  };
  return {
    movFromControl: movFromControl(cr8),
    movToControl: movToControl(cr8),
    movFromDebug: (x) => setWideRegister(x, 0, readDebug(x.cpu, x.registerField(1))),
    movToDebug: (x) => {
      writeDebug(x.cpu, x.registerField(0), wideRegister(x, 1));
      return 'poll';
    },
    lmsw: (x) => {
      loadMachineStatus(x.cpu, x.mem, Number(x.read(0)));
      x.cpu.updateMode();
      return 'poll';
    },
    countFirst: () => 'recount',
    rdmsr,
    wrmsr,
    xgetbv: (x) => {
      const value = readExtendedControl(x.cpu, x.cpu.gpr32(1));
      x.cpu.setGpr(0, value & 0xffff_ffffn);
      x.cpu.setGpr(2, value >> 32n);
    },
    xsetbv: (x) => {
      writeExtendedControl(x.cpu, x.cpu.gpr32(1), (BigInt(x.cpu.gpr32(2)) << 32n) | BigInt(x.cpu.gpr32(0)));
      return 'poll';
    },
    lgdt: table('gdtr', false),
    lidt: table('idtr', false),
    sgdt: table('gdtr', true),
    sidt: table('idtr', true),
    movSegment: segment,
    in: input,
    out: output,
    hlt: (x) => {
      requireCpl0(x.cpu);
      x.cpu.rip = x.next;
      x.exit.reason = EXIT.hlt;
      return 'exit';
    },
    hypercall: (x) => {
      x.exit.reason = EXIT.hypercall;
      return 'await';
    },
  };
}
