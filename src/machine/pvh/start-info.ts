// The start info of a PVH kernel, with its module list, memory map and command lines. xen/include/public/arch-x86/hvm/start_info.h.
import { HVM_START_MAGIC, HVM_START_VERSION, hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info } from '../../abi/pvh.ts';
import { BootBlock, type BootFacts } from './boot-block.ts';

/** The block that lies at `base` in the end; the start info is at its start. */
export function buildStartInfo(base: number, { commandLine, modules, memmap, rsdpGpa }: BootFacts): Uint8Array {
  const block = new BootBlock(base);
  block.reserve(hvm_start_info.sizeof);
  // Room for one is there without modules, too: nr_modules is what says how many there are.
  const modlist = block.reserve(Math.max(1, modules.length) * hvm_modlist_entry.sizeof);
  const map = block.reserve(memmap.length * hvm_memmap_table_entry.sizeof);
  const commandLineGpa = block.put(commandLine);
  // FreeBSD follows a module's pointer whatever it is: there is always a string, if an empty one.
  const strings = modules.map((module) => block.put(module.commandLine));

  const { view } = block;
  hvm_start_info.magic.set(view, 0, HVM_START_MAGIC);
  hvm_start_info.version.set(view, 0, HVM_START_VERSION);
  hvm_start_info.nr_modules.set(view, 0, modules.length);
  hvm_start_info.modlist_paddr.set(view, 0, modlist);
  hvm_start_info.cmdline_paddr.set(view, 0, commandLineGpa);
  hvm_start_info.rsdp_paddr.set(view, 0, rsdpGpa);
  hvm_start_info.memmap_paddr.set(view, 0, map);
  hvm_start_info.memmap_entries.set(view, 0, memmap.length);
  for (const [i, module] of modules.entries()) {
    const at = modlist - base + i * hvm_modlist_entry.sizeof;
    hvm_modlist_entry.paddr.set(view, at, module.at);
    hvm_modlist_entry.size.set(view, at, module.size);
    hvm_modlist_entry.cmdline_paddr.set(view, at, strings[i] ?? 0);
  }
  for (const [i, entry] of memmap.entries()) {
    const at = map - base + i * hvm_memmap_table_entry.sizeof;
    hvm_memmap_table_entry.addr.set(view, at, entry.at);
    hvm_memmap_table_entry.size.set(view, at, entry.size);
    hvm_memmap_table_entry.type.set(view, at, entry.type);
  }
  return block.bytes;
}
