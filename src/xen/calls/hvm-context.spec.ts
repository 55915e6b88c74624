import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EINVAL } from '../../abi/xen/errno.ts';
import { VCPU_HVM_MODE, VcpuHvmContext32 as W32, VcpuHvmContext64 as W64 } from '../../abi/xen/vcpu.ts';
import { GPR, type Segment, type SegmentName, type VcpuEngine } from '../../vcpu/contract.ts';
import { applyVcpuContext } from './apply-vcpu-context.ts';
import { checkHvmContext, decodeHvmContext } from './hvm-context.ts';

const CODE = 0xc9b;
const DATA = 0xc93;
const TASK = 0x08b;

type Values32 = Partial<Record<keyof typeof W32 & string, number>>;

/** Flat 32-bit protected mode, as a loader starts a processor. */
function flat32(change: Values32 = {}, efer = 0n): DataView {
  const view = new DataView(new ArrayBuffer(128));
  const values: Values32 = {
    mode: VCPU_HVM_MODE.b32,
    eip: 0x10_0000,
    esp: 0x9000,
    ebx: 0xbb,
    cr0: 0x11,
    cs_ar: CODE,
    ds_ar: DATA,
    ss_ar: DATA,
    es_ar: DATA,
    tr_ar: TASK,
    cs_limit: 0xffff_ffff,
    ds_limit: 0xffff_ffff,
    ss_limit: 0xffff_ffff,
    es_limit: 0xffff_ffff,
    tr_limit: 0x67,
    ...change,
  };
  for (const [name, value] of Object.entries(values)) {
    const field = (W32 as unknown as Record<string, { set(v: DataView, at: number, x: number): void }>)[name];
    field?.set(view, 0, value);
  }
  W32.efer.set(view, 0, efer);
  return view;
}

function long64(change: Partial<Record<keyof typeof W64 & string, bigint>> = {}): DataView {
  const view = new DataView(new ArrayBuffer(128));
  W64.mode.set(view, 0, VCPU_HVM_MODE.b64);
  const values = { rip: 0xffff_8000_0000_1000n, cr0: 0x8000_0011n, cr3: 0x5000n, cr4: 0x20n, efer: 0x100n, ...change };
  for (const [name, value] of Object.entries(values)) {
    const field = (W64 as unknown as Record<string, { set(v: DataView, at: number, x: bigint): void }>)[name];
    field?.set(view, 0, value);
  }
  return view;
}

