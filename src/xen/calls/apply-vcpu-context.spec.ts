// A vCPU that VCPUOP_initialise started runs its first instructions on the real engine.
import { beforeAll, describe, expect, it } from 'vitest';
import type { Gfn, HostAddress } from '../../abi/types.ts';
import { VCPU_HVM_MODE, VcpuHvmContext32 as W32, VcpuHvmContext64 as W64 } from '../../abi/xen/vcpu.ts';
import { CODE_CACHE_BYTES, VCPU_BYTES, WasmEngine } from '../../cpu/engine.ts';
import { ArenaPlanner, allocateArena } from '../../memory/arena.ts';
import { GuestMemory, P2M_BYTES } from '../../memory/guest-memory.ts';
import { EXIT, GPR } from '../../vcpu/contract.ts';
import { applyVcpuContext } from './apply-vcpu-context.ts';
import { checkHvmContext, decodeHvmContext } from './hvm-context.ts';

const CODE = 0x1_0000;
const PAGES = 64;
const TABLES = 0x2_0000;

let memory: GuestMemory;
let newEngine: () => WasmEngine;
beforeAll(() => {
  const planner = new ArenaPlanner();
  const p2m = planner.reserve(P2M_BYTES);
  const vcpuRegion = planner.reserve(VCPU_BYTES);
  const codeRegion = planner.reserve(CODE_CACHE_BYTES);
  const ram = planner.reserve(PAGES * 4096);
  const wasmMemory = allocateArena(planner.size);
  memory = new GuestMemory(wasmMemory.buffer as unknown as SharedArrayBuffer, p2m.at);
  for (let gfn = 0; gfn < PAGES; gfn++) memory.map(gfn as Gfn, (ram.at + gfn * 4096) as HostAddress);
  const cpuid = {
    apicId: 2,
    vcpuCount: 2,
    apicEnabled: true,
    tscKHz: 1_000_000,
    crystalHz: 1_000_000_000,
    hypervisor: () => undefined,
  };
  const cr8 = { read: () => 0, write: () => {} };
  newEngine = () => new WasmEngine({ vcpuId: 1, memory, wasmMemory, vcpuRegion, codeRegion, ticks: () => 0, cpuid, cr8 });
});

/** Runs `code` from a context up to its VMCALL. */
function run(view: DataView, code: readonly number[]): WasmEngine {
  expect(checkHvmContext(view)).toBe(0);
  memory.write(CODE as never, Uint8Array.from(code));
  const engine = newEngine();
  expect(applyVcpuContext(engine, decodeHvmContext(view, 0))).toBe(true);
  expect(engine.run(100)).toBe(EXIT.hypercall);
  return engine;
}

describe('a context', () => {
  it('starts a vCPU in 32-bit protected mode', () => {
    const view = new DataView(new ArrayBuffer(128));
    W32.mode.set(view, 0, VCPU_HVM_MODE.b32);
    W32.ebx.set(view, 0, 0x1234_5678);
    W32.esp.set(view, 0, 0x9000);
    W32.eip.set(view, 0, CODE);
    W32.cr0.set(view, 0, 0x11);
    for (const limit of [W32.cs_limit, W32.ds_limit, W32.ss_limit, W32.es_limit]) limit.set(view, 0, 0xffff_ffff);
    for (const ar of [W32.ds_ar, W32.ss_ar, W32.es_ar]) ar.set(view, 0, 0xc93);
    W32.cs_ar.set(view, 0, 0xc9b);
    W32.tr_ar.set(view, 0, 0x8b);
    W32.tr_limit.set(view, 0, 0x67);
    // push ebx; pop eax; vmcall
    const engine = run(view, [0x53, 0x58, 0x0f, 0x01, 0xc1]);
    expect([engine.gpr(GPR.rax), engine.longMode, engine.cpl]).toEqual([0x1234_5678n, false, 0]);
  });

  it('starts a vCPU in 64-bit mode', () => {
    for (const [at, value] of [
      [TABLES, TABLES + 0x1003],
      [TABLES + 0x1000, TABLES + 0x2003],
      [TABLES + 0x2000, 0x83], // the first 2 MiB as they are
    ] as const) {
      memory.writeU32(at as never, value);
      memory.writeU32((at + 4) as never, 0);
    }
    const view = new DataView(new ArrayBuffer(128));
    W64.mode.set(view, 0, VCPU_HVM_MODE.b64);
    W64.rbx.set(view, 0, 0x1_2345_6789n);
    W64.rsp.set(view, 0, 0x9000n);
    W64.rip.set(view, 0, BigInt(CODE));
    W64.cr0.set(view, 0, 0x8000_0011n);
    W64.cr3.set(view, 0, BigInt(TABLES));
    W64.cr4.set(view, 0, 0x20n);
    W64.efer.set(view, 0, 0x100n);
    // push rbx; pop rax; vmcall
    const engine = run(view, [0x53, 0x58, 0x0f, 0x01, 0xc1]);
    expect([engine.gpr(GPR.rax), engine.longMode, engine.control('efer')]).toEqual([0x1_2345_6789n, true, 0x500n]);
  });

  it('that no processor takes is told apart', () => {
    const view = new DataView(new ArrayBuffer(128));
    W64.mode.set(view, 0, VCPU_HVM_MODE.b64);
    W64.cr0.set(view, 0, 0x8000_0010n); // paging without protection
    W64.cr4.set(view, 0, 0x20n);
    W64.efer.set(view, 0, 0x100n);
    expect(checkHvmContext(view)).toBe(0);
    expect(applyVcpuContext(newEngine(), decodeHvmContext(view, 0))).toBe(false);
  });
});
