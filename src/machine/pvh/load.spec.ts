import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info, MEMMAP_TYPE } from '../../abi/pvh.ts';
import type { Gpa } from '../../abi/types.ts';
import { ArenaPlanner, allocateArena } from '../../memory/arena.ts';
import { GuestMemory, P2M_BYTES } from '../../memory/guest-memory.ts';
import { loadPvh, mapPvh, pvhBackingBytes } from './load.ts';
import { MachineError } from './machine-error.ts';
import { RAM_LIMIT } from './memory-map.ts';
import { type PvhConfig, type PvhKernel, planPvh } from './plan.ts';

const MIB = 1 << 20;

function kernelAt(paddr: number, dataBytes: number, bssBytes = 0): PvhKernel {
  const data = new Uint8Array(dataBytes).map((_, i) => i % 251);
  return { entry: paddr, segments: [{ paddr, data, memSize: dataBytes + bssBytes }] };
}

function configOf(overrides: Partial<PvhConfig> = {}): PvhConfig {
  return {
    kernel: kernelAt(MIB, 8192, 4096),
    commandLine: 'console=hvc0',
    ramBytes: 8 * MIB,
    vcpus: 1,
    ioapic: true,
    ...overrides,
  };
}

const sharedBuffer = (planner: ArenaPlanner): SharedArrayBuffer =>
  allocateArena(planner.size).buffer as unknown as SharedArrayBuffer;

