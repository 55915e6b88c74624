import { expect, it } from 'vitest';
import { ArenaPlanner, allocateArena } from '../../src/memory/arena.ts';
import { GuestMemory, P2M_BYTES } from '../../src/memory/guest-memory.ts';
import { WasmEngine, VCPU_BYTES, instructionSet } from '../../src/cpu/engine.ts';
import { generateInterpreter } from '../../src/cpu/interpreter/generate.ts';
it('runs', () => {
  let t = performance.now();
  const { variants } = instructionSet();
  console.log('variants', variants.handlers.length, performance.now() - t);
  t = performance.now();
  const m = generateInterpreter(variants, 0x1000, 1000);
  console.log('generate', m.bytes.length, performance.now() - t, m.helpers.join(), m.computes.join());
  t = performance.now();
  const module = new WebAssembly.Module(m.bytes);
  console.log('compile', performance.now() - t);
  const planner = new ArenaPlanner();
  const p2m = planner.reserve(P2M_BYTES);
  const cpu = planner.reserve(VCPU_BYTES);
  const code = planner.reserve(8 << 20);
  const ram = planner.reserve(4 << 20);
  const wasmMemory = allocateArena(planner.size);
  const memory = new GuestMemory(wasmMemory.buffer as never, p2m.at);
  for (let i = 0; i < 1024; i++) memory.map(i as never, (ram.at + i * 4096) as never);
  const engine = new WasmEngine({ vcpuId: 0, memory, wasmMemory, vcpuRegion: cpu, codeRegion: code, ticks: () => 0n,
    cpuid: { apicId: 0, vcpuCount: 1, apicEnabled: true, tscKHz: 1000000, hypervisor: () => undefined }, cr8: { read: () => 0, write() {} } });
  // 32-bit flat
  engine.setSegment('cs', { selector: 8, base: 0n, limit: 0xffffffff, attributes: 0xc09b });
  for (const s of ['ds', 'es', 'ss'] as const) engine.setSegment(s, { selector: 16, base: 0n, limit: 0xffffffff, attributes: 0xc093 });
  engine.setControl('cr0', 0x11n);
  // mov ecx, 100000000; xor eax,eax; l: add eax, ecx; dec ecx; jnz l; hlt
  const code1 = [0xb9, 0x00, 0xe1, 0xf5, 0x05, 0x31, 0xc0, 0x01, 0xc8, 0x49, 0x75, 0xfb, 0xf4];
  memory.write(0x1000 as never, Uint8Array.from(code1));
  engine.rip = 0x1000n;
  t = performance.now();
  let r = 0;
  for (let i = 0; i < 10000; i++) { r = engine.run(1000000); if (r !== 0) break; }
  const dt = performance.now() - t;
  console.log('exit', r, engine.rip.toString(16), engine.gpr(0).toString(16), engine.gpr(1).toString(16), engine.retired, dt, 'MIPS', engine.retired / dt / 1000);
  expect(r).toBe(1);
}, 120000);
