import { expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { GPR, type Segment, type SegmentName, type VcpuEngine } from '../../vcpu/contract.ts';
import { enterPvh } from './enter.ts';

it('enters as docs/misc/pvh.pandoc says: protected mode, no paging, flat segments, EBX the start info', () => {
  const gprs = new Map<number, bigint>();
  const segments = new Map<SegmentName, Segment>();
  const controls = new Map<string, bigint>();
  const engine = {
    rip: -1n,
    rflags: -1n,
    setGpr: (index: number, value: bigint) => gprs.set(index, value),
    setSegment: (name: SegmentName, segment: Segment) => segments.set(name, segment),
    setControl: (name: string, value: bigint) => controls.set(name, value),
  };

  enterPvh(engine as unknown as VcpuEngine, { entry: 0x1000_0b0, startInfoGpa: 0x345_6000 as Gpa });

  expect(engine.rip).toBe(0x1000_0b0n);
  expect(engine.rflags).toBe(2n);
  expect(gprs.get(GPR.rbx)).toBe(0x345_6000n);
  expect([...gprs].filter(([index]) => index !== GPR.rbx).every(([, value]) => value === 0n)).toBe(true);
  expect(gprs.size).toBe(16);
  expect(Object.fromEntries(controls)).toEqual({ cr0: 0x11n, cr3: 0n, cr4: 0n, efer: 0n });
  // Descriptor bits 40..55: present, ring 0, code read/execute (or data read/write), accessed; G and D/B.
  expect(segments.get('cs')).toMatchObject({ base: 0n, limit: 0xffff_ffff, attributes: 0xc09b });
  for (const name of ['ds', 'es', 'ss', 'fs', 'gs'] as const) {
    expect(segments.get(name)).toMatchObject({ base: 0n, limit: 0xffff_ffff, attributes: 0xc093 });
  }
  expect(segments.get('tr')).toMatchObject({ base: 0n, limit: 0x67, attributes: 0x008b });
});
