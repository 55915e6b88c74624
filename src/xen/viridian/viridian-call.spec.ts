import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EINVAL, ENOSYS, EPERM } from '../../abi/xen/errno.ts';
import { ViridianGuest } from './fixtures/viridian-guest.ts';

const FLUSH_SPACE = 2n;
const FLUSH_LIST = 3n;
const SPIN_WAIT = 8n;
const SEND_IPI = 0xbn;
const FLUSH_SPACE_EX = 0x13n;
const SEND_IPI_EX = 0x15n;
const FAST = 1n << 16n;
const INVALID_CODE = 2n;
const INVALID_PARAMETER = 5n;
const reps = (n: number) => BigInt(n) << 32n;

/** u64s at a guest-physical address. */
const poke64 = (g: ViridianGuest, gpa: number, ...values: bigint[]): bigint => {
  g.guest.poke(gpa, ...values.flatMap((v) => [Number(v & 0xffff_ffffn), Number(v >> 32n)]));
  return BigInt(gpa);
};

for (const longMode of [true, false]) {
  describe(`a ${longMode ? 64 : 32}-bit caller's call with bit 31 of EAX`, () => {
    it('yields', () => {
      expect(new ViridianGuest().call(SPIN_WAIT | FAST, 0n, 0n, longMode)).toBe(0n);
    });

    it('gets "invalid code" for what is not there', () => {
      const g = new ViridianGuest();
      for (const code of [0n, 1n, 0x46n, 0x5cn, 0x8001n]) expect(g.call(code | reps(3), 0n, 0n, longMode)).toBe(INVALID_CODE);
    });

    it('flushes and reports all repetitions done', () => {
      const g = new ViridianGuest();
      const input = poke64(g, 0x3000, 0n, 0n, 0b10n);
      expect(g.call(FLUSH_LIST | reps(5), input, 0n, longMode)).toBe(reps(5));
      expect(g.call(FLUSH_SPACE, input, 0n, longMode)).toBe(0n);
      expect(g.flushes).toBe(2);
      poke64(g, 0x3000, 0n, 0n, 0b100n);
      expect(g.call(FLUSH_SPACE, input, 0n, longMode)).toBe(0n);
      expect(g.flushes).toBe(2);
      poke64(g, 0x3000, 0n, 1n, 0n);
      expect(g.call(FLUSH_SPACE, input, 0n, longMode)).toBe(0n);
      expect(g.flushes).toBe(3);
    });

    it('flushes a sparse set', () => {
      const g = new ViridianGuest();
      const flush = (...words: bigint[]) => g.call(FLUSH_SPACE_EX | reps(1), poke64(g, 0x3000, 0n, ...words), 0n, longMode);
      expect([flush(0n, 0n, 1n, 0b10n), g.flushes]).toEqual([reps(1), 1]);
      expect([flush(0n, 0n, 0b10n, 0b10n), g.flushes]).toEqual([reps(1), 1]);
      expect([flush(0n, 0n, 0n), g.flushes]).toEqual([reps(1), 1]);
      expect([flush(0n, 1n, 0n), g.flushes]).toEqual([reps(1), 2]);
      expect([flush(1n, 9n, 0n), g.flushes]).toEqual([reps(1), 3]);
      expect([flush(0n, 2n, 0n), g.flushes]).toEqual([INVALID_PARAMETER, 3]);
    });

    it('gets "invalid parameter" for a fast flush and for input outside memory', () => {
      const g = new ViridianGuest();
      expect(g.call(FLUSH_SPACE | FAST, 0x3000n, 0n, longMode)).toBe(INVALID_PARAMETER);
      for (const at of [0x3_fff0n, 0x99_9000n, 0xffff_ffff_ffff_fff8n]) {
        for (const code of [FLUSH_SPACE, FLUSH_SPACE_EX, SEND_IPI, SEND_IPI_EX])
          expect(g.call(code, at, 0n, longMode)).toBe(INVALID_PARAMETER);
      }
      expect(g.flushes).toBe(0);
    });

    it('sends an interrupt, fast and by memory, to the vCPUs there are', () => {
      const g = new ViridianGuest({ vcpus: 3 });
      expect(g.call(SEND_IPI | FAST, 0xf2n, 0xffff_ffff_0000_0101n, longMode)).toBe(0n);
      expect(g.interrupts.splice(0)).toEqual([[0, 0xf2]]);
      expect(g.call(SEND_IPI, poke64(g, 0x3000, 0x31n, 0b110n), 0n, longMode)).toBe(0n);
      expect(g.interrupts.splice(0)).toEqual([
        [1, 0x31],
        [2, 0x31],
      ]);
      expect(g.call(SEND_IPI_EX, poke64(g, 0x3000, 0x32n, 1n, 0n), 0n, longMode)).toBe(0n);
      expect(g.interrupts.splice(0)).toEqual([
        [0, 0x32],
        [1, 0x32],
        [2, 0x32],
      ]);
      expect(g.call(SEND_IPI_EX, poke64(g, 0x3000, 0x33n, 0n, 0b11n, 0b100n, ~0n & 0xffffn), 0n, longMode)).toBe(0n);
      expect(g.interrupts.splice(0)).toEqual([[2, 0x33]]);
    });

    it('refuses vectors below 16 and above 255, and another trust level', () => {
      const g = new ViridianGuest();
      for (const vector of [0n, 0xfn, 0x100n, 1n << 33n])
        expect(g.call(SEND_IPI | FAST, vector, 1n, longMode)).toBe(INVALID_PARAMETER);
      for (const code of [SEND_IPI, SEND_IPI_EX]) {
        expect(g.call(code, poke64(g, 0x3000, 0xfn, 1n, 1n, 1n), 0n, longMode)).toBe(INVALID_PARAMETER);
        expect(g.call(code, poke64(g, 0x3000, 0x1_0000_0031n, 1n, 1n, 1n), 0n, longMode)).toBe(INVALID_PARAMETER);
      }
      expect(g.call(SEND_IPI_EX | FAST, poke64(g, 0x3000, 0x31n, 1n), 0n, longMode)).toBe(INVALID_PARAMETER);
      expect(g.interrupts).toEqual([]);
    });
  });
}

