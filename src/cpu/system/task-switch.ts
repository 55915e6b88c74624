// Hardware task switching. SDM vol. 3, 7.3.
import { type Cpu, GuestFault, type LinearMemory } from '../cpu.ts';
import { ATTR, CR0, CR4, FLAG, SEGMENT, STATE, VECTOR } from '../state.ts';
import {
  type Descriptor,
  isNull,
  markAccessed,
  markBusy,
  readDescriptor,
  SYSTEM_TYPE,
  setFromDescriptor,
  setNull,
} from './descriptors.ts';
import { generalProtection, invalidTss, notPresent, stackFault } from './faults.ts';
import { loadPdptes } from './pdpte.ts';
import { loadParagraph } from './segmentation.ts';
import { linear, tableBase } from './system-state.ts';

/** How the switch came about: JMP; CALL; a task gate taken by an interrupt or exception; IRET with NT set. */
export type TaskSwitchCause = 'jump' | 'call' | 'gate' | 'iret';

/** Where a TSS keeps things. SDM vol. 3, figures 7-2 and 7-10. Registers and selectors lie in encoding order. */
interface TssLayout {
  readonly limit: number;
  readonly size: number;
  readonly ip: number;
  readonly flags: number;
  readonly registers: number;
  readonly selectors: number;
  readonly selectorStep: number;
  readonly selectorCount: number;
  readonly ldt: number;
}
const TSS16: TssLayout = {
  limit: 0x2b,
  size: 2,
  ip: 14,
  flags: 16,
  registers: 18,
  selectors: 34,
  selectorStep: 2,
  selectorCount: 4,
  ldt: 42,
};
const TSS32: TssLayout = {
  limit: 0x67,
  size: 4,
  ip: 32,
  flags: 36,
  registers: 40,
  selectors: 72,
  selectorStep: 4,
  selectorCount: 6,
  ldt: 96,
};
const TSS32_CR3 = 28n;
const TSS32_TRAP = 100n;

const isBusyType = (type: number): boolean => type === SYSTEM_TYPE.tss16Busy || type === SYSTEM_TYPE.tssBusy;
const isAvailableType = (type: number): boolean => type === SYSTEM_TYPE.tss16 || type === SYSTEM_TYPE.tss;

/** The TSS a task gate leads to. @throws GuestFault #GP(TSS) when it is no available TSS in the GDT, #NP(TSS); #PF. */
export function readTaskGateTarget(cpu: Cpu, mem: LinearMemory, selector: number): Descriptor {
  if (selector & 4 || isNull(selector)) throw generalProtection(selector);
  const tss = readDescriptor(cpu, mem, selector, VECTOR.gp);
  if (tss.isSegment || !isAvailableType(tss.type)) throw generalProtection(selector);
  if (!tss.isPresent) throw notPresent(selector);
  return tss;
}

/** The task IRET returns to with NT set. @throws GuestFault #TS(link) when the back link names no busy TSS, #NP(link); #PF. */
export function readLinkedTask(cpu: Cpu, mem: LinearMemory): Descriptor {
  const selector = Number(mem.read(linear(cpu, cpu.segBase(SEGMENT.tr)), 2, true));
  if (selector & 4 || isNull(selector)) throw invalidTss(selector);
  const tss = readDescriptor(cpu, mem, selector, VECTOR.ts);
  if (tss.isSegment || !isBusyType(tss.type)) throw invalidTss(selector);
  if (!tss.isPresent) throw notPresent(selector);
  return tss;
}

/**
 * Switches to the task of `tss`, whose type, presence and privilege the caller has checked.
 * @param next RIP saved in the old task
 * @param flags EFLAGS image saved in the old task
 * @throws GuestFault #TS(new TSS) or #PF before anything has changed; after the switch, in the context of the new task,
 *   #TS, #NP, #SS, #GP for its segments and #DB (DR6.BT) for its T bit: cpu.rip is then the new task's EIP.
 */
