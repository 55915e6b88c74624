// An engine over some pages of RAM from physical address 0 on, with no devices and no clock: what tests of the CPU run code on.
import type { Gfn } from '../../src/abi/types.ts';
import { VCPU_BYTES, WasmEngine } from '../../src/cpu/engine.ts';
import { ArenaPlanner, allocateArena } from '../../src/memory/arena.ts';
import { GuestMemory, P2M_BYTES } from '../../src/memory/guest-memory.ts';

const PAGE = 4096;
/** Nobody else uses the memory. */
const ALONE = { isPrivate: () => true, begin: () => false, end: () => {} };

export interface BareEngine {
  readonly engine: WasmEngine;
  readonly memory: GuestMemory;
  readonly ram: Uint8Array;
  readonly view: DataView;
}

/**
 * @param codeBytes size of the cache of decoded code
 * @param lockstep run every region in both tiers
 */
export function bareEngine(pages: number, codeBytes: number, translate: boolean, lockstep = false): BareEngine {
  const planner = new ArenaPlanner();
  const p2m = planner.reserve(P2M_BYTES);
  const vcpuRegion = planner.reserve(VCPU_BYTES);
  const codeRegion = planner.reserve(codeBytes);
  const { at } = planner.reserve(pages * PAGE);
  const wasmMemory = allocateArena(planner.size);
  const buffer = wasmMemory.buffer as unknown as SharedArrayBuffer;
  const memory = new GuestMemory(buffer, p2m.at);
  for (let i = 0; i < pages; i++) memory.map(i as Gfn, (at + i * PAGE) as typeof at);
  const engine = new WasmEngine({
    vcpuId: 0,
    memory,
    wasmMemory,
    vcpuRegion,
    codeRegion,
    ticks: () => 0,
    cpuid: { apicId: 0, vcpuCount: 1, apicEnabled: true, tscKHz: 1_000_000, hypervisor: () => undefined },
    cr8: { read: () => 0, write: () => {} },
    translate,
    ...(lockstep && { lockstep: ALONE }),
  });
  return { engine, memory, ram: new Uint8Array(buffer, at, pages * PAGE), view: new DataView(buffer, at, pages * PAGE) };
}
