// CPUID: what the engine implements, no more and no less. SDM vol. 2A, CPUID.
import type { Cpu } from '../cpu.ts';
import { CODE_MODE, CR4, STATE, STATE_COMPONENTS } from '../state.ts';
import { XCR0_VALID } from './control-registers.ts';
import { LINEAR_ADDRESS_BITS, PHYSICAL_ADDRESS_BITS } from './system-state.ts';
import { AVX_AREA, xsaveAreaBytes } from './xsave.ts';

export type CpuidWords = readonly [eax: number, ebx: number, ecx: number, edx: number];

/** What the machine decides about a vCPU's identity. */
export interface CpuidPolicy {
  /** x2APIC ID. */
  readonly apicId: number;
  readonly vcpuCount: number;
  /** IA32_APIC_BASE bit 11 of this vCPU: EDX[9] of leaf 1 follows it. */
  readonly apicEnabled: boolean;
  readonly tscKHz: number;
  /**
   * Frequency that the APIC timer counts at, in Hz; leaves 15H and 16H exist only when it is given, because kernels take the
   * crystal of leaf 15H for the APIC timer's clock.
   */
  readonly crystalHz?: number;
  /** Leaves 0x4000_0000..0x4fff_ffff, or undefined where there is none. */
  hypervisor(leaf: number, subleaf: number): CpuidWords | undefined;
}

const bits = (...positions: readonly number[]): number => positions.reduce((word, bit) => word | (1 << bit), 0) >>> 0;

/**
 * Family 6, model 36H, stepping 1: an in-order core, as the engine is one. Kernels know that it does not speculate, and leave
 * out page-table isolation, retpolines and the like, which would cost much here and protect nothing.
 */
export const SIGNATURE = 0x0003_0661;

/** FPU VME DE PSE TSC MSR PAE MCE CX8 SEP MTRR PGE MCA CMOV PAT PSE36 CLFSH MMX FXSR SSE SSE2; APIC and HTT depend. */
const LEAF1_EDX = bits(0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17, 19, 23, 24, 25, 26);
const APIC = bits(9);
const HTT = bits(28);
/** SSE3 PCLMULQDQ SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 x2APIC MOVBE POPCNT TSC-deadline AES XSAVE AVX F16C RDRAND hypervisor; OSXSAVE depends. */
const LEAF1_ECX = bits(0, 1, 9, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 28, 29, 30, 31);
const OSXSAVE = bits(27);
/**
 * FSGSBASE, TSC_ADJUST, BMI1, AVX2, SMEP, BMI2, ERMS, ADX, SMAP, SHA. Neither bit 6 nor bit 13: the x87 data pointer follows every instruction with a
 * memory operand, and FCS and FDS are real.
 */
const LEAF7_EBX = bits(0, 1, 3, 5, 7, 8, 9, 19, 20, 29);
/** UMIP. */
const LEAF7_ECX = bits(2);
/** SERIALIZE, without which a Linux takes an IRET for each place of its code that it patches; IA32_ARCH_CAPABILITIES. */
const LEAF7_EDX = bits(14, 29);
/** NX, 1-GiB pages, RDTSCP, long mode; SYSCALL depends. */
const EXTENDED_EDX = bits(20, 26, 27, 29);
const SYSCALL = bits(11);
/** LAHF in 64-bit mode, LZCNT. */
const EXTENDED_ECX = bits(0, 5);

const CLFLUSH_QUADWORDS = 8;
const BRAND = 'dom1 x86-64 engine';
const NOTHING: CpuidWords = [0, 0, 0, 0];
const MAX_EXTENDED = 0x8000_0008;

const maxBasic = (policy: CpuidPolicy): number => (policy.crystalHz === undefined ? 0xd : 0x16);

/** @param leaf EAX, u32. @param subleaf ECX, u32. */
export function cpuid(cpu: Cpu, leaf: number, subleaf: number, policy: CpuidPolicy): CpuidWords {
  if (leaf >= 0x4000_0000 && leaf <= 0x4fff_ffff) {
    const answer = policy.hypervisor(leaf, subleaf);
    if (answer !== undefined) return answer;
  }
  if (leaf >= 0x8000_0000 && leaf <= MAX_EXTENDED) return extended(cpu, leaf);
  // Beyond the highest leaf, Intel CPUs answer with the highest basic one.
  return basic(cpu, Math.min(leaf, maxBasic(policy)), subleaf, policy);
}

function basic(cpu: Cpu, leaf: number, subleaf: number, policy: CpuidPolicy): CpuidWords {
  switch (leaf) {
    case 0x0: {
      const [ebx, edx, ecx] = words('GenuineIntel', 3);
      return [maxBasic(policy), ebx as number, ecx as number, edx as number];
    }
    case 0x1:
      return features(cpu, policy);
    // 64-entry TLBs (50H, 5BH); FFH refers to leaf 4 for the caches.
    case 0x2:
      return [0x5b50_ff01, 0, 0, 0];
    case 0x4:
      return cache(subleaf, policy);
    // ARAT: the APIC timer never stops.
    case 0x6:
      return [bits(2), 0, 0, 0];
    case 0x7:
      return subleaf === 0 ? [0, LEAF7_EBX, LEAF7_ECX, LEAF7_EDX] : NOTHING;
    case 0xb:
      return topology(subleaf, policy);
    case 0xd:
      return extendedState(cpu, subleaf);
    case 0x15:
      return tscRatio(policy);
    case 0x16:
      return [Math.round(policy.tscKHz / 1000), Math.round(policy.tscKHz / 1000), Math.round((policy.crystalHz ?? 0) / 1e6), 0];
    default:
      return NOTHING;
  }
}