describe('the two kinds of hypercall', () => {
  it('are told apart by bit 31, and only where the interface is', () => {
    const g = new ViridianGuest();
    g.rcx = SPIN_WAIT;
    expect(g.guest.call('xen_version', 0)).toBe(0x0004_0014);
    const calls = g.calls[0];
    expect(calls?.call(g.guest.callers[0] as never, 0x8000_0011)).toBe(0);
    expect(calls?.call(g.guest.callers[0] as never, 0x7fff_ffff)).toBe(-ENOSYS);
    const plain = new ViridianGuest({ config: { emulation: { viridian: false } } });
    expect(plain.calls[0]?.call(plain.guest.callers[0] as never, 0x8000_0011)).toBe(-ENOSYS);
  });

  it('leave EDX of a Xen call alone, and of a 64-bit one', () => {
    const g = new ViridianGuest();
    g.guest.callers[0] && Object.assign(g.guest.callers[0], { longMode: false });
    expect(g.calls[0]?.call(g.guest.callers[0] as never, 26)).toBe(-EINVAL);
    expect(g.edx).toBe(-1);
    g.call(SPIN_WAIT);
    expect(g.edx).toBe(-1);
  });

  it('both refuse a caller outside ring 0', () => {
    const g = new ViridianGuest();
    g.guest.callers[0] && Object.assign(g.guest.callers[0], { cpl: 3 });
    g.rcx = SPIN_WAIT;
    expect(g.calls[0]?.call(g.guest.callers[0] as never, 0x8000_0000)).toBe(-EPERM);
  });
});

describe('any call', () => {
  it('gets a status', () => {
    const word = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.constantFrom(0n, 1n, 2n, 0x31n, 0x3000n, 0x3_ffe8n));
    const code = fc.oneof(fc.constantFrom(2n, 3n, 8n, 0xbn, 0x13n, 0x14n, 0x15n), fc.bigInt({ min: 0n, max: 0xffffn }));
    fc.assert(
      fc.property(
        fc.array(fc.tuple(code, word, word, word, fc.array(word, { minLength: 6, maxLength: 6 }), fc.boolean())),
        (script) => {
          const g = new ViridianGuest();
          for (const [number, rest, first, second, words, longMode] of script) {
            poke64(g, 0x3000, ...words);
            const input = (rest & ~0xffffn) | number;
            const result = g.call(input, first, second, longMode);
            expect([0n, INVALID_CODE, INVALID_PARAMETER]).toContain(result & 0xffff_ffffn);
            expect([0n, (input >> 32n) & 0xfffn]).toContain(result >> 32n);
            expect(g.edx === -1).toBe(longMode);
          }
          for (const [vcpu, vector] of g.interrupts) expect(vcpu < 2 && vector >= 0x10 && vector <= 0xff).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });
});
