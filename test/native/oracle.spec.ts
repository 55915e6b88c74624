import { afterAll, describe, expect, it } from 'vitest';
import { CODE_BASE, CODE_ENTRY, DATA_BASE, DATA_SIZE, SELECTOR, STACK16_ESP_HIGH } from './address-map.ts';
import type { CpuMode, CpuResult } from './cpu-image.ts';
import { ARITHMETIC_FLAGS, CpuImage, FLAG, FXSAVE, IMAGE } from './cpu-image.ts';
import { NativeCpu } from './oracle.ts';
import { Random } from './random.ts';
import { StateGenerator } from './state.ts';

const RAX = 0,
  RCX = 1,
  RDX = 2,
  RBX = 3,
  RSP = 4,
  RSI = 6,
  RDI = 7,
  R15 = 15;
const DATA = BigInt(DATA_BASE);
const END = DATA + BigInt(DATA_SIZE);
const ENTRY = BigInt(CODE_ENTRY);
const ENDS_MASK = ARITHMETIC_FLAGS | FLAG.df;

const opened = NativeCpu.open();
if (!(opened instanceof NativeCpu)) console.warn(`native CPU: skipped: ${opened.unavailable}`);

describe.skipIf(!(opened instanceof NativeCpu))('the native CPU', () => {
  const cpu = opened as NativeCpu;
  afterAll(() => cpu.close());

  const run = (code: readonly number[], prepare: (image: CpuImage) => void = () => undefined, mode: CpuMode = 64): CpuResult => {
    const image = new CpuImage();
    image.reset(mode);
    prepare(image);
    return cpu.run(Uint8Array.from(code), image);
  };
  const page = (result: CpuResult) => [result.outcome, result.fault?.vector, result.fault?.errorCode, result.fault?.cr2];

  describe('general registers and flags', () => {
    it('loads and stores every register, RSP too', () => {
      const values = Array.from({ length: 16 }, (_, i) => 0x0123_4567_89ab_cde0n + BigInt(i) * 0x1000_0001n);
      const result = run([0x90], (image) => image.gpr.set(values));
      expect([...result.image.gpr]).toEqual(values);
      expect(result.image.rip).toBe(ENTRY + 1n);
      expect(result.outcome).toBe('done');
    });

    it('passes every state through a NOP unchanged', () => {
      const generator = new StateGenerator(new Random(1), { unmaskOneIn: 2, alignmentCheckOneIn: 4 });
      const states = Array.from({ length: 300 }, () => new CpuImage());
      const modes = [...cpu.modes];
      states.forEach((state, i) => generator.fill(state, modes[i % modes.length]!));
      let visited = 0;
      cpu.runBatch(
        states.map((state) => ({ code: Uint8Array.of(0x90), state })),
        (i, { outcome, image }) => {
          const state = states[i]!;
          expect(outcome).toBe('done');
          expect(image.gpr).toEqual(state.gpr);
          expect(image.rflags).toBe(state.rflags);
          expect(image.selectors).toEqual(state.selectors);
          expect(image.fxsave.slice(FXSAVE.xmm, FXSAVE.end)).toEqual(state.fxsave.slice(FXSAVE.xmm, FXSAVE.end));
          expect(image.fxsave.slice(FXSAVE.st, FXSAVE.xmm)).toEqual(state.fxsave.slice(FXSAVE.st, FXSAVE.xmm));
          expect([image.fcw, image.fsw, image.ftw, image.mxcsr]).toEqual([state.fcw, state.fsw, state.ftw, state.mxcsr]);
          expect(Buffer.compare(image.data, state.data)).toBe(0);
          visited++;
        },
      );
      expect(visited).toBe(300);
    });

    it('adds with carry: ADC RAX, RCX', () => {
      const { image } = run([0x48, 0x11, 0xc8], (state) => {
        state.gpr[RAX] = 0x7fff_ffff_ffff_ffffn;
        state.rflags |= FLAG.cf;
      });
      expect(image.gpr[RAX]).toBe(0x8000_0000_0000_0000n);
      expect(image.rflags & ENDS_MASK).toBe(FLAG.pf | FLAG.af | FLAG.sf | FLAG.of);
    });

    it('multiplies: MUL RCX', () => {
      const { image } = run([0x48, 0xf7, 0xe1], (state) => state.gpr.set([0xffff_ffff_ffff_ffffn, 3n]));
      expect([image.gpr[RAX], image.gpr[RDX]]).toEqual([0xffff_ffff_ffff_fffdn, 2n]);
      expect(image.rflags & (FLAG.cf | FLAG.of)).toBe(FLAG.cf | FLAG.of);
    });

    it('sets DF and AC with POPF, and leaves IF alone', () => {
      const { image } = run([0x9d], (state) => {
        state.gpr[RSP] = DATA;
        state.data.set([0x00, 0x04, 0x04, 0x00]);
      });
      expect(image.rflags).toBe(2 | FLAG.if | FLAG.df | FLAG.ac);
      expect(image.gpr[RSP]).toBe(DATA + 8n);
    });

    it('pushes and pops with an odd RSP: PUSH RAX, POP RCX', () => {
      const { image } = run([0x50, 0x59], (state) => {
        state.gpr[RAX] = 0x1122_3344_5566_7788n;
        state.gpr[RSP] = DATA + 0x11n;
      });
      expect([image.gpr[RCX], image.gpr[RSP]]).toEqual([0x1122_3344_5566_7788n, DATA + 0x11n]);
      expect([...image.data.subarray(9, 17)]).toEqual([0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
    });

    it('loads RIP-relative: MOV EAX, [RIP + 2] reads the code behind it', () => {
      const { image } = run([0x8b, 0x05, 0x02, 0x00, 0x00, 0x00, 0xeb, 0x04, 0x78, 0x56, 0x34, 0x12]);
      expect(image.gpr[RAX]).toBe(0x1234_5678n);
    });

    it('pushes the return address of a CALL that lands outside the code', () => {
      const result = run([0xe8, 0x10, 0x00, 0x00, 0x00], (state) => {
        state.gpr[RSP] = DATA + 0x100n;
      });
      expect([result.outcome, result.image.rip]).toEqual(['done', ENTRY + 0x15n]);
      expect(result.image.view.getBigUint64(IMAGE.data + 0xf8, true)).toBe(ENTRY + 5n);
    });

    it('loads the FS and GS bases when the host allows it', () => {
      const result = run([0x64, 0x48, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0], (state) => {
        state.fsBase = DATA;
        state.gsBase = 0x1234_5678_9abcn;
        state.data[0x10] = 0x5a;
      });
      if (result.outcome === 'fault')
        expect(result.fault).toMatchObject({ vector: 14, cr2: 0x10n }); // bases stay zero
      else expect([result.image.gpr[RAX], result.image.gsBase]).toEqual([0x5an, 0x1234_5678_9abcn]);
    });
  });

  describe('branches', () => {
    it.each([
      ['taken', FLAG.zf, ENTRY + 0x12n],
      ['not taken', 0, ENTRY + 2n],
    ])('JZ %s', (_, flags, rip) => {
      const result = run([0x74, 0x10], (state) => {
        state.rflags |= flags;
      });
      expect([result.outcome, result.image.rip]).toEqual(['done', rip]);
    });

    it('reports a landing in what would be the jump back', () => {
      const image = new CpuImage();
      const result = cpu.run(Uint8Array.of(0xeb, 0x02), image, 'trap');
      expect([result.outcome, result.image.rip]).toEqual(['done', ENTRY + 4n]);
    });

    it('faults on a jump into the data window, which is not executable', () => {
      expect(
        page(
          run([0xff, 0xe0], (state) => {
            state.gpr[RAX] = DATA;
          }),
        ),
      ).toEqual(['fault', 14, 0x15, DATA]);
    });

    it('gives up a case that does not end, and goes on', () => {
      expect(run([0xeb, 0xfe]).outcome).toBe('timeout');
      expect(run([0x90]).outcome).toBe('done');
    });
  });

  describe('faults', () => {
    it.each([
      ['#DE: DIV by zero', [0x48, 0xf7, 0xf1], 0, 0],
      ['#BP: INT3', [0xcc], 3, 0],
      ['#UD: UD2', [0x0f, 0x0b], 6, 0],
      ['#GP: HLT', [0xf4], 13, 0],
      ['#GP: INT 0x21', [0xcd, 0x21], 13, 0x21 * 8 + 2],
    ])('%s', (_, code, vector, errorCode) => {
      const result = run(code, (state) => {
        state.gpr[R15] = 77n;
      });
      expect(result.fault).toEqual({ vector, errorCode, cr2: 0n });
      expect(result.image.rip).toBe(vector === 3 ? ENTRY + 1n : ENTRY);
      expect(result.image.gpr[R15]).toBe(77n);
    });

    it('#PF behind the data window, with what came before it kept', () => {
      const result = run([0xff, 0xc1, 0x48, 0x8b, 0x06], (state) => {
        state.gpr[RSI] = END - 4n;
      });
      expect(page(result)).toEqual(['fault', 14, 4, END]);
      expect([result.image.gpr[RCX], result.image.rip]).toEqual([1n, ENTRY + 2n]);
    });

    it('#PF when writing before the data window', () => {
      expect(
        page(
          run([0x88, 0x06], (state) => {
            state.gpr[RSI] = DATA - 1n;
          }),
        ),
      ).toEqual(['fault', 14, 6, DATA - 1n]);
    });

    it('#PF when writing to the code page', () => {
      expect(
        page(
          run([0x88, 0x06], (state) => {
            state.gpr[RSI] = ENTRY;
          }),
        ),
      ).toEqual(['fault', 14, 7, ENTRY]);
    });

    it('#PF when an instruction runs over the end of the code page', () => {
      const end = BigInt(CODE_BASE + 0x1000);
      const result = run([0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8], (state) => {
        state.rip = end - 3n;
      });
      expect(page(result)).toEqual(['fault', 14, 0x14, end]);
      expect(result.image.rip).toBe(end - 3n);
    });

    it.each([
      ['#GP', RSI, [0x48, 0x8b, 0x06], 13],
      ['#SS', RSP, [0x50], 12],
    ])('%s at a non-canonical address', (_, reg, code, vector) => {
      expect(
        run(code, (state) => {
          state.gpr[reg] = 0x8000_0000_0000_0000n;
        }).fault,
      ).toMatchObject({ vector, errorCode: 0 });
    });

    it('#GP on a misaligned MOVAPS', () => {
      expect(
        run([0x0f, 0x28, 0x06], (state) => {
          state.gpr[RSI] = DATA + 8n;
        }).fault,
      ).toMatchObject({ vector: 13, errorCode: 0 });
    });

    it('#AC on a misaligned load with AC set', () => {
      const misaligned = (flags: number) =>
        run([0x8b, 0x06], (state) => {
          state.gpr[RSI] = DATA + 2n;
          state.rflags |= flags;
        });
      expect(misaligned(FLAG.ac).fault).toMatchObject({ vector: 17, errorCode: 0 });
      expect(misaligned(0).outcome).toBe('done');
    });

    it('#DB after the first instruction with TF set', () => {
      const result = run([0xff, 0xc0, 0xff, 0xc0], (state) => {
        state.rflags |= FLAG.tf;
      });
      expect(result.fault).toMatchObject({ vector: 1 });
      expect([result.image.gpr[RAX], result.image.rip]).toEqual([1n, ENTRY + 2n]);
      expect(result.image.rflags & FLAG.tf).toBe(FLAG.tf);
    });

    it('does not trap on the instruction that sets TF', () => {
      const result = run([0x9d], (state) => {
        state.gpr[RSP] = DATA;
        state.data[1] = 1;
      });
      expect([result.outcome, result.image.rip, result.image.rflags & FLAG.tf]).toEqual(['done', ENTRY + 1n, FLAG.tf]);
    });

    it('refuses system calls of the code', () => {
      expect(
        run([0x0f, 0x05], (state) => {
          state.gpr[RAX] = 231n;
        }).outcome,
      ).toBe('syscall');
      expect(
        run([0xcd, 0x80], (state) => {
          state.gpr[RAX] = 1n;
        }).outcome,
      ).toBe('syscall');
    });

    it('stops REP MOVSB in the middle', () => {
      const result = run([0xf3, 0xa4], (state) => {
        state.gpr[RSI] = DATA;
        state.gpr[RDI] = END - 3n;
        state.gpr[RCX] = 10n;
        state.data.set([1, 2, 3, 4]);
      });
      expect(page(result)).toEqual(['fault', 14, 6, END]);
      expect([result.image.gpr[RCX], result.image.gpr[RSI], result.image.gpr[RDI]]).toEqual([7n, DATA + 3n, END]);
      expect([...result.image.data.subarray(-3)]).toEqual([1, 2, 3]);
    });
  });

  describe('floating point', () => {
    const one = 0x3f80_0000n,
      zero = 0n;
    it('divides by zero: masked gives infinity and ZE, unmasked #XM', () => {
      const divide = (mxcsr: number) =>
        run([0xf3, 0x0f, 0x5e, 0xc1], (state) => {
          state.xmm[0] = one;
          state.xmm[2] = zero;
          state.mxcsr = mxcsr;
        });
      expect([divide(0x1f80).image.xmm[0], divide(0x1f80).image.mxcsr]).toEqual([0x7f80_0000n, 0x1f84]);
      const trapped = divide(0x1d80);
      expect(trapped.fault).toMatchObject({ vector: 19 });
      expect([trapped.image.xmm[0], trapped.image.mxcsr]).toEqual([one, 0x1d84]);
    });

    it('adds in x87: FLD1, FADD ST0, ST0', () => {
      const { image } = run([0xd9, 0xe8, 0xdc, 0xc0]);
      expect([(image.fsw >> 11) & 7, image.ftw]).toEqual([7, 0x80]);
      expect([...image.fxsave.subarray(FXSAVE.st, FXSAVE.st + 10)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0x80, 0x00, 0x40]);
    });

    it('#MF comes with the instruction after the one that failed: FLD1, FLDZ, FDIVP, FNOP', () => {
      const result = run([0xd9, 0xe8, 0xd9, 0xee, 0xde, 0xf9, 0xd9, 0xd0], (state) => {
        state.fcw = 0x37b;
      });
      expect(result.fault).toMatchObject({ vector: 16 });
      expect([result.image.rip, result.image.fsw & 0x84]).toEqual([ENTRY + 6n, 0x84]);
    });

    it('keeps MMX in the x87 registers: MOVD MM1, EAX', () => {
      const { image } = run([0x0f, 0x6e, 0xc8], (state) => {
        state.gpr[RAX] = 0x1234_5678n;
      });
      expect(image.ftw).toBe(0xff);
      expect(Buffer.from(image.fxsave.subarray(FXSAVE.st + 16, FXSAVE.st + 26)).toString('hex')).toBe('7856341200000000ffff');
    });
  });

  describe.skipIf(!cpu?.modes?.has(32))('32-bit mode', () => {
    it.each([
      ['AAA', [0x37], 0x000b, 0, 0x0101, FLAG.cf | FLAG.af],
      ['DAA', [0x27], 0x009a, 0, 0x0000, FLAG.cf | FLAG.af],
      ['INC ECX, not REX', [0x41, 0x40], 0x0001, 0, 0x0002, 0],
    ])('%s', (_, code, before, flags, after, flagsAfter) => {
      const { outcome, image } = run(
        code,
        (state) => {
          state.gpr[RAX] = BigInt(before);
          state.rflags |= flags;
        },
        32,
      );
      expect([outcome, image.gpr[RAX]]).toEqual(['done', BigInt(after)]);
      expect(image.rflags & (FLAG.cf | FLAG.af)).toBe(flagsAfter);
      expect(image.selectors[1]).toBe(SELECTOR.code32);
    });

    it('divides by zero in AAM 0', () => {
      expect(run([0xd4, 0x00], () => undefined, 32).fault).toMatchObject({ vector: 0 });
    });

    it('pushes all registers: PUSHA', () => {
      const { image } = run([0x60], (state) => state.gpr.set([1n, 2n, 3n, 4n, DATA + 0x40n, 6n, 7n, 8n]), 32);
      expect(image.gpr[RSP]).toBe(DATA + 0x20n);
      expect(Array.from({ length: 8 }, (_, i) => image.view.getUint32(IMAGE.data + 0x20 + 4 * i, true))).toEqual([
        8,
        7,
        6,
        DATA_BASE + 0x40,
        4,
        3,
        2,
        1,
      ]);
    });

    it('loads segment registers: POP ES, PUSH DS', () => {
      const { image } = run(
        [0x07, 0x1e],
        (state) => {
          state.gpr[RSP] = DATA + 0x40n;
          state.data[0x40] = 3;
        },
        32,
      );
      expect([image.selectors[0], image.view.getUint16(IMAGE.data + 0x40, true)]).toEqual([3, SELECTOR.data]);
    });

    it('#GP through a null selector, #BR from BOUND, #OF from INTO', () => {
      expect(
        run(
          [0x8b, 0x06],
          (state) => {
            state.selectors[3] = 0;
          },
          32,
        ).fault,
      ).toMatchObject({ vector: 13, errorCode: 0 });
      expect(run([0x62, 0x06], (state) => state.gpr.set([0xffff_ffffn, 0n, 0n, 0n, 0n, 0n, DATA]), 32).fault).toMatchObject({
        vector: 5,
      });
      expect(
        run(
          [0xce],
          (state) => {
            state.rflags |= FLAG.of;
          },
          32,
        ).fault,
      ).toMatchObject({ vector: 4 });
    });

    it('wraps at 4 GiB', () => {
      const { image } = run(
        [0x8b, 0x04, 0x1e],
        (state) => {
          state.gpr[RBX] = 0xffff_fff0n;
          state.gpr[RSI] = DATA + 0x10n;
          state.data[0] = 9;
        },
        32,
      );
      expect(image.gpr[RAX]).toBe(9n);
    });
  });

  describe.skipIf(!cpu?.modes?.has(16))('16-bit mode and descriptors', () => {
    it('addresses as 16-bit code does, with wrap-around: MOV AX, [BX+SI]', () => {
      const { outcome, image } = run(
        [0x8b, 0x00],
        (state) => {
          state.gpr[RBX] = 0xfff0n;
          state.gpr[RSI] = 0x12n;
          state.data.set([7, 8, 9, 10]);
        },
        16,
      );
      expect([outcome, image.gpr[RAX], image.rip]).toEqual(['done', 0x0a09n, 0x802n]);
    });

    it('pushes through SP and leaves the rest of ESP alone', () => {
      const { image } = run(
        [0x68, 0x34, 0x12],
        (state) => {
          state.gpr32[2 * RSP] = STACK16_ESP_HIGH | 0x100;
        },
        16,
      );
      expect(image.gpr32[2 * RSP]).toBe((STACK16_ESP_HIGH | 0xfe) >>> 0);
      expect(image.view.getUint16(IMAGE.data + 0xfe, true)).toBe(0x1234);
    });

    it('truncates the target of a near jump', () => {
      const result = run([0xe9, 0x10, 0xf8], () => undefined, 16);
      expect([result.outcome, result.image.rip]).toEqual(['done', 0x13n]);
    });

    it('reports a trap inside the code as #BP', () => {
      const result = run([0x90, 0xcc], () => undefined, 16);
      expect([result.fault?.vector, result.image.rip]).toEqual([3, 0x802n]);
    });

    it.each([
      ['within the limit', SELECTOR.tight, 0x17fcn, undefined],
      ['over the limit', SELECTOR.tight, 0x17fdn, 13],
      ['below an expand-down segment', SELECTOR.expandDown, 0x7ffn, 13],
      ['in an expand-down segment', SELECTOR.expandDown, 0x800n, undefined],
      ['over 64 KiB in a 16-bit expand-down segment', SELECTOR.expandDown16, 0x1_0000n, 13],
      ['read-only, reading', SELECTOR.readOnly, 0n, undefined],
    ])('loads %s', (_, selector, offset, vector) => {
      const result = run(
        [0x8b, 0x06],
        (state) => {
          state.selectors[3] = selector;
          state.gpr[RSI] = offset;
        },
        32,
      );
      expect(result.fault?.vector).toBe(vector);
    });

    it('#GP when writing to a read-only segment', () => {
      expect(
        run(
          [0x89, 0x06],
          (state) => {
            state.selectors[3] = SELECTOR.readOnly;
          },
          32,
        ).fault,
      ).toMatchObject({ vector: 13, errorCode: 0 });
    });

    it('#SS over the limit of the stack', () => {
      const result = run(
        [0x58],
        (state) => {
          state.selectors[2] = SELECTOR.tight;
          state.gpr[RSP] = 0x17fen;
        },
        32,
      );
      expect(result.fault).toMatchObject({ vector: 12, errorCode: 0 });
    });
  });

  it('refuses states that cannot be loaded', () => {
    expect(() =>
      run([0x90], (state) => {
        state.mxcsr = 0x1_0000;
      }),
    ).toThrow(RangeError);
    expect(() =>
      run([0x90], (state) => {
        state.rip = DATA;
      }),
    ).toThrow(RangeError);
    expect(() =>
      run([0x90], (state) => {
        state.selectors[3] = 0x18;
      }),
    ).toThrow(RangeError);
  });
});
