// What AMD's CPUs do otherwise than Intel's, and what both manuals leave to the implementation. SDM: Intel's manual; APM: AMD's.

import { DATA_BASE, DATA_SIZE } from './address-map.ts';
import type { Undefined } from './compare.ts';
import { differingBytes, stateUntouched } from './compare.ts';
import { ARITHMETIC_FLAGS, type CpuFault, IMAGE } from './cpu-image.ts';
import type { DifferingCase, VendorDifference } from './vendor-differences.ts';

const VECTOR = { db: 1, br: 5, ud: 6, ss: 12, gp: 13, pf: 14, ac: 17 } as const;
const RAX = 0,
  RCX = 1,
  RSP = 4,
  RSI = 6,
  RDI = 7,
  R8 = 8;
const FSW_ES = 0x80;
const MXCSR_MM = 0x2_0000;
const MAX_INSTRUCTION = 15;
const LEGACY_PREFIXES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);

const ALL: Undefined = { everything: true };
/** Whether and where it faults, and where execution goes on. */
const CONTROL: Undefined = { control: true };
/** Which exception it is, of those that are due at once. */
const WHICH_FAULT: Undefined = { whichFault: true };

export const AMD_DIFFERENCES: readonly VendorDifference[] = [
  {
    rows: /^(j(?!mpf)\w+|loop\w*|call|ret) /,
    what: 'near branches with a 66 prefix in 64-bit mode',
    source: 'SDM vol. 2, A.2.5 (f64): the prefix is ignored; APM vol. 1, 3.7.9, table 3-9: it makes the operand size 16 bits',
    excuse: (differing) => {
      const { row, mode, rex, native, emulated } = differing;
      if (mode !== 64 || (rex & 8) !== 0 || !hasPrefix(differing, 0x66)) return undefined;
      // With an 8-bit distance all but the target can be compared, and of the target the low half.
      const isShort =
        row.map === 0 && row.opcode !== 0xe8 && row.opcode !== 0xe9 && row.operands.some(({ source }) => source === 'J');
      if (!isShort) return ALL;
      const vector = native.fault?.vector;
      // Nothing is mapped there; with TF, #DB comes first.
      const isCut = native.image.rip === (emulated.image.rip & 0xffffn) && (vector === VECTOR.pf || vector === VECTOR.db);
      return isCut ? CONTROL : undefined;
    },
  },
  {
    rows: /^(l[sfg]s|callf|jmpf) /,
    what: 'far pointers in memory with REX.W',
    source: 'SDM vol. 2, LDS, CALL, JMP: m16:64; APM vol. 3, LDS, CALL (far), JMP (far): m16:32',
    excuse: ({ mode, rex }) => (mode === 64 && (rex & 8) !== 0 ? ALL : undefined),
  },
  {
    rows: /^prefetch /,
    what: '0F 0D with a register operand: that it is #UD',
    source: 'SDM vol. 2, table A-3: a reserved no-operation; APM vol. 3, appendix A, group P: invalid',
    excuse: ({ memory, native }) => (!memory && native.fault?.vector === VECTOR.ud ? CONTROL : undefined),
  },
  {
    rows: /^fxsave /,
    what: 'FXSAVE: bit 17 of MXCSR_MASK',
    source: 'APM vol. 1, 4.2.2: the misaligned exception mask; reserved in SDM vol. 1, 10.2.3',
    excuse: ({ native, emulated }) => {
      const bytes = differingBytes(native, emulated);
      const [at] = bytes;
      if (at === undefined || bytes.length !== 1 || at % 16 !== 14) return undefined;
      return (native.image.data[at] as number) === ((emulated.image.data[at] as number) | 2) ? { memory: bytes } : undefined;
    },
  },
  {
    rows: /^(ldmxcsr|fxrstor) /,
    what: 'LDMXCSR and FXRSTOR of values with bit 17 set: that they are not refused',
    source: 'APM vol. 1, 4.2.2; SDM vol. 1, 10.2.3',
    excuse: ({ native }) => ((native.image.mxcsr & MXCSR_MM) !== 0 ? ALL : undefined),
  },
  {
    rows: /^sysret /,
    what: 'SYSRET outside 64-bit mode: whether it is #UD or #GP',
    source: 'SDM vol. 2, SYSRET: only in 64-bit mode; APM vol. 3, SYSRET: in all, at CPL 0',
    excuse: ({ mode, native }) => (mode !== 64 && native.fault?.vector === VECTOR.gp ? WHICH_FAULT : undefined),
  },
  {
    rows: /^v?(rcp|rsqrt)[ps]s /,
    what: 'the last bits of approximations (the two differ by no more than the error allowed to both)',
    source: 'SDM vol. 2 and APM vol. 4, RCPPS, RSQRTPS: relative error up to 1.5 * 2^-12',
    excuse: () => ({ xmm: 'approximate' }),
  },
  {
    rows: /^v?dpp[sd] /,
    what: 'DPPS and DPPD: which NaN is the sum of two',
    source: 'SDM vol. 1, 4.8.3.5: the first operand; of the additions of DPPS neither manual says which that is',
    excuse: ({ row }) => ({ xmm: row.mnemonic.endsWith('dpps') ? 'singleNaN' : 'doubleNaN' }),
  },
  {
    rows: /^int1 /,
    what: 'INT1: the RIP that #DB pushes',
    source:
      'SDM vol. 2, INT1: behind the instruction; observed before it where a hypervisor intercepts #DB (APM vol. 2, 15.12.2) and injects it again',
    excuse: ({ before, native }) =>
      native.fault?.vector === VECTOR.db && native.image.rip === before.rip ? { rip: true } : undefined,
  },
  {
    rows: /^(movd|movq|movntq) /,
    what: 'the x87 state after a store of an MMX register that faults',
    source: 'SDM vol. 1, 9.5.1: TOP is cleared by the instruction; whether by one that faults, neither manual says',
    excuse: ({ memory, native, emulated }) => (memory && native.fault && emulated.fault ? { x87: true } : undefined),
  },
  {
    rows: /^push [defgsc]s /,
    what: 'PUSH of a selector: the upper half of a 32-bit slot, and exceptions of the wider store',
    source: 'SDM vol. 2, PUSH: a selector is zero-extended or written as 16 bits, by implementation',
    excuse: (differing) => {
      const { osize, native, emulated, before } = differing;
      if (osize === 2) return undefined;
      if (faultsInMemory(differing)) return ALL;
      const bytes = differingBytes(native, emulated);
      const isUpperHalf = bytes.every((at) => native.image.data[at] === 0 && emulated.image.data[at] === before.data[at]);
      return isUpperHalf && span(bytes) <= 2 ? { memory: bytes } : undefined;
    },
  },
  {
    rows: /^pop [defgs]s /,
    what: 'POP of a selector: exceptions of a read of the whole slot',
    source: 'SDM vol. 2, POP, and APM vol. 3, POP: of the slot only 16 bits count; that no more is read, neither says',
    excuse: (differing) => (faultsInMemory(differing) ? ALL : undefined),
  },
  {
    rows: /^movsxd /,
    what: 'MOVSXD: exceptions of a 32-bit read with a 66 prefix',
    source: 'SDM vol. 2, MOVSXD: r16, r/m16; APM vol. 3, MOVSXD: the source has 32 bits',
    excuse: (differing) => (differing.osize === 2 && faultsInMemory(differing) ? ALL : undefined),
  },
  {
    rows: /^(scas|cmps)b? /,
    what: 'repeated SCAS and CMPS that fault: the flags, and which of two bad operands is reported',
    source: 'SDM vol. 2, REP: the flags of the start are restored; APM vol. 3, 1.2.6, does not say so',
    excuse: (differing) => {
      const { row, native, emulated } = differing;
      if (!isRepeated(differing) || !native.fault || !emulated.fault) return undefined;
      return { flags: ARITHMETIC_FLAGS, whichFault: row.mnemonic.startsWith('cmps') && isMemoryFault(differing) };
    },
  },
  {
    rows: /^(movs|cmps|stos|lods|scas|ins|outs)b? /,
    what: 'repeated string instructions with 32-bit addresses in 64-bit mode, when nothing was done: bits 63:32 of RCX, RSI, RDI',
    source: 'SDM vol. 1, 3.4.1.1: a 32-bit result is zero-extended; of registers not written neither manual says',
    excuse: (differing) => {
      if (differing.mode !== 64 || differing.asize !== 4 || !isRepeated(differing)) return undefined;
      const { before, native } = differing;
      const isAsBefore = [RCX, RSI, RDI].every((reg) => native.image.gpr[reg] === before.gpr[reg]);
      const upper = 0xffff_ffff_0000_0000n;
      return isAsBefore
        ? {
            gprBits: new Map([
              [RCX, upper],
              [RSI, upper],
              [RDI, upper],
            ]),
          }
        : undefined;
    },
  },
  {
    rows: /^(movup[sd]|movdqu|lddqu|pcmp[ei]str[im]|v\w+) /,
    what: '16 or 32 unaligned bytes with alignment checking: whether that is #AC',
    source: 'SDM vol. 3, 6.15, interrupt 17: may or may not be, by implementation',
    excuse: (differing) =>
      differing.native.fault?.vector === VECTOR.ac && stateUntouched(differing.before, differing.native) ? ALL : undefined,
  },
  {
    rows: /^vp(ins|ext)rd /,
    what: 'VPINSRD and VPEXTRD with VEX.W outside 64-bit mode: that it is #UD',
    source: 'SDM vol. 2, PINSRB, PEXTRB: VEX.W is ignored; APM vol. 4: W1 is for 64-bit mode',
    excuse: ({ mode, code, native }) =>
      mode !== 64 && ((code[code.indexOf(0xc4) + 2] as number) & 0x80) !== 0 && native.fault?.vector === VECTOR.ud
        ? ALL
        : undefined,
  },
  {
    rows: /^vp?gather/,
    what: 'gathers with TF of which an element faults after others were loaded: that #DB comes before the fault',
    source: 'SDM vol. 2, VGATHERDPD: a trap may be delivered between elements',
    excuse: ({ native, emulated }) => (native.fault?.vector === VECTOR.db && emulated.fault !== undefined ? ALL : undefined),
  },
  {
    rows: /^sha(1|256)/,
    what: 'the SHA extensions with a misaligned operand: that it is #GP',
    source: 'SDM vol. 2, table 2-21 (type 4); observed: no fault',
    excuse: ({ emulated, memory }) => (memory && emulated.fault?.vector === VECTOR.gp ? ALL : undefined),
  },
  {
    rows: /./,
    what: 'accesses across the end of a 4-GiB segment: whether the limit is exceeded',
    source: 'SDM vol. 3, 5.3: with a limit of FFFFFFFFH these may or may not cause exceptions, by implementation',
    excuse: (differing) => {
      // A far call to 32-bit code checks the limit for its pushes.
      if ((differing.mode === 64 && differing.row.mnemonic !== 'callf') || !isBeyondLimit(differing)) return undefined;
      const fault = faultButAlignment(differing);
      // Flat segments begin at 0, the others at the window; no operand is longer than 512 bytes.
      const isAtEnd = [0n, BigInt(DATA_BASE)].some((base) => BigInt.asUintN(32, (fault?.cr2 ?? 0n) - base) > 0xffff_fe00n);
      return fault?.vector === VECTOR.pf && isAtEnd ? WHICH_FAULT : undefined;
    },
  },
  {
    rows: /^fx(save|rstor) /,
    what: 'FXSAVE and FXRSTOR, misaligned and beyond the limit: whether that is #GP or #SS',
    source: 'SDM vol. 3, table 6-2: faults of one instruction are of one class, the order the implementation’s',
    excuse: (differing) => {
      const { fault } = differing.emulated;
      return isBeyondLimit(differing) && fault?.vector === VECTOR.gp && fault.errorCode === 0 ? WHICH_FAULT : undefined;
    },
  },
  {
    rows: /./,
    what: 'misaligned accesses across the end of the canonical addresses: whether that is #AC',
    source: 'the same',
    excuse: (differing) => {
      const { mode, native, emulated } = differing;
      if (mode !== 64 || emulated.fault?.vector !== VECTOR.ac || !isBeyondLimit(differing)) return undefined;
      return faultButAlignment(differing)?.vector === native.fault?.vector ? WHICH_FAULT : undefined;
    },
  },
  {
    rows: /^(retf|iret) /,
    what: 'far RET and IRET to 32- or 16-bit code with bits 63:32 of RIP set: that it is #GP',
    source: 'SDM vol. 2, RET and IRET: RIP is cut to 32 bits before it is checked; APM vol. 3, RET (far), IRET: not said',
    excuse: (differing) => {
      const { before, native, emulated, osize } = differing;
      const at = Number(before.gpr[RSP] ?? 0n) - DATA_BASE;
      if (osize !== 8 || !(at >= 0 && at <= DATA_SIZE - 8) || emulated.image.mode === 64) return undefined;
      const isCut = before.view.getUint32(IMAGE.data + at + 4, true) !== 0;
      const isRefused = native.fault?.vector === VECTOR.gp && native.fault.errorCode === 0;
      return isCut && isRefused && stateUntouched(before, native) ? ALL : undefined;
    },
  },
  {
    rows: /^(retf|iret) /,
    what: 'far RET and IRET: which of several exceptions is reported',
    source: 'SDM vol. 3, table 6-2, and APM vol. 2, 8.5: within a class the order is the implementation’s',
    excuse: ({ native, emulated }) => {
      const { vector, errorCode } = native.fault ?? {};
      // The frame cannot be read, or the target is beyond its limit: neither is about a selector.
      const isOther =
        vector === VECTOR.pf || vector === VECTOR.ac || ((vector === VECTOR.gp || vector === VECTOR.ss) && errorCode === 0);
      return isOther && emulated.fault ? WHICH_FAULT : undefined;
    },
  },
  {
    rows: /^bound /,
    what: 'BOUND below the lower bound, when the upper one faults: which exception is reported',
    source: 'SDM vol. 2 and APM vol. 3, BOUND: whether both are read before either is compared, neither says',
    excuse: (differing) =>
      faultsInMemory(differing) && differing.emulated.fault?.vector === VECTOR.br ? WHICH_FAULT : undefined,
  },
  {
    rows: /^x87 \(d[bf]\)/,
    what: 'FSTP and FBSTP of ten bytes of which the last fault: that the first are stored',
    source: 'neither manual says; Intel’s CPUs make two stores of it',
    excuse: ({ before, native, emulated }) => {
      const bytes = differingBytes(native, emulated);
      const isOnlyEmulated = bytes.every((at) => native.image.data[at] === before.data[at]);
      return native.fault && emulated.fault && isOnlyEmulated && span(bytes) <= 8 ? { memory: bytes } : undefined;
    },
  },
  {
    rows: /^call /,
    what: 'near CALL: the stack below RSP after a target that is refused',
    source: 'SDM vol. 2, CALL, checks the target and then pushes; Intel’s CPUs have then stored the address already',
    excuse: ({ before, native, emulated, osize }) => {
      if (!native.fault || !emulated.fault) return undefined;
      const bytes = differingBytes(native, emulated);
      const isOnlyEmulated = bytes.every((at) => native.image.data[at] === before.data[at]);
      return isOnlyEmulated && span(bytes) <= osize ? { memory: bytes } : undefined;
    },
  },
  {
    rows: /^loopn?e /,
    what: 'LOOPE with F2 and LOOPNE with F3: that the prefix says which value of ZF ends the loop',
    source: 'SDM vol. 2, 2.1.1: reserved with anything but string instructions; its effect is unpredictable',
    excuse: (differing) => (hasPrefix(differing, differing.row.mnemonic === 'loope' ? 0xf2 : 0xf3) ? CONTROL : undefined),
  },
  {
    rows: /^(pause|nop) \((f3 )?90\)/,
    what: 'PAUSE with REX.B: that it is XCHG R8, RAX',
    source: 'F3 90 is PAUSE and REX.B 90 is XCHG (SDM vol. 2, table A-2; APM vol. 3, table A-1); of both together neither says',
    excuse: (differing) => {
      const { rex, osize, before, native } = differing;
      if ((rex & 1) === 0 || !hasPrefix(differing, 0xf3)) return undefined;
      const { gpr } = native.image;
      // Sixteen bits leave the rest of the register, 32 clear it.
      const [mask, kept] = osize === 8 ? [-1n, 0n] : osize === 4 ? [0xffff_ffffn, 0n] : [0xffffn, ~0xffffn];
      const old = (reg: number): bigint => before.gpr[reg] ?? 0n;
      const isExchange = [RAX, R8].every((reg) => gpr[reg] === ((old(reg) & kept) | (old(R8 - reg) & mask)));
      return isExchange ? { gprs: (1 << RAX) | (1 << R8) } : undefined;
    },
  },
  {
    rows: /^sh[lr]d /,
    what: 'SHLD and SHRD: the result of 16 bits shifted by more than 16',
    source: 'SDM vol. 2 and APM vol. 3, SHLD, SHRD: undefined',
    excuse: ({ osize, memory, rm, count, before, native, emulated }) => {
      if (osize !== 2 || (count(before) & 31) <= 16) return undefined;
      if (!memory) return { gprBits: new Map([[rm, 0xffffn]]) };
      const bytes = differingBytes(native, emulated);
      return span(bytes) <= 2 ? { memory: bytes } : undefined;
    },
  },
  {
    rows: /^x87 /,
    what: 'an x87 store that has an unmasked exception to report and may not write: which comes first',
    source: 'SDM vol. 3, table 6-2: faults of one instruction are of one class, the order the implementation’s',
    excuse: (differing) => {
      const { before, emulated, memory } = differing;
      const isPending = (emulated.image.fsw & FSW_ES) !== 0 && (before.fsw & ~before.fcw & 0x3f) === 0;
      return memory && isPending && faultsInMemory(differing) ? ALL : undefined;
    },
  },
  {
    rows: /^ud[01] /,
    what: 'UD0 and UD1 of more than 15 bytes: whether it is #GP or #UD',
    source: 'SDM vol. 2, UD: it has operands, which count; APM vol. 3, UD0, UD1, UD2: #UD, observed to come first',
    excuse: ({ code, native }) => (code.length > MAX_INSTRUCTION && native.fault?.vector === VECTOR.ud ? WHICH_FAULT : undefined),
  },
  {
    rows: /^v?maskmovdqu /,
    what: 'MASKMOVDQU: which of the 16 bytes a fault reports',
    source: 'SDM vol. 2, MASKMOVDQU: exceptions for bytes that the mask leaves out are the implementation’s',
    excuse: ({ native, emulated }) => (native.fault && emulated.fault ? WHICH_FAULT : undefined),
  },
  {
    rows: /^mov \(0f 2[02]/,
    what: 'LOCK MOV of CR0 outside 64-bit mode: that it is MOV of CR8',
    source: 'APM vol. 3, MOV CRn: CPUID Fn8000_0001_ECX[AltMovCr8]',
    excuse: (differing) => (hasPrefix(differing, 0xf0) && differing.native.fault?.vector === VECTOR.gp ? WHICH_FAULT : undefined),
  },
  {
    rows: /^verw /,
    what: 'VERW of memory with a LOCK prefix: that it is not refused',
    source: 'SDM vol. 2, VERW, and APM vol. 3, 1.2.5: #UD; observed of this one instruction, which clears buffers too',
    excuse: (differing) =>
      differing.memory && hasPrefix(differing, 0xf0) && differing.emulated.fault?.vector === VECTOR.ud ? ALL : undefined,
  },
];

function hasPrefix({ code, mode }: DifferingCase, prefix: number): boolean {
  for (const byte of code) {
    if (byte === prefix) return true;
    if (!LEGACY_PREFIXES.has(byte) && !(mode === 64 && byte >> 4 === 4)) return false;
  }
  return false;
}

const isRepeated = (differing: DifferingCase): boolean => hasPrefix(differing, 0xf2) || hasPrefix(differing, 0xf3);

function isMemoryFault({ native }: DifferingCase): boolean {
  const vector = native.fault?.vector;
  return vector === VECTOR.pf || vector === VECTOR.gp || vector === VECTOR.ss || vector === VECTOR.ac;
}

/** The native CPU's memory access failed, and left everything as it was. */
const faultsInMemory = (differing: DifferingCase): boolean =>
  isMemoryFault(differing) && stateUntouched(differing.before, differing.native);

/** #GP(0) or #SS(0), as of an address outside the segment. */
const isBeyondLimit = ({ native: { fault } }: DifferingCase): boolean =>
  (fault?.vector === VECTOR.gp || fault?.vector === VECTOR.ss) && fault.errorCode === 0;

/** The fault that the emulator finds once alignment is not checked. */
const faultButAlignment = ({ emulated, withoutAlignmentCheck }: DifferingCase): CpuFault | undefined =>
  (emulated.fault?.vector === VECTOR.ac ? withoutAlignmentCheck() : emulated).fault;

/** From the first offset to the last. */
function span(offsets: readonly number[]): number {
  return offsets.length === 0 ? 0 : (offsets[offsets.length - 1] as number) - (offsets[0] as number) + 1;
}
