// Multiboot Specification 0.6.96, sections 3.2 and 3.3: structures are read here by the offsets that stand there.
import { describe, expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { ArenaPlanner, allocateArena } from '../../memory/arena.ts';
import { GuestMemory, P2M_BYTES } from '../../memory/guest-memory.ts';
import { loadPvh, mapPvh, pvhBackingBytes } from './load.ts';
import { MachineError } from './machine-error.ts';
import { type PvhConfig, planPvh } from './plan.ts';

const MIB = 1 << 20;
const kernelAt = (paddr: number): PvhConfig['kernel'] => ({
  entry: paddr,
  segments: [{ paddr, data: new Uint8Array(100).fill(0x90), memSize: 100 }],
});
const CONFIG: PvhConfig = {
  kernel: kernelAt(2 * MIB),
  protocol: 'multiboot',
  commandLine: 'console=xen',
  modules: [{ data: new Uint8Array(5000).fill(1), commandLine: 'of the first' }, { data: new Uint8Array(10).fill(2) }],
  ramBytes: 8 * MIB,
  vcpus: 1,
  ioapic: false,
};

function boot() {
  const plan = planPvh(CONFIG);
  const planner = new ArenaPlanner();
  const p2m = planner.reserve(P2M_BYTES);
  const backing = planner.reserve(pvhBackingBytes(plan));
  const memory = new GuestMemory(allocateArena(planner.size).buffer as unknown as SharedArrayBuffer, p2m.at);
  mapPvh(memory, plan, backing);
  const entry = loadPvh(memory, plan, CONFIG);
  const u32 = (at: number): number => memory.readU32(at as Gpa);
  const bytes = (at: number, size: number): Uint8Array => {
    const out = new Uint8Array(size);
    expect(memory.read(at as Gpa, out)).toBe(true);
    return out;
  };
  const text = (at: number): string => {
    const found = bytes(at, 64);
    return new TextDecoder().decode(found.subarray(0, found.indexOf(0)));
  };
  return { entry, plan, u32, bytes, text };
}

describe('a kernel that is entered the Multiboot way', () => {
  it('finds its magic, its command line and its modules', () => {
    const { entry, u32, bytes, text } = boot();
    expect(entry).toMatchObject({ entry: 2 * MIB, magic: 0x2bad_b002 });
    const info = entry.startInfoGpa;
    expect(u32(info) & 0x24d).toBe(0x24d); // memory, command line, modules, memory map, loader's name
    expect([u32(info + 4), u32(info + 8)]).toEqual([640, 7 * 1024]);
    expect(text(u32(info + 16))).toBe('kernel console=xen');
    expect(text(u32(info + 64))).toBe('dom1');
    const list = u32(info + 24);
    const modules = Array.from({ length: u32(info + 20) }, (_, i) => ({
      data: bytes(u32(list + i * 16), u32(list + i * 16 + 4) - u32(list + i * 16)),
      line: text(u32(list + i * 16 + 8)),
    }));
    expect(modules).toEqual([
      { data: new Uint8Array(5000).fill(1), line: 'of the first' },
      { data: new Uint8Array(10).fill(2), line: '' },
    ]);
  });

  it("finds a PC's memory map, with the hole of the BIOS", () => {
    const { entry, plan, u32 } = boot();
    const [length, map] = [u32(entry.startInfoGpa + 44), u32(entry.startInfoGpa + 48)];
    const entries: (readonly number[])[] = [];
    for (let at = map; at < map + length; at += u32(at) + 4) entries.push([u32(at + 4), u32(at + 12), u32(at + 20)]);
    expect(entries).toEqual(plan.memmap.map(({ at, size, type }) => [at, size, type]));
    expect(entries.slice(0, 3)).toEqual([
      [0, 0xa_0000, 1],
      [0xf_0000, 0x1_0000, 2],
      [MIB, 7 * MIB, 1],
    ]);
  });

  it('finds a BIOS behind each vector, and the RSDP where a BIOS has it', () => {
    const { bytes, u32 } = boot();
    for (const vector of [0x10, 0x13, 0x15, 0xff]) expect(u32(vector * 4)).toBe(0xf000_0000);
    expect([...bytes(0xf_0000, 1), ...bytes(0xf_000a, 1)]).toEqual([0x55, 0xcf]); // push bp … iret
    expect(new TextDecoder().decode(bytes(0xf_ffc0, 8))).toBe('RSD PTR ');
  });

  it('must not lie where the BIOS does', () => {
    expect(() => planPvh({ ...CONFIG, kernel: kernelAt(0x8_0000) })).toThrow(MachineError);
    expect(() => planPvh({ ...CONFIG, kernel: kernelAt(0x8_0000) })).toThrow(/where a PC has its BIOS; enter it the PVH way/);
  });
});
