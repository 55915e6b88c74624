// struct vcpu_hvm_context, with which a guest starts another of its vCPUs: checked and decoded.
// public/hvm/hvm_vcpu.h; the checks are those of xen/arch/x86/hvm/domain.c, arch_set_info_hvm_guest.
import { EINVAL } from '../../abi/xen/errno.ts';
import { VcpuHvmContext as Any, VCPU_HVM_MODE, VcpuHvmContext32 as W32, VcpuHvmContext64 as W64 } from '../../abi/xen/vcpu.ts';
import type { Segment } from '../../vcpu/contract.ts';

/** What a vCPU begins with. FS, GS and LDTR are left as a reset leaves them. */
export interface VcpuContext {
  /** RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI. R8 to R15 are left as a reset leaves them. */
  readonly registers: readonly bigint[];
  readonly rip: bigint;
  readonly rflags: bigint;
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  /** LMA is set whenever LME is. */
  readonly efer: bigint;
  readonly segments: {
    readonly cs: Segment;
    readonly ds: Segment;
    readonly es: Segment;
    readonly ss: Segment;
    readonly tr: Segment;
  };
}

const EFER = { sce: 1n << 0n, lme: 1n << 8n, lma: 1n << 10n, nxe: 1n << 11n } as const;
const EFER_VALID = EFER.sce | EFER.lme | EFER.lma | EFER.nxe;
const CR0_PG = 1n << 31n;
const CR4_PAE = 1n << 5n;
/** VME to OSXMMEXCPT, UMIP, FSGSBASE, PCIDE, OSXSAVE, SMEP, SMAP: what the virtual processor's CPUID has. */
const CR4_VALID = 0x37_0fffn;
/** RF, VM, IOPL, NT, AC, VIF, VIP, ID and the flags below; bit 1 is always set. */
const RFLAGS_ALL = 0x3f_7fd5n;
const RFLAGS_ONE = 2n;

/** `struct segment_register` in 12 bits: descriptor bits 40..47 and 52..55. */
const AR = { type: 0xf, code: 8, accessible: 2, accessed: 1, s: 1 << 4, dpl: 5, p: 1 << 7, g: 1 << 11, all: 0xfff } as const;
const BUSY_TSS = 11;

/** Checks the structure at the start of `view`. Returns 0 or -EINVAL. */
export function checkHvmContext(view: DataView): number {
  if (Any.pad.get(view, 0) !== 0) return -EINVAL;
  switch (Any.mode.get(view, 0)) {
    case VCPU_HVM_MODE.b32:
      if (!isValid32(view)) return -EINVAL;
      break;
    case VCPU_HVM_MODE.b64:
      if (!isValid64(view)) return -EINVAL;
      break;
    default:
      return -EINVAL;
  }
  const context = decodeHvmContext(view, 0);
  return context.cr4 & ~CR4_VALID || context.efer & ~EFER_VALID ? -EINVAL : 0;
}

function isValid32(view: DataView): boolean {
  if (W32.pad1.get(view, 0) || W32.pad2_0.get(view, 0) || W32.pad2_1.get(view, 0) || W32.pad2_2.get(view, 0)) return false;
  const cs = present(W32.cs_ar.get(view, 0), AR.accessed);
  const ds = present(W32.ds_ar.get(view, 0), AR.accessed);
  const ss = present(W32.ss_ar.get(view, 0), AR.accessed);
  const es = present(W32.es_ar.get(view, 0), AR.accessed);
  const tr = present(W32.tr_ar.get(view, 0), 2);
  if (!isCode(cs) || !isStack(ss) || !isTask(tr) || !isData(ds) || !isData(es)) return false;
  if (W32.eip.get(view, 0) > byteLimit(W32.cs_limit.get(view, 0), cs)) return false;
  const level = dpl(cs);
  if (dpl(ss) !== level) return false;
  if ((ds & AR.p && dpl(ds) > level) || (es & AR.p && dpl(es) > level)) return false;
  const efer = W32.efer.get(view, 0);
  return (efer & EFER.lma) === 0n || (efer & EFER.lme) !== 0n;
}

function isValid64(view: DataView): boolean {
  const rip = W64.rip.get(view, 0);
  const canonical = BigInt.asUintN(64, BigInt.asIntN(48, rip)) === rip;
  return (
    canonical &&
    (W64.cr0.get(view, 0) & CR0_PG) !== 0n &&
    (W64.cr4.get(view, 0) & CR4_PAE) !== 0n &&
    (W64.efer.get(view, 0) & EFER.lme) !== 0n
  );
}

