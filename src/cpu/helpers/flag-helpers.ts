// POPF, PUSHF, CLI and STI where privilege, virtual-8086 mode or trapping are involved. SDM vol. 2: each; vol. 3, 20.3.
import type { Helper, HelperContext } from '../helper-context.ts';
import { CR4, FLAG, STATE } from '../state.ts';
import { generalProtection } from '../system/faults.ts';
import { ioPrivilege } from '../system/privilege.ts';
import { Stack } from '../system/stack.ts';

const iopl3 = (x: HelperContext): boolean => ioPrivilege(x.cpu) === 3;
const vme = (x: HelperContext): boolean => (x.cpu.cr4 & CR4.vme) !== 0;
const pvi = (x: HelperContext): boolean => (x.cpu.cr4 & CR4.pvi) !== 0 && x.cpu.cpl === 3;

const popf: Helper = (x) => {
  const { cpu, osize } = x;
  const v86 = cpu.protectedMode && cpu.virtual8086;
  const virtual = v86 && !iopl3(x);
  if (virtual && !(vme(x) && osize === 2)) throw generalProtection();
  const stack = Stack.current(cpu, x.mem);
  const popped = Number(stack.pop(osize) & 0x3f_ffffn);
  const old = cpu.rflags;
  let writable = FLAG.arithmetic | FLAG.tf | FLAG.df | FLAG.nt | (osize === 2 ? 0 : FLAG.ac | FLAG.id);
  if (!cpu.protectedMode || (cpu.cpl === 0 && !v86)) writable |= FLAG.iopl | FLAG.if;
  else if (!virtual && cpu.cpl <= ioPrivilege(cpu)) writable |= FLAG.if;
  let next = (old & ~writable) | (popped & writable);
  // VIF and VIP stay as they are whatever the operand size: SDM vol. 2B, POPF, table 4-16.
  next &= ~FLAG.rf;
  if (virtual) {
    // VME: IF means VIF; a pending virtual interrupt or TF needs the monitor.
    if (popped & FLAG.tf || (popped & FLAG.if && old & FLAG.vip)) throw generalProtection();
    next = popped & FLAG.if ? next | FLAG.vif : next & ~FLAG.vif;
  }
  stack.commit();
  cpu.rflags = next;
  cpu.updateMode();
  return 'poll';
};

const pushf: Helper = (x) => {
  const { cpu, osize } = x;
  // Only reached in virtual-8086 mode with IOPL below 3.
  if (!(vme(x) && osize === 2)) throw generalProtection();
  const flags = cpu.rflags;
  const image = (flags & ~(FLAG.if | FLAG.iopl)) | FLAG.iopl | (flags & FLAG.vif ? FLAG.if : 0);
  const stack = Stack.current(cpu, x.mem);
  stack.push(osize, BigInt(image & 0xffff));
  stack.commit();
  return 'next';
};

/** CLI and STI above the I/O privilege: VME and PVI keep a virtual IF, everything else is #GP(0). */
const cli: Helper = (x) => {
  const { cpu } = x;
  if (!(cpu.virtual8086 ? vme(x) : pvi(x))) throw generalProtection();
  cpu.set32(STATE.eflags, cpu.get32(STATE.eflags) & ~FLAG.vif);
  return 'next';
};
const sti: Helper = (x) => {
  const { cpu } = x;
  if (!(cpu.virtual8086 ? vme(x) : pvi(x)) || cpu.get32(STATE.eflags) & FLAG.vip) throw generalProtection();
  cpu.set32(STATE.eflags, cpu.get32(STATE.eflags) | FLAG.vif);
  return 'next';
};

export const FLAG_HELPERS: Readonly<Record<string, Helper>> = { popf, pushf, cli, sti };
