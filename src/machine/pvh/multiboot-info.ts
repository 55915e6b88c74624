// What a kernel finds that is entered the Multiboot way. Multiboot Specification 0.6.96, section 3.3.
import {
  MULTIBOOT_INFO,
  MULTIBOOT_MMAP_BYTES,
  multiboot_info,
  multiboot_mmap_entry,
  multiboot_mmap_size,
  multiboot_module,
} from '../../abi/multiboot.ts';
import { MEMMAP_TYPE } from '../../abi/pvh.ts';
import { BootBlock, type BootFacts } from './boot-block.ts';

const KIB = 1024;
const MIB = 1 << 20;
/** An entry with the size in front of it. */
const ENTRY_BYTES = multiboot_mmap_size.sizeof + MULTIBOOT_MMAP_BYTES;
const LOADER = new TextEncoder().encode('dom1\0');

/** The block that lies at `base` in the end; the multiboot information is at its start. It names no ACPI table: see null-bios.ts. */
export function buildMultibootInfo(base: number, { commandLine, modules, memmap }: BootFacts): Uint8Array {
  const block = new BootBlock(base);
  block.reserve(multiboot_info.sizeof);
  const list = block.reserve(modules.length * multiboot_module.sizeof);
  // The last entry's accessors reach a little behind it.
  const map = block.reserve(memmap.length * ENTRY_BYTES + multiboot_mmap_entry.sizeof);
  const commandLineGpa = block.put(commandLine);
  const loaderGpa = block.put(LOADER);
  const strings = modules.map((module) => block.put(module.commandLine));

  const { view } = block;
  const { memory, commandLine: line, modules: mods, memoryMap, loaderName } = MULTIBOOT_INFO;
  multiboot_info.flags.set(view, 0, memory | line | mods | memoryMap | loaderName);
  const ram = (address: number): number => {
    const entry = memmap.find(({ at, size, type }) => type === MEMMAP_TYPE.ram && at <= address && address < at + size);
    return entry === undefined ? 0 : entry.at + entry.size - address;
  };
  multiboot_info.mem_lower.set(view, 0, Math.min(ram(0), 640 * KIB) / KIB);
  multiboot_info.mem_upper.set(view, 0, Math.floor(ram(MIB) / KIB));
  multiboot_info.cmdline.set(view, 0, commandLineGpa);
  multiboot_info.mods_count.set(view, 0, modules.length);
  multiboot_info.mods_addr.set(view, 0, list);
  multiboot_info.mmap_length.set(view, 0, memmap.length * ENTRY_BYTES);
  multiboot_info.mmap_addr.set(view, 0, map);
  multiboot_info.boot_loader_name.set(view, 0, loaderGpa);
  for (const [i, module] of modules.entries()) {
    const at = list - base + i * multiboot_module.sizeof;
    multiboot_module.mod_start.set(view, at, module.at);
    multiboot_module.mod_end.set(view, at, module.at + module.size);
    multiboot_module.string.set(view, at, strings[i] ?? 0);
  }
  for (const [i, entry] of memmap.entries()) {
    const at = map - base + i * ENTRY_BYTES;
    multiboot_mmap_size.size.set(view, at, MULTIBOOT_MMAP_BYTES);
    multiboot_mmap_entry.addr.set(view, at + multiboot_mmap_size.sizeof, entry.at);
    multiboot_mmap_entry.len.set(view, at + multiboot_mmap_size.sizeof, entry.size);
    multiboot_mmap_entry.type.set(view, at + multiboot_mmap_size.sizeof, entry.type);
  }
  return block.bytes;
}