describe('a 32-bit context', () => {
  const check = (change: Values32, efer = 0n) => checkHvmContext(flat32(change, efer));

  it('is taken with flat segments, and with DS and ES null', () => {
    expect(check({})).toBe(0);
    expect(check({ ds_ar: 0, es_ar: 0 })).toBe(0);
    expect(check({}, 0x100n)).toBe(0);
    expect(check({}, 0x500n)).toBe(0);
    // The accessed and busy bits are set for it.
    expect(check({ cs_ar: 0xc9a, ds_ar: 0xc92, ss_ar: 0xc92, tr_ar: 0x089 })).toBe(0);
  });

  it('is refused with reserved bits or an unknown mode', () => {
    for (const field of ['pad', 'pad1', 'pad2_0', 'pad2_1', 'pad2_2'] as const) expect(check({ [field]: 1 })).toBe(-EINVAL);
    expect(check({ mode: 2 })).toBe(-EINVAL);
    for (const ar of ['cs_ar', 'ds_ar', 'ss_ar', 'es_ar', 'tr_ar'] as const)
      expect(check({ [ar]: 0x1000 | (ar === 'cs_ar' ? CODE : ar === 'tr_ar' ? TASK : DATA) })).toBe(-EINVAL);
  });

  it('is refused with segments of the wrong kind', () => {
    expect(check({ cs_ar: 0 })).toBe(-EINVAL);
    expect(check({ cs_ar: DATA })).toBe(-EINVAL);
    expect(check({ cs_ar: CODE & ~0x80 })).toBe(-EINVAL); // not present
    expect(check({ ss_ar: 0 })).toBe(-EINVAL);
    expect(check({ ss_ar: CODE })).toBe(-EINVAL);
    expect(check({ ss_ar: DATA & ~2 })).toBe(-EINVAL); // read-only
    expect(check({ ds_ar: 0xc99 })).toBe(-EINVAL); // execute-only
    expect(check({ es_ar: 0xc99 })).toBe(-EINVAL);
    expect(check({ ds_ar: CODE })).toBe(0); // readable code
    expect(check({ tr_ar: 0 })).toBe(-EINVAL);
    expect(check({ tr_ar: DATA })).toBe(-EINVAL);
    expect(check({ tr_ar: 0x081 })).toBe(-EINVAL); // a 16-bit TSS
    expect(check({ ds_ar: 0x083 })).toBe(-EINVAL); // a system segment
  });

  it('is refused with EIP beyond the limit, which counts pages where G is set', () => {
    expect(check({ cs_limit: 0xff, eip: 0xf_ffff })).toBe(0);
    expect(check({ cs_limit: 0xff, eip: 0x10_0000 })).toBe(-EINVAL);
    expect(check({ cs_ar: 0x49b, cs_limit: 0xff, eip: 0xff })).toBe(0);
    expect(check({ cs_ar: 0x49b, cs_limit: 0xff, eip: 0x100 })).toBe(-EINVAL);
  });

  it('is refused when the privilege levels do not agree', () => {
    expect(check({ ss_ar: DATA | 0x60 })).toBe(-EINVAL);
    expect(check({ ds_ar: DATA | 0x20 })).toBe(-EINVAL);
    expect(check({ es_ar: DATA | 0x20 })).toBe(-EINVAL);
    expect(check({ cs_ar: CODE | 0x60, ss_ar: DATA | 0x60, ds_ar: DATA | 0x60 })).toBe(0);
  });

  it('is refused with LMA alone, and with bits the processor does not have', () => {
    expect(check({}, 0x400n)).toBe(-EINVAL);
    expect(check({}, 0x2n)).toBe(-EINVAL);
    expect(check({}, 1n << 12n)).toBe(-EINVAL);
    for (const bit of [12, 13, 14, 15, 19, 22, 31]) expect(check({ cr4: (1 << bit) >>> 0 })).toBe(-EINVAL);
    for (const bit of [0, 5, 9, 10, 11, 16, 18, 20, 21]) expect(check({ cr4: 1 << bit })).toBe(0);
  });

  it('gives the registers it holds', () => {
    const view = flat32({ eax: 1, ecx: 2, edx: 3, ebp: 5, esi: 6, edi: 7, eflags: 0xffff_ffff, cr3: 0x7000, cr4: 0x20 }, 0x101n);
    const context = decodeHvmContext(view, 0);
    expect(context.registers).toEqual([1n, 2n, 3n, 0xbbn, 0x9000n, 5n, 6n, 7n]);
    expect([context.rip, context.rflags, context.cr0, context.cr3, context.cr4, context.efer]).toEqual([
      0x10_0000n,
      0x3f_7fd7n,
      0x11n,
      0x7000n,
      0x20n,
      0x501n,
    ]);
    expect(context.segments.cs).toEqual({ selector: 0, base: 0n, limit: 0xffff_ffff, attributes: 0xc09b });
    expect(context.segments.tr).toEqual({ selector: 0, base: 0n, limit: 0x67, attributes: 0x8b });
  });
});