export function taskSwitch(
  cpu: Cpu,
  mem: LinearMemory,
  tss: Descriptor,
  cause: TaskSwitchCause,
  next: bigint,
  flags: number,
): void {
  const wide = (tss.type & 8) !== 0;
  const layout = wide ? TSS32 : TSS16;
  if (tss.limit < layout.limit) throw invalidTss(tss.selector);
  const old = { selector: cpu.selector(SEGMENT.tr), base: cpu.segBase(SEGMENT.tr) };
  const oldLayout = cpu.attributes(SEGMENT.tr) & 8 ? TSS32 : TSS16;
  if (cpu.limit(SEGMENT.tr) < oldLayout.limit) throw invalidTss(old.selector);
  const nested = cause === 'call' || cause === 'gate';

  // Everything that may fault comes first: read all of the new TSS, make sure both can be written.
  const at = (offset: number) => linear(cpu, tss.base + BigInt(offset));
  const field = (offset: number) => mem.read(at(offset), layout.size, true);
  const newIp = field(layout.ip);
  const newFlags = Number(field(layout.flags));
  const registers = Array.from({ length: 8 }, (_, i) => field(layout.registers + i * layout.size));
  const selectors = Array.from({ length: 6 }, (_, i) =>
    i < layout.selectorCount ? Number(mem.read(at(layout.selectors + i * layout.selectorStep), 2, true)) : 0,
  );
  const ldt = Number(mem.read(at(layout.ldt), 2, true));
  const paging = (cpu.cr0 & CR0.pg) !== 0;
  const newCr3 = wide && paging ? mem.read(at(Number(TSS32_CR3)), 4, true) : undefined;
  const trap = wide && (mem.read(at(Number(TSS32_TRAP)), 1, true) & 1n) !== 0n;
  mem.probeWrite(linear(cpu, old.base + BigInt(oldLayout.ip)), oldLayout.ldt - oldLayout.ip, true);
  if (nested) mem.probeWrite(at(0), 2, true);
  if (newCr3 !== undefined && (cpu.cr4 & CR4.pae) !== 0 && !loadPdptes(cpu, newCr3)) throw invalidTss(tss.selector);

  saveTask(cpu, mem, old.base, oldLayout, next, cause === 'iret' ? flags & ~FLAG.nt : flags);
  if (cause === 'jump' || cause === 'iret') markBusy(cpu, mem, tableBase(cpu, 'gdtr') + BigInt(old.selector & 0xfff8), false);
  if (nested) mem.write(at(0), 2, BigInt(old.selector), true);
  if (cause !== 'iret') markBusy(cpu, mem, tss.at, true);

  cpu.setSegment(SEGMENT.tr, tss.selector, tss.attributes | 2, tss.limit, tss.base);
  cpu.set32(STATE.cr0, cpu.cr0 | CR0.ts);
  // 17.2.4: the local breakpoints belong to the old task.
  cpu.set64(STATE.dr + 56, BigInt((cpu.get32(STATE.dr + 56) & ~0x155) >>> 0));
  if (newCr3 !== undefined && newCr3 !== cpu.get64(STATE.cr3)) {
    cpu.set64(STATE.cr3, newCr3);
    mem.flush(false);
  }
  const kept = wide ? 0 : cpu.rflags & 0xffff_0000 & ~FLAG.vm & ~FLAG.rf;
  cpu.rflags = newFlags | kept | (nested ? FLAG.nt : 0);
  cpu.rip = newIp;
  for (let i = 0; i < 8; i++) cpu.setGpr(i, registers[i] as bigint);
  loadSegments(cpu, mem, selectors, ldt);
  if (newIp > BigInt(cpu.limit(SEGMENT.cs))) throw generalProtection();
  if (!trap) return;
  const dr6 = STATE.dr + 48;
  cpu.set64(dr6, cpu.get64(dr6) | 0x8000n);
  throw new GuestFault(VECTOR.db);
}

