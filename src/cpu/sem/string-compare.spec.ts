import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { EXIT } from '../../vcpu/contract.ts';
import { FLAG, STATE } from '../state.ts';
import { AT, LongModeEngine } from '../translator/fixtures/long-mode-engine.ts';

const [RAX, RCX, RSI, RDI] = [0, 1, 6, 7];
const machine = new LongModeEngine(false);
const { engine, memory } = machine;

interface Case {
  readonly prefix: 0xf2 | 0xf3;
  readonly scas: boolean;
  readonly size: 1 | 2 | 4 | 8;
  readonly down: boolean;
  readonly count: number;
  /** Bytes from the data's first page to the first element. */
  readonly first: number;
  readonly second: number;
  /** Elements that differ from all others. */
  readonly odd: readonly number[];
}
const cases: fc.Arbitrary<Case> = fc.record({
  prefix: fc.constantFrom(0xf2, 0xf3),
  scas: fc.boolean(),
  size: fc.constantFrom(1, 2, 4, 8),
  down: fc.boolean(),
  count: fc.nat(300),
  first: fc.nat(4096),
  second: fc.nat(4096),
  odd: fc.array(fc.nat(320), { maxLength: 3 }),
});

const DATA = AT.data + 0x8000;
const OTHER = AT.data + 0x10000;
const opcode = ({ scas, size }: Case): number[] => [
  ...(size === 2 ? [0x66] : []),
  0,
  ...(size === 8 ? [0x48] : []),
  (scas ? 0xae : 0xa6) + (size > 1 ? 1 : 0),
];

/** Element by element, as SDM vol. 2 has it under REP. */
function elements({ prefix, count, odd }: Case): { readonly done: number; readonly equal: boolean | undefined } {
  const stopsAtEqual = prefix === 0xf2;
  let equal: boolean | undefined;
  for (let done = 0; done < count; done++) {
    const marked = odd.includes(done);
    equal = stopsAtEqual ? marked : !marked;
    if (equal === stopsAtEqual) return { done: done + 1, equal };
  }
  return { done: count, equal };
}

/** Memory in which an element is as wanted where it is marked, and otherwise not. */
function prepare({ prefix, scas, size, down, count, first, second, odd }: Case): void {
  const step = down ? -size : size;
  const [equalValue, otherValue] = [0x5a, 0x5b];
  for (let i = 0; i < count; i++) {
    const isEqual = (prefix === 0xf2) === odd.includes(i);
    const bytes = new Uint8Array(size).fill(equalValue);
    memory.write((DATA + second + i * step) as Gpa, bytes);
    if (!isEqual) bytes[size - 1] = otherValue;
    memory.write(((scas ? DATA + second : OTHER + first) + i * step) as Gpa, bytes);
  }
}

describe('comparisons with a REP prefix', () => {
  it('stop where element by element would', () => {
    fc.assert(
      fc.property(cases, (c) => {
        const code = opcode(c).map((byte) => (byte === 0 ? c.prefix : byte));
        machine.load(Uint8Array.from([...code, 0xf4]));
        prepare(c);
        const { cpu } = engine;
        cpu.set64(STATE.gpr + RAX * 8, 0x5a5a_5a5a_5a5a_5a5an);
        cpu.set64(STATE.gpr + RCX * 8, BigInt(c.count));
        cpu.set64(STATE.gpr + RSI * 8, BigInt(OTHER + c.first));
        cpu.set64(STATE.gpr + RDI * 8, BigInt(DATA + c.second));
        if (c.down) cpu.set32(STATE.eflags, FLAG.df);
        expect(engine.run(10_000)).toBe(EXIT.hlt);
        const { done, equal } = elements(c);
        const moved = BigInt(done * (c.down ? -c.size : c.size));
        expect(cpu.get64(STATE.gpr + RCX * 8)).toBe(BigInt(c.count - done));
        expect(cpu.get64(STATE.gpr + RDI * 8)).toBe(BigInt(DATA + c.second) + moved);
        expect(cpu.get64(STATE.gpr + RSI * 8)).toBe(BigInt(OTHER + c.first) + (c.scas ? 0n : moved));
        if (equal !== undefined) expect(cpu.get64(STATE.flagZ) === 0n).toBe(equal);
      }),
      { numRuns: 400 },
    );
  });
});
