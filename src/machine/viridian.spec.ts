// A guest's code uses Microsoft's interface on the real engine: the MSR, the page it fills, a call through it, the LAPIC.
import { expect, it } from 'vitest';
import { buildElf, concat, le, pvhNote } from '../image/fixtures/build-elf.ts';
import { EXIT, GPR } from '../vcpu/contract.ts';
import { timeOrigin } from './guest-clock.ts';
import { buildImage } from './machine-image.ts';
import { enterPvh } from './pvh/enter.ts';
import type { PvhEntry } from './pvh/load.ts';
import { serveHypercall, serveXenMsr } from './vcpu-exits.ts';
import { buildVcpu } from './vcpu-parts.ts';

const LOAD = 0x10_0000;
const PAGE = 0x20_0000;
const SPIN_WAIT = 8;
const NO_CALL = 0x77;

const code = (...parts: (number | Uint8Array)[]): Uint8Array =>
  concat(...parts.map((part) => (typeof part === 'number' ? Uint8Array.of(part) : part)));
const movEax = (value: number) => code(0xb8, le(value, 4));
const movEcx = (value: number) => code(0xb9, le(value, 4));
const movEdx = (value: number) => code(0xba, le(value, 4));
const wrmsr = (msr: number, low: number) => code(movEcx(msr), movEax(low), movEdx(0), 0x0f, 0x30);
const rdmsr = (msr: number) => code(movEcx(msr), 0x0f, 0x32);
/** mov esi, PAGE; call esi */
const callPage = code(0xbe, le(PAGE, 4), 0xff, 0xd6);
const hlt = 0xf4;

it('fills its hypercall page, serves a call through it and reaches the LAPIC', async () => {
  const program = code(
    0xbc,
    le(0x18_0000, 4), // mov esp
    wrmsr(0x4000_0001, PAGE | 1),
    movEax(SPIN_WAIT),
    movEdx(0),
    callPage,
    hlt,
    movEax(NO_CALL),
    movEdx(0),
    callPage,
    hlt,
    wrmsr(0x4000_0072, 0x50),
    rdmsr(0x4000_0072),
    hlt,
    movEax(0x4000_0100),
    0x0f,
    0xa2,
    hlt,
  );
  const kernel = buildElf({ segments: [{ paddr: LOAD, data: program }], notes: [pvhNote(LOAD)] });
  const image = await buildImage({ kernel, memoryBytes: 8 << 20, emulation: { viridian: true } }, {});
  const entry = image.load();
  const data = {
    memory: image.wasm,
    plan: image.plan,
    vcpuId: 0,
    origin: timeOrigin(),
    entry,
    ioapic: true,
    pic: false,
    translate: true,
    profile: false,
    virtualTime: false,
    trace: [],
  };
  const { engine, vcpu, hypercalls, lapic } = buildVcpu(data, () => {});
  enterPvh(engine, entry as PvhEntry);
  const runToHlt = (): number => {
    for (let i = 0; i < 100; i++) {
      const exit = engine.run(1000);
      if (exit === EXIT.hlt) return Number(engine.gpr(GPR.rax));
      if (exit === EXIT.hypercall) serveHypercall(engine, hypercalls);
      else if (exit === EXIT.msr) engine.completeMsr(serveXenMsr(vcpu, engine));
      else if (exit !== EXIT.budget) throw new Error(`exit ${exit}`);
    }
    throw new Error('the guest does not come to its end');
  };
  expect(runToHlt()).toBe(0);
  expect(runToHlt()).toBe(2);
  expect(engine.gpr(GPR.rdx)).toBe(0n);
  expect([runToHlt(), lapic.cr8]).toEqual([0x50, 5]);
  expect(runToHlt()).toBe(0x4000_0105);
});