function saveTask(cpu: Cpu, mem: LinearMemory, base: bigint, layout: TssLayout, next: bigint, flags: number): void {
  const { size } = layout;
  const put = (offset: number, value: bigint, bytes: number) =>
    mem.write(linear(cpu, base + BigInt(offset)), bytes, BigInt.asUintN(bytes * 8, value), true);
  put(layout.ip, next, size);
  put(layout.flags, BigInt(flags), size);
  for (let i = 0; i < 8; i++) put(layout.registers + i * size, cpu.gpr(i), size);
  for (let i = 0; i < layout.selectorCount; i++) put(layout.selectors + i * layout.selectorStep, BigInt(cpu.selector(i)), 2);
}

/** Loads LDTR and the segment registers of the new task; all selectors stand before the first check. SDM vol. 3, 7.3, steps 11 and 12. */
function loadSegments(cpu: Cpu, mem: LinearMemory, selectors: readonly number[], ldt: number): void {
  for (let which = 0; which < 6; which++) setNull(cpu, which, selectors[which] as number);
  setNull(cpu, SEGMENT.ldtr, ldt);
  const v86 = cpu.virtual8086;
  const codeSelector = selectors[SEGMENT.cs] as number;
  cpu.set32(STATE.cpl, v86 ? 3 : codeSelector & 3);
  try {
    if (v86) for (let which = 0; which < 6; which++) loadParagraph(cpu, which, selectors[which] as number);
    loadTaskLdt(cpu, mem, ldt);
    if (v86) return;
    loadTaskCode(cpu, mem, codeSelector);
    loadTaskStack(cpu, mem, selectors[SEGMENT.ss] as number);
    for (const which of [SEGMENT.es, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs])
      loadTaskData(cpu, mem, which, selectors[which] as number);
  } finally {
    cpu.updateMode();
  }
}

function loadTaskLdt(cpu: Cpu, mem: LinearMemory, selector: number): void {
  if (isNull(selector)) return;
  if (selector & 4) throw invalidTss(selector);
  const ldt = readDescriptor(cpu, mem, selector, VECTOR.ts);
  if (ldt.isSegment || ldt.type !== SYSTEM_TYPE.ldt || !ldt.isPresent) throw invalidTss(selector);
  setFromDescriptor(cpu, SEGMENT.ldtr, selector, ldt);
}

function loadTaskCode(cpu: Cpu, mem: LinearMemory, selector: number): void {
  if (isNull(selector)) throw invalidTss(0);
  const code = readDescriptor(cpu, mem, selector, VECTOR.ts);
  const rpl = selector & 3;
  if (!code.isCode || (code.isConforming ? code.dpl > rpl : code.dpl !== rpl)) throw invalidTss(selector);
  if (!code.isPresent) throw notPresent(selector);
  markAccessed(mem, code);
  setFromDescriptor(cpu, SEGMENT.cs, selector, code);
}

function loadTaskStack(cpu: Cpu, mem: LinearMemory, selector: number): void {
  if (isNull(selector)) throw invalidTss(0);
  const stack = readDescriptor(cpu, mem, selector, VECTOR.ts);
  if (!stack.isWritableData || stack.dpl !== cpu.cpl || (selector & 3) !== cpu.cpl) throw invalidTss(selector);
  if (!stack.isPresent) throw stackFault(selector);
  markAccessed(mem, stack);
  setFromDescriptor(cpu, SEGMENT.ss, selector, stack);
}

function loadTaskData(cpu: Cpu, mem: LinearMemory, which: number, selector: number): void {
  if (isNull(selector)) return;
  const data = readDescriptor(cpu, mem, selector, VECTOR.ts);
  const conforming = data.isCode && (data.type & ATTR.dc) !== 0;
  const outranked = !conforming && (cpu.cpl > data.dpl || (selector & 3) > data.dpl);
  if (!data.isReadable || outranked) throw invalidTss(selector);
  if (!data.isPresent) throw notPresent(selector);
  markAccessed(mem, data);
  setFromDescriptor(cpu, which, selector, data);
}