/** The accessed or busy bit is set for a present segment. */
const present = (ar: number, bit: number): number => (ar & AR.p ? ar | bit : ar);
const dpl = (ar: number): number => (ar >>> AR.dpl) & 3;
/** The limit in bytes; with G it counts pages, whatever its upper bits hold. */
const byteLimit = (limit: number, ar: number): number => (ar & AR.g ? ((limit << 12) | 0xfff) >>> 0 : limit);

/** Bits 12 to 15 clear, and a segment for code or data that is present. */
const isSegment = (ar: number): boolean => (ar & ~AR.all) === 0 && (ar & (AR.s | AR.p)) === (AR.s | AR.p);
const isCode = (ar: number): boolean => isSegment(ar) && (ar & AR.code) !== 0;
const isStack = (ar: number): boolean => isSegment(ar) && (ar & (AR.code | AR.accessible)) === AR.accessible;
/** Readable, or no segment at all. */
const isData = (ar: number): boolean => ar === 0 || (isSegment(ar) && (ar & (AR.code | AR.accessible)) !== AR.code);
const isTask = (ar: number): boolean => (ar & ~AR.all) === 0 && (ar & (AR.s | AR.p)) === AR.p && (ar & AR.type) === BUSY_TSS;

/** Decodes a structure that `checkHvmContext` found valid. */
export function decodeHvmContext(view: DataView, at: number): VcpuContext {
  return Any.mode.get(view, at) === VCPU_HVM_MODE.b64 ? decode64(view, at) : decode32(view, at);
}

function decode32(view: DataView, at: number): VcpuContext {
  const word = (field: { get(view: DataView, at: number): number }): bigint => BigInt(field.get(view, at));
  const efer = W32.efer.get(view, at);
  return {
    registers: [W32.eax, W32.ecx, W32.edx, W32.ebx, W32.esp, W32.ebp, W32.esi, W32.edi].map(word),
    rip: word(W32.eip),
    rflags: (word(W32.eflags) & RFLAGS_ALL) | RFLAGS_ONE,
    cr0: word(W32.cr0),
    cr3: word(W32.cr3),
    cr4: word(W32.cr4),
    efer: efer & EFER.lme ? efer | EFER.lma : efer,
    segments: {
      cs: segment(W32.cs_base.get(view, at), W32.cs_limit.get(view, at), present(W32.cs_ar.get(view, at), AR.accessed)),
      ds: segment(W32.ds_base.get(view, at), W32.ds_limit.get(view, at), present(W32.ds_ar.get(view, at), AR.accessed)),
      es: segment(W32.es_base.get(view, at), W32.es_limit.get(view, at), present(W32.es_ar.get(view, at), AR.accessed)),
      ss: segment(W32.ss_base.get(view, at), W32.ss_limit.get(view, at), present(W32.ss_ar.get(view, at), AR.accessed)),
      tr: segment(W32.tr_base.get(view, at), W32.tr_limit.get(view, at), present(W32.tr_ar.get(view, at), 2)),
    },
  };
}

function decode64(view: DataView, at: number): VcpuContext {
  const word = (field: { get(view: DataView, at: number): bigint }): bigint => field.get(view, at);
  const data = segment(0, 0xffff_ffff, 0xc93);
  return {
    registers: [W64.rax, W64.rcx, W64.rdx, W64.rbx, W64.rsp, W64.rbp, W64.rsi, W64.rdi].map(word),
    rip: word(W64.rip),
    rflags: (word(W64.rflags) & RFLAGS_ALL) | RFLAGS_ONE,
    cr0: word(W64.cr0),
    cr3: word(W64.cr3),
    cr4: word(W64.cr4),
    efer: word(W64.efer) | EFER.lma,
    segments: { cs: segment(0, 0xffff_ffff, 0xa9b), ds: data, es: data, ss: data, tr: segment(0, 0x67, 0x8b) },
  };
}

/** `ar` in 12 bits; a `Segment` has its upper four at bits 12 to 15, and no selector comes with it. */
function segment(base: number, limit: number, ar: number): Segment {
  const attributes = (ar & 0xff) | ((ar & 0xf00) << 4);
  return { selector: 0, base: BigInt(base), limit: byteLimit(limit, ar), attributes };
}