function features(cpu: Cpu, policy: CpuidPolicy): CpuidWords {
  const { apicId, vcpuCount } = policy;
  const logical = vcpuCount > 1 ? 1 << idBits(vcpuCount) : 1;
  const ebx = ((apicId & 0xff) << 24) | ((logical & 0xff) << 16) | (CLFLUSH_QUADWORDS << 8);
  const ecx = LEAF1_ECX | (cpu.cr4 & CR4.osxsave ? OSXSAVE : 0);
  const edx = LEAF1_EDX | (policy.apicEnabled ? APIC : 0) | (vcpuCount > 1 ? HTT : 0);
  return [SIGNATURE, ebx >>> 0, ecx >>> 0, edx >>> 0];
}

interface Cache {
  /** 1 data, 2 instructions, 3 both. */
  readonly type: number;
  readonly level: number;
  readonly ways: number;
  readonly sets: number;
}
const LINE_BYTES = 64;
/** 32 KiB, 32 KiB, 1 MiB, all private to a vCPU. */
const CACHES: readonly Cache[] = [
  { type: 1, level: 1, ways: 8, sets: 64 },
  { type: 2, level: 1, ways: 8, sets: 64 },
  { type: 3, level: 2, ways: 16, sets: 1024 },
];

function cache(subleaf: number, policy: CpuidPolicy): CpuidWords {
  const found = CACHES[subleaf];
  if (found === undefined) return NOTHING;
  const coresPerPackage = (1 << idBits(policy.vcpuCount)) - 1;
  const selfInitialising = 1 << 8;
  const eax = ((coresPerPackage & 0x3f) << 26) | selfInitialising | (found.level << 5) | found.type;
  return [eax >>> 0, (((found.ways - 1) << 22) | (LINE_BYTES - 1)) >>> 0, found.sets - 1, 0];
}

/** One thread a core, all cores in one package. */
function topology(subleaf: number, policy: CpuidPolicy): CpuidWords {
  const { apicId, vcpuCount } = policy;
  const SMT = 1;
  const CORE = 2;
  if (subleaf === 0) return [0, 1, SMT << 8, apicId];
  if (subleaf === 1) return [idBits(vcpuCount), vcpuCount, (CORE << 8) | 1, apicId];
  return [0, 0, subleaf & 0xff, apicId];
}

/** Bits of the APIC ID that tell the vCPUs apart. */
const idBits = (count: number): number => (count <= 1 ? 0 : 32 - Math.clz32(count - 1));

/** EBX of sub-leaf 0 is the size for what XCR0 has, ECX that for everything. */
function extendedState(cpu: Cpu, subleaf: number): CpuidWords {
  if (subleaf === 0) return [XCR0_VALID, xsaveAreaBytes(cpu.get32(STATE.xcr0)), xsaveAreaBytes(XCR0_VALID), 0];
  const XSAVEOPT = 1;
  if (subleaf === 1) return [XSAVEOPT, 0, 0, 0];
  return 1 << subleaf === STATE_COMPONENTS.avx && subleaf < 32 ? [AVX_AREA.bytes, AVX_AREA.at, 0, 0] : NOTHING;
}

function tscRatio(policy: CpuidPolicy): CpuidWords {
  const crystal = policy.crystalHz ?? 0;
  const tsc = policy.tscKHz * 1000;
  const divisor = gcd(tsc, crystal);
  return [crystal / divisor, tsc / divisor, crystal, 0];
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

function extended(cpu: Cpu, leaf: number): CpuidWords {
  switch (leaf) {
    case 0x8000_0000:
      return [MAX_EXTENDED, 0, 0, 0];
    case 0x8000_0001: {
      // Intel shows SYSCALL in 64-bit mode only, where alone it works.
      const wide = cpu.get32(STATE.codeMode) === CODE_MODE.code64;
      return [0, 0, EXTENDED_ECX, (EXTENDED_EDX | (wide ? SYSCALL : 0)) >>> 0];
    }
    case 0x8000_0002:
    case 0x8000_0003:
    case 0x8000_0004: {
      const [a, b, c, d] = words(BRAND, 12).slice((leaf - 0x8000_0002) * 4);
      return [a as number, b as number, c as number, d as number];
    }
    // L2: 1 MiB, 16-way (code 8), 64-byte lines.
    case 0x8000_0006:
      return [0, 0, (1024 << 16) | (8 << 12) | LINE_BYTES, 0];
    // Invariant TSC.
    case 0x8000_0007:
      return [0, 0, 0, bits(8)];
    case 0x8000_0008:
      return [(LINEAR_ADDRESS_BITS << 8) | PHYSICAL_ADDRESS_BITS, 0, 0, 0];
    default:
      return NOTHING;
  }
}

/** ASCII text as little-endian dwords, padded with zeros. */
function words(text: string, count: number): number[] {
  const code = (i: number) => (i < text.length ? text.charCodeAt(i) : 0);
  return Array.from(
    { length: count },
    (_, w) => (code(w * 4) | (code(w * 4 + 1) << 8) | (code(w * 4 + 2) << 16) | (code(w * 4 + 3) << 24)) >>> 0,
  );
}
