// A parked vCPU's registers, read from its shared state.
import { Cpu } from '../cpu/cpu.ts';
import { SEGMENT, STATE } from '../cpu/state.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import { GPR } from '../vcpu/contract.ts';
import type { VcpuRegions } from './machine-plan.ts';

export interface SegmentRegister {
  readonly selector: number;
  readonly base: bigint;
  /** In bytes. */
  readonly limit: number;
  /** Bits 40..55 of the descriptor. */
  readonly attributes: number;
}

export interface VcpuRegisters {
  readonly vcpu: number;
  /** rax…r15, rip, rflags. */
  readonly registers: Readonly<Record<string, bigint>>;
  /** es, cs, ss, ds, fs, gs, ldtr, tr. */
  readonly segments: Readonly<Record<string, SegmentRegister>>;
  /** cr0, cr2, cr3, cr4, efer, and the bases of GS (for SWAPGS), GDT and IDT. */
  readonly control: Readonly<Record<string, bigint>>;
  /** All of it as lines for a person. */
  readonly text: string;
}

const CONTROL_SLOTS = {
  cr0: STATE.cr0,
  cr2: STATE.cr2,
  cr3: STATE.cr3,
  cr4: STATE.cr4,
  efer: STATE.efer,
  kernel_gs_base: STATE.kernelGsBase,
  gdtr: STATE.gdtr,
  idtr: STATE.idtr,
} as const;

/** The vCPU must be out of the guest, or what is read is of several moments. */
export function readRegisters(memory: GuestMemory, regions: VcpuRegions, vcpu: number): VcpuRegisters {
  const cpu = new Cpu(memory, regions.cpu.at);
  const registers = {
    ...Object.fromEntries(Object.entries(GPR).map(([name, index]) => [name, cpu.gpr(index)])),
    rip: cpu.rip,
    rflags: BigInt(cpu.rflags >>> 0),
  };
  const segments = Object.fromEntries(
    Object.entries(SEGMENT).map(([name, which]) => [
      name,
      { selector: cpu.selector(which), base: cpu.segBase(which), limit: cpu.limit(which), attributes: cpu.attributes(which) },
    ]),
  );
  const control = Object.fromEntries(Object.entries(CONTROL_SLOTS).map(([name, at]) => [name, cpu.get64(at)]));
  return { vcpu, registers, segments, control, text: asText(registers, segments, control) };
}

const hex = (value: bigint | number, digits: number): string => value.toString(16).padStart(digits, '0');

function asText(
  registers: VcpuRegisters['registers'],
  segments: VcpuRegisters['segments'],
  control: VcpuRegisters['control'],
): string {
  const cells = (values: Readonly<Record<string, bigint>>): string[] =>
    Object.entries(values).map(([name, value]) => `${name.padStart(6)} ${hex(value, 16)}`);
  const rows = (items: readonly string[], width: number): string[] =>
    Array.from({ length: Math.ceil(items.length / width) }, (_, row) => items.slice(row * width, (row + 1) * width).join(' '));
  return [
    ...rows(cells(registers), 3),
    ...Object.entries(segments).map(
      ([name, { selector, base, limit, attributes }]) =>
        `${name.padStart(6)} ${hex(selector, 4)} base ${hex(base, 16)} limit ${hex(limit, 8)} attributes ${hex(attributes, 4)}`,
    ),
    ...rows(
      Object.entries(control).map(([name, value]) => `${name.padStart(14)} ${hex(value, 16)}`),
      2,
    ),
  ].join('\n');
}
