// The map of the guest's memory, as the toolstack or the guest itself set it. xen/arch/x86/mm.c.
import { EFAULT, EINVAL, ENOSYS } from '../../abi/xen/errno.ts';
import { E820_MAX, E820Entry, ForeignMemoryMap, MemoryMap } from '../../abi/xen/memory.ts';
import type { HypercallContext } from '../calls/hypercall-context.ts';
import { DomainHeader as Header } from '../domain-layout.ts';
import { ownDomain } from './domain-argument.ts';

/** XENMEM_memory_map: copies as many entries as there is room for. */
export function memoryMap(c: HypercallContext): number {
  const { memory, at, plan } = c.domain;
  const count = Header.e820_entries.get(memory.view, at);
  if (count === 0) return -ENOSYS;
  const S = c.caller.longMode ? MemoryMap.wide : MemoryMap.narrow;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  const copied = Math.min(count, S.nr_entries.get(view, 0));
  const buffer = S.buffer.get(view, 0);
  const table = memory.u8.subarray(at + plan.e820, at + plan.e820 + copied * E820Entry.sizeof);
  if (copied > 0 && !c.caller.writeVirtual(buffer, table)) return -EFAULT;
  S.nr_entries.set(view, 0, copied);
  return c.buffer.copyOut(c.caller, c.args.pointer(1), S.sizeof) ? 0 : -EFAULT;
}

/** XENMEM_set_memory_map: a guest may replace its own map; with no entries there is none any more. */
export function setMemoryMap(c: HypercallContext): number {
  const S = c.caller.longMode ? ForeignMemoryMap.wide : ForeignMemoryMap.narrow;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const count = S.nr_entries.get(c.buffer.view, 0);
  if (count > E820_MAX) return -EINVAL;
  const foreign = ownDomain(c.domain, S.domid.get(c.buffer.view, 0));
  if (foreign < 0) return foreign;
  const bytes = count * E820Entry.sizeof;
  if (count > 0 && !c.buffer.copyIn(c.caller, S.buffer.get(c.buffer.view, 0), bytes)) return -EFAULT;
  const { memory, at, plan } = c.domain;
  memory.u8.set(c.buffer.slice(bytes), at + plan.e820);
  Header.e820_entries.set(memory.view, at, count);
  return 0;
}
