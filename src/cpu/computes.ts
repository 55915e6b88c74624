// The quick functions that generated code calls over the state's scratch slots (see sem/scratch.ts).
import type { Cpu } from './cpu.ts';
import type { Mmu } from './mmu.ts';
import { SCRATCH } from './sem/scratch.ts';
import { fpOperation } from './sse-slow.ts';
import { pcmpxstrx } from './strings/pcmpxstrx.ts';
import { storeMachineStatus } from './system/control-registers.ts';
import { type CpuidPolicy, cpuid } from './system/cpuid.ts';
import { loadDataSegment } from './system/segmentation.ts';
import { accessRights, isReadableSegment, isWritableSegment, segmentLimit } from './system/selector-queries.ts';
import { loadLdt, loadTaskRegister, storeLdt, storeTaskRegister } from './system/table-registers.ts';

/** Answers not 0 after leaving a fault in the fault slots; may also throw GuestFault. */
export type Compute = (argument: number) => number;

const selector = (cpu: Cpu, at: number = SCRATCH.selector): number => cpu.get32(at) & 0xffff;

/** Fills it with random bits. */
export type RandomSource = (into: Uint32Array<ArrayBuffer>) => void;
const hostRandom: RandomSource = (into) => void globalThis.crypto.getRandomValues(into);

export function makeComputes(
  cpu: Cpu,
  mem: Mmu,
  policy: CpuidPolicy,
  fillRandom: RandomSource = hostRandom,
): Readonly<Record<string, Compute>> {
  const random = new Uint32Array(2);
  const query =
    (find: (selector: number) => number | undefined): Compute =>
    () => {
      const value = find(selector(cpu));
      cpu.set32(SCRATCH.a, value === undefined ? 0 : 1);
      cpu.set32(SCRATCH.b, value ?? 0);
      return 0;
    };
  const store =
    (value: () => number | bigint): Compute =>
    () => {
      cpu.set32(SCRATCH.a, Number(BigInt(value()) & 0xffff_ffffn));
      return 0;
    };
  return {
    fp: (operation) => fpOperation(cpu, operation),
    pcmpxstrx: (operands) => pcmpxstrx(cpu, operands),
    loadSegment: (which) => {
      loadDataSegment(cpu, mem, which, selector(cpu));
      cpu.updateMode();
      return 0;
    },
    lar: query((s) => accessRights(cpu, mem, s)),
    lsl: query((s) => segmentLimit(cpu, mem, s)),
    verr: query((s) => (isReadableSegment(cpu, mem, s) ? 1 : undefined)),
    verw: query((s) => (isWritableSegment(cpu, mem, s) ? 1 : undefined)),
    sldt: store(() => storeLdt(cpu)),
    str: store(() => storeTaskRegister(cpu)),
    smsw: store(() => storeMachineStatus(cpu)),
    lldt: () => {
      loadLdt(cpu, mem, selector(cpu));
      return 0;
    },
    ltr: () => {
      loadTaskRegister(cpu, mem, selector(cpu));
      return 0;
    },
    invlpg: () => {
      mem.invalidatePage(cpu.get64(SCRATCH.offset));
      return 0;
    },
    cpuid: () => {
      const words = cpuid(cpu, cpu.get32(SCRATCH.a), cpu.get32(SCRATCH.b), policy);
      for (let i = 0; i < 4; i++) cpu.set32(SCRATCH.a + i * 4, words[i] as number);
      return 0;
    },
    rdrand: () => {
      fillRandom(random);
      cpu.set32(SCRATCH.offset, random[0] as number);
      cpu.set32(SCRATCH.offset + 4, random[1] as number);
      return 0;
    },
    updateMode: () => {
      cpu.updateMode();
      return 0;
    },
  };
}