describe('a 64-bit context', () => {
  it('needs paging, PAE, LME and a canonical RIP', () => {
    const check = (change: Parameters<typeof long64>[0]) => checkHvmContext(long64(change));
    expect(check({})).toBe(0);
    expect(check({ rip: 0x7fff_ffff_ffffn })).toBe(0);
    expect(check({ rip: 0x8000_0000_0000n })).toBe(-EINVAL);
    expect(check({ cr0: 0x11n })).toBe(-EINVAL);
    expect(check({ cr4: 0n })).toBe(-EINVAL);
    expect(check({ efer: 0n })).toBe(-EINVAL);
    expect(check({ efer: 0x102n })).toBe(-EINVAL);
    expect(check({ cr4: 0x20n | (1n << 40n) })).toBe(-EINVAL);
  });

  it('comes with flat 64-bit segments and LMA', () => {
    const context = decodeHvmContext(long64({ rax: 0x1_0000_0001n, rdi: 9n, rflags: 0x200n }), 0);
    expect(context.registers).toEqual([0x1_0000_0001n, 0n, 0n, 0n, 0n, 0n, 0n, 9n]);
    expect([context.efer, context.rflags]).toEqual([0x500n, 0x202n]);
    expect(context.segments.cs.attributes).toBe(0xa09b);
    expect(context.segments.ss).toEqual({ selector: 0, base: 0n, limit: 0xffff_ffff, attributes: 0xc093 });
    expect(context.segments.tr.limit).toBe(0x67);
  });
});

it('is never decoded to what Xen would refuse, whatever the bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 128, maxLength: 128 }), fc.constantFrom(0, 1, 2), (bytes, mode) => {
      const view = new DataView(bytes.slice().buffer);
      view.setUint32(0, mode, true);
      view.setUint32(4, 0, true);
      const result = checkHvmContext(view);
      if (result !== 0) {
        expect(result).toBe(-EINVAL);
        return;
      }
      const context = decodeHvmContext(view, 0);
      expect(context.efer & ~0xd01n).toBe(0n);
      expect(context.rflags & 2n).toBe(2n);
    }),
  );
});

/** Records what an engine is told, and refuses what a processor would. */
class RecordingEngine {
  readonly order: string[] = [];
  readonly registers = new Map<number, bigint>();
  readonly segments = new Map<SegmentName, Segment>();
  readonly controls = { cr0: 0x10n, cr3: 0n, cr4: 0n, efer: 0n };
  rip = 0n;
  rflags = 0n;
  setControl(register: 'cr0' | 'cr3' | 'cr4' | 'efer', value: bigint): void {
    if (register === 'cr0' && (value & 0x8000_0001n) === 0x8000_0000n) throw new Error('PG without PE');
    this.order.push(register);
    this.controls[register] = value;
  }
  setGpr(index: number, value: bigint): void {
    this.registers.set(index, value);
  }
  setSegment(name: SegmentName, segment: Segment): void {
    this.segments.set(name, segment);
  }
}

describe('applied to an engine', () => {
  it('turns paging on last', () => {
    const engine = new RecordingEngine();
    const context = decodeHvmContext(long64({ rcx: 3n, rsp: 0x9000n }), 0);
    expect(applyVcpuContext(engine as unknown as VcpuEngine, context)).toBe(true);
    expect(engine.order).toEqual(['cr0', 'efer', 'cr4', 'cr3', 'cr0']);
    expect(engine.controls).toEqual({ cr0: 0x8000_0011n, cr3: 0x5000n, cr4: 0x20n, efer: 0x100n });
    expect([GPR.rcx, GPR.rsp].map((r) => engine.registers.get(r))).toEqual([3n, 0x9000n]);
    expect([...engine.segments.keys()].sort()).toEqual(['cs', 'ds', 'es', 'ss', 'tr']);
    expect([engine.rip, engine.rflags]).toEqual([0xffff_8000_0000_1000n, 2n]);
  });

  it('leaves paging off where it is off, and tells when the processor refuses', () => {
    const engine = new RecordingEngine();
    expect(applyVcpuContext(engine as unknown as VcpuEngine, decodeHvmContext(flat32(), 0))).toBe(true);
    expect([engine.controls.cr0, engine.rip]).toEqual([0x11n, 0x10_0000n]);
    const bad = decodeHvmContext(long64({ cr0: 0x8000_0000n }), 0);
    expect(applyVcpuContext(new RecordingEngine() as unknown as VcpuEngine, bad)).toBe(false);
  });
});