function boot(config: PvhConfig) {
  const plan = planPvh(config);
  const planner = new ArenaPlanner();
  const p2m = planner.reserve(P2M_BYTES);
  const backing = planner.reserve(pvhBackingBytes(plan));
  const memory = new GuestMemory(sharedBuffer(planner), p2m.at);
  mapPvh(memory, plan, backing);
  // What was there before must not shine through bss.
  memory.u8.fill(0xcc, backing.at, backing.at + backing.size);
  const entry = loadPvh(memory, plan, config);
  const bytes = (gpa: number, size: number): Uint8Array => {
    const out = new Uint8Array(size);
    expect(memory.read(gpa as Gpa, out)).toBe(true);
    return out;
  };
  const view = (gpa: number, size: number): DataView => new DataView(bytes(gpa, size).buffer);
  return { plan, memory, entry, bytes, view, info: hvm_start_info.read(view(entry.startInfoGpa, 56), 0) };
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function errorOf(body: () => unknown): MachineError {
  try {
    body();
  } catch (error) {
    if (error instanceof MachineError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('loadPvh', () => {
  it('loads segments and zeroes what the file does not have', () => {
    const kernel = kernelAt(MIB, 5000, 3000);
    const { bytes } = boot(configOf({ kernel }));
    expect(bytes(MIB, 5000)).toEqual(kernel.segments[0]?.data);
    expect(bytes(MIB + 5000, 3000)).toEqual(new Uint8Array(3000));
  });

  it('gives a version 1 start info with command line, memory map and RSDP', () => {
    const { info, bytes, view, plan } = boot(configOf());
    expect(info.magic).toBe(0x336ec578);
    expect(info.version).toBe(1);
    expect(info.flags).toBe(0);
    expect(info.nr_modules).toBe(0);
    expect(text(bytes(info.cmdline_paddr, 13))).toBe('console=hvc0\0');
    expect(text(bytes(info.rsdp_paddr, 8))).toBe('RSD PTR ');
    const map = Array.from({ length: info.memmap_entries }, (_, i) =>
      hvm_memmap_table_entry.read(view(info.memmap_paddr + i * 24, 24), 0),
    );
    expect(map.map((e) => [e.addr, e.size, e.type])).toEqual(plan.memmap.map((e) => [e.at, e.size, e.type]));
    expect(map.map((e) => [e.addr, e.type])).toEqual([
      [0, MEMMAP_TYPE.ram],
      [0xfc001000, MEMMAP_TYPE.nvs],
      [0xfec00000, MEMMAP_TYPE.reserved],
      [0xfee00000, MEMMAP_TYPE.reserved],
      [0xfeff8000, MEMMAP_TYPE.reserved],
    ]);
  });

  it('puts a copy of the RSDP where a kernel without start info looks, unless the kernel lies there', () => {
    const { plan, bytes } = boot(configOf());
    const low = bytes(0xe_0000, 0x2_0000);
    const found = Array.from({ length: low.length / 16 }, (_, i) => i * 16).filter(
      (at) => text(low.subarray(at, at + 8)) === 'RSD PTR ',
    );
    expect(found).toHaveLength(1);
    expect(low.slice(found[0]!, found[0]! + 36)).toEqual(bytes(plan.acpi.rsdpGpa, 36));
    const kernel = kernelAt(0xf_0000, 0x1_0000);
    expect(boot(configOf({ kernel })).bytes(0xf_0000, 0x1_0000)).toEqual(kernel.segments[0]?.data);
  });

  it('puts the initrd as module 0 at the end of RAM', () => {
    const initrd = new Uint8Array(10_000).fill(7);
    const { info, bytes, view, plan } = boot(configOf({ modules: [{ data: initrd }] }));
    expect(info.nr_modules).toBe(1);
    const module = hvm_modlist_entry.read(view(info.modlist_paddr, 32), 0);
    expect(module.paddr).toBe(8 * MIB - 3 * 4096);
    expect(module.size).toBe(10_000);
    expect(bytes(module.paddr, 10_000)).toEqual(initrd);
    expect(bytes(module.paddr + 10_000, 3 * 4096 - 10_000)).toEqual(new Uint8Array(3 * 4096 - 10_000));
    expect(text(bytes(module.cmdline_paddr, 1))).toBe('\0');
    expect(plan.modules.map(({ at }) => at)).toEqual([module.paddr]);
  });

  it('tells of each module, with its command line', () => {
    const data = [5000, 1, 4096].map((bytes, i) => new Uint8Array(bytes).fill(i + 1));
    const lines = ['console=hvc0 root=/dev/xvda1', undefined, 'third'];
    const modules = data.map((bytes, i) => ({ data: bytes, ...(lines[i] !== undefined && { commandLine: lines[i] }) }));
    const { info, bytes, view } = boot(configOf({ modules }));
    expect(info.nr_modules).toBe(3);
    const told = modules.map((_, i) => hvm_modlist_entry.read(view(info.modlist_paddr + i * 32, 32), 0));
    expect(told.map(({ paddr, size }) => bytes(paddr, size))).toEqual(data);
    expect(told.map(({ paddr }) => paddr)).toEqual([8 * MIB - 4 * 4096, 8 * MIB - 2 * 4096, 8 * MIB - 4096]);
    expect(told.map(({ cmdline_paddr }, i) => text(bytes(cmdline_paddr, (lines[i] ?? '').length + 1)))).toEqual(
      lines.map((line) => `${line ?? ''}\0`),
    );
    expect(errorOf(() => planPvh(configOf({ modules: [{ data: new Uint8Array(1), commandLine: 'x'.repeat(4096) }] }))).code).toBe(
      'command-line-too-long',
    );
  });

  it('starts at the entry, with the start info behind the kernel', () => {
    const { entry, plan } = boot(configOf());
    expect(entry).toEqual({ entry: MIB, startInfoGpa: MIB + 3 * 4096 });
    expect(plan.boot.at).toBe(entry.startInfoGpa);
  });

  it('loads again over a domain that ran', () => {
    const config = configOf();
    const { memory, plan, bytes } = boot(config);
    memory.write((MIB + 100) as Gpa, new Uint8Array(9000).fill(0xee));
    loadPvh(memory, plan, config);
    expect(bytes(MIB, 8192)).toEqual(config.kernel.segments[0]?.data);
    expect(bytes(MIB + 8192, 4096)).toEqual(new Uint8Array(4096));
  });

  it('says so when the plan is not mapped', () => {
    const config = configOf();
    const planner = new ArenaPlanner();
    const p2m = planner.reserve(P2M_BYTES);
    const memory = new GuestMemory(sharedBuffer(planner), p2m.at);
    expect(() => loadPvh(memory, planPvh(config), config)).toThrow(/no memory for 8192 bytes at 0x100000/);
  });
});

describe('planPvh', () => {
  const sizes = fc.record({
    ramPages: fc.integer({ min: 1, max: RAM_LIMIT / 4096 }),
    kernelPage: fc.integer({ min: 0, max: 0x20000 }),
    kernelBytes: fc.integer({ min: 1, max: 8192 }),
    bssBytes: fc.integer({ min: 0, max: 64 * MIB }),
    moduleBytes: fc.array(fc.integer({ min: 0, max: 3 * MIB }), { maxLength: 3 }),
    commandLine: fc.string({ maxLength: 300 }).filter((s) => !s.includes('\0')),
    vcpus: fc.integer({ min: 1, max: 128 }),
    ioapic: fc.boolean(),
  });

  it('places everything in RAM without overlap, or says how much memory it takes', () => {
    fc.assert(
      fc.property(sizes, (s) => {
        const config: PvhConfig = {
          kernel: kernelAt(s.kernelPage * 4096, s.kernelBytes, s.bssBytes),
          commandLine: s.commandLine,
          ramBytes: s.ramPages * 4096,
          vcpus: s.vcpus,
          ioapic: s.ioapic,
          modules: s.moduleBytes.map((bytes) => ({ data: new Uint8Array(bytes) })),
        };
        let plan: ReturnType<typeof planPvh>;
        try {
          plan = planPvh(config);
        } catch (error) {
          const needed = /give at least (\d+) MiB/.exec(errorOf(() => planPvh(config)).hint);
          expect(error).toBeInstanceOf(MachineError);
          // The memory it names is enough, and a MiB less is not.
          const mib = Number(needed?.[1]);
          expect(() => planPvh({ ...config, ramBytes: mib * MIB })).not.toThrow();
          if (mib > 1) expect(() => planPvh({ ...config, ramBytes: (mib - 1) * MIB })).toThrow(MachineError);
          return;
        }
        const placed = [plan.kernel, plan.boot, ...plan.modules];
        for (const [i, range] of placed.entries()) {
          expect(range.at).toBeGreaterThanOrEqual(i === 0 ? 0 : (placed[i - 1]?.at ?? 0) + (placed[i - 1]?.size ?? 0));
          expect(range.at + range.size).toBeLessThanOrEqual(config.ramBytes);
        }
        for (const { at } of plan.modules) expect(at % 4096).toBe(0);
        for (const [i, entry] of plan.memmap.entries()) {
          const before = plan.memmap[i - 1];
          expect(entry.at).toBeGreaterThanOrEqual(before === undefined ? 0 : before.at + before.size);
          expect((entry.at % 4096) | (entry.size % 4096)).toBe(0);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('refuses more memory than lies below the ACPI tables, naming the limit', () => {
    expect(planPvh(configOf({ ramBytes: RAM_LIMIT })).ramBytes).toBe(RAM_LIMIT);
    const error = errorOf(() => planPvh(configOf({ ramBytes: RAM_LIMIT + 4096 })));
    expect(error.code).toBe('memory-too-large');
    expect(error.hint).toBe('give at most 3840 MiB');
  });

  it('refuses no memory and parts of pages', () => {
    expect(errorOf(() => planPvh(configOf({ ramBytes: 0 }))).code).toBe('memory-too-small');
    expect(errorOf(() => planPvh(configOf({ ramBytes: 8 * MIB + 1 }))).code).toBe('memory-unaligned');
  });

  it('says what does not fit: the kernel, the start info or the initrd', () => {
    const kernel = kernelAt(4 * MIB, 4096);
    expect(errorOf(() => planPvh(configOf({ kernel, ramBytes: 4 * MIB }))).message).toBe(
      'the kernel ends at 5 MiB and the guest has 4 MiB of memory; give at least 5 MiB',
    );
    expect(errorOf(() => planPvh(configOf({ kernel, ramBytes: 4 * MIB + 4096 }))).code).toBe('memory-too-small');
    const error = errorOf(() => planPvh(configOf({ kernel, ramBytes: 8 * MIB, modules: [{ data: new Uint8Array(6 * MIB) }] })));
    expect(error.code).toBe('initrd-too-large');
    expect(error.hint).toBe('give at least 11 MiB');
  });

  it('refuses a kernel that lies where no memory can be, and one that starts outside of itself', () => {
    expect(errorOf(() => planPvh(configOf({ kernel: kernelAt(RAM_LIMIT, 4096) }))).code).toBe('kernel-does-not-fit');
    expect(errorOf(() => planPvh(configOf({ kernel: { ...kernelAt(MIB, 4096), entry: 0 } }))).code).toBe('kernel-entry-outside');
    expect(errorOf(() => planPvh(configOf({ kernel: { entry: 0, segments: [] } }))).code).toBe('kernel-entry-outside');
  });

  it('refuses a command line that is too long', () => {
    expect(() => planPvh(configOf({ commandLine: 'x'.repeat(4095) }))).not.toThrow();
    expect(errorOf(() => planPvh(configOf({ commandLine: 'ü'.repeat(2048) }))).code).toBe('command-line-too-long');
    expect(errorOf(() => planPvh(configOf({ commandLine: 'a\0b' }))).message).toMatch(/NUL/);
  });

  it('reserves what the caller names, and refuses what is there already', () => {
    const page = { at: 0xfeff0000 as Gpa, size: 4096 };
    expect(planPvh(configOf({ reserved: [page] })).memmap).toContainEqual({ ...page, type: MEMMAP_TYPE.reserved });
    expect(() => planPvh(configOf({ reserved: [{ at: MIB as Gpa, size: 4096 }] }))).toThrow(/twice/);
  });
});
