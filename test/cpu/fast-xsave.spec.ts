// XSAVE, XSAVEOPT and XRSTOR against the code in system/ that they stand for.
import fc from 'fast-check';
import { beforeAll, expect, it, vi } from 'vitest';
import { CR4, STATE } from '../../src/cpu/state.ts';
import { FXSAVE_IMAGE, HEADER_AT, MXCSR_DEFAULT, xrstor, xsave } from '../../src/cpu/system/xsave.ts';
import { GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, type BenchMode } from './bench-machine.ts';
import { mostly, oneOf } from './both-ways.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});

const state = () => ({
  mxcsr: m.cpu.get32(STATE.mxcsr),
  x87: [...m.cpu.u8.slice(STATE.fcw, STATE.x87 + 128)],
  xmm: [...m.cpu.u8.slice(STATE.xmm, STATE.xmm + 256)],
  high: [...m.cpu.u8.slice(STATE.ymmHigh, STATE.ymmHigh + 256)],
  area: [...m.ram.slice(AT.data, AT.data + 0x2000)],
});
/** 64-bit code with REX.W and without, 32-bit code with PAE and without paging. */
type Kind = 'wide' | 'long' | 'pae' | 'flat';
const modeOf = (kind: Kind): BenchMode => (kind === 'wide' ? 'long' : kind);
const seeds = fc.record({
  kind: oneOf<Kind>('wide', 'long', 'pae', 'flat'),
  name: oneOf('xsave', 'xsaveopt', 'xrstor'),
  xcr0: oneOf(3, 7, 7),
  mask: mostly(oneOf(7), fc.integer({ min: 0, max: 15 })),
  /** Components that are not as in their initial configuration. */
  used: fc.integer({ min: 0, max: 7 }),
  mxcsr: oneOf(MXCSR_DEFAULT, 0x1fa0),
  fill: fc.integer({ min: 1, max: 255 }),
  header: mostly(oneOf(0n, 2n, 4n, 6n), oneOf(1n, 7n, 3n)),
  at: mostly(oneOf(AT.data, AT.data + 0x40, AT.data + 0xd00, AT.data + 0xe40, AT.data + 0xfc0), oneOf(AT.data + 0xe00)),
});
type Seed = typeof seeds extends fc.Arbitrary<infer T> ? T : never;

function begin({ kind, name, xcr0, mask, used, mxcsr, fill, header, at }: Seed): void {
  m.start(modeOf(kind), { cr4: CR4.osfxsr | CR4.osxsave });
  const { cpu } = m;
  cpu.set64(STATE.xcr0, BigInt(xcr0));
  cpu.u8
    .fill(0, STATE.fcw, STATE.x87 + 128)
    .fill(0, STATE.xmm, STATE.xmm + 256)
    .fill(0, STATE.ymmHigh, STATE.ymmHigh + 256);
  cpu.u16[STATE.fcw >> 1] = 0x37f;
  if (used & 1) cpu.u8.fill(fill, STATE.x87, STATE.x87 + 10);
  if (used & 2) cpu.u8[STATE.xmm + fill] = fill;
  if (used & 4) cpu.u8[STATE.ymmHigh + 255] = fill;
  cpu.set32(STATE.mxcsr, mxcsr);
  m.ram.fill(fill, AT.data, AT.data + 0x2000);
  m.view.setUint32(at + FXSAVE_IMAGE.mxcsr, mxcsr, true);
  m.ram.fill(0, at + HEADER_AT, at + HEADER_AT + 64);
  m.put64(at + HEADER_AT, header);
  m.code((kind === 'wide' ? '48' : '') + ({ xsave: '0fae26', xsaveopt: '0fae36', xrstor: '0fae2e' }[name] as string));
  m.set([GPR.rsi, BigInt(at)], [GPR.rax, BigInt(mask)], [GPR.rdx, 0n]);
  cpu.updateMode();
  // In the TLBs, as a hot area is.
  for (const address of [at, at + 831]) {
    m.engine.mmu.probeWrite(BigInt(address), 1, false);
    m.engine.mmu.read(BigInt(address), 1, false);
  }
}
function slowWay({ kind, name, mask, at }: Seed): void {
  const [address, components] = [BigInt(at), BigInt(mask)];
  if (name === 'xrstor') xrstor(m.cpu, m.engine.mmu, address, components, kind === 'wide');
  else xsave(m.cpu, m.engine.mmu, address, components, kind === 'wide', name === 'xsaveopt');
}

it('does what the code in system/ does', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      fc.pre(seed.name !== 'xrstor' || (seed.header & ~BigInt(seed.xcr0)) === 0n);
      begin(seed);
      slowWay(seed);
      const expected = state();
      begin(seed);
      m.engine.run(1);
      expect(state()).toEqual(expected);
    }),
    { numRuns: 400 },
  );
});

const WHERE: readonly (readonly [string, number])[] = [
  ['in one page', AT.data],
  ['in two', AT.data + 0xe40],
];
const CASES = (['wide', 'pae'] as const).flatMap((kind) =>
  ['xsaveopt', 'xrstor'].flatMap((name) => WHERE.map(([words, at]) => ({ kind, name, words, at }))),
);
it.each(CASES)('$name ($kind) of a process that uses SSE, its area $words, does not leave WebAssembly', ({ kind, name, at }) => {
  const seed: Seed = { kind, name, xcr0: 7, mask: 7, used: 2, mxcsr: MXCSR_DEFAULT, fill: 9, header: 2n, at };
  begin(seed);
  const calls = vi.spyOn(m.engine.mmu, 'writeBytes');
  const reads = vi.spyOn(m.engine.mmu, 'readBytes');
  const length = kind === 'wide' ? 4 : 3;
  m.code('f4', AT.code + length);
  m.run(2);
  expect(m.engine.rip).toBe(BigInt(AT.code + length + 1));
  expect(calls).not.toHaveBeenCalled();
  expect(reads).not.toHaveBeenCalled();
});
