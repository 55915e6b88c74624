// Microsoft's hypercalls, as Xen serves them: xen/arch/x86/hvm/viridian/viridian.c. All are there, whatever CPUID recommends.
import {
  HV_CALL,
  HV_FLUSH_ALL_PROCESSORS,
  HV_INPUT,
  HV_SET,
  HV_STATUS,
  HvFlush,
  HvFlushEx,
  HvSendIpi,
  HvSendIpiEx,
} from '../../abi/hyperv.ts';
import type { Gpa } from '../../abi/types.ts';
import type { HypercallContext } from '../calls/hypercall-context.ts';

/** Bit 31 of EAX marks a call as Microsoft's: their stub sets it (xen/arch/x86/hvm/hypercall.c). */
export const VIRIDIAN_CALL = 0x8000_0000;

/** The lowest vector a virtual interrupt may have. */
const FIRST_VECTOR = 0x10;
/** Every vCPU, instead of a mask. */
const ALL = 'all';
/** The vCPUs a call is for: bit n is vCPU n. Bits beyond the last vCPU name nobody. */
type Targets = bigint | typeof ALL;

/** A call's arguments: two of them, by guest-physical address or, for a fast call, by value. */
interface Call {
  readonly input: Gpa;
  readonly fast: boolean;
  readonly first: bigint;
  readonly second: bigint;
}

/**
 * Serves a call with bit 31 of EAX set in a domain that has Microsoft's interface. `eax`: unsigned. Returns RAX, or EAX in the
 * low half: the status, and repetitions done from bit 32 on, below 2^44. EDX of a 32-bit caller is set by its hook.
 */
export function viridianCall(c: HypercallContext, eax: number): number {
  const hooks = c.vcpu.viridian;
  if (hooks === undefined) return HV_STATUS.invalid_hypercall_code;
  const { longMode } = c.caller;
  const input = longMode ? hooks.rcx() : pair(c, 2, BigInt(eax));
  const low = Number(input & 0xffff_ffffn);
  const code = low & HV_INPUT.code;
  const status = serve(c, code, (low & HV_INPUT.fast) !== 0);
  const flush = status === HV_STATUS.success && FLUSHES.has(code);
  const done = flush ? Number(input >> 32n) & HV_INPUT.rep_count_high : 0;
  if (!longMode) hooks.setEdx(done);
  const { trace } = c.domain;
  if (trace.viridian_call.on) trace.viridian_call(c.vcpu.id, code, status);
  return done * 0x1_0000_0000 + status;
}

const FLUSHES = new Set<number>([
  HV_CALL.flush_virtual_address_space,
  HV_CALL.flush_virtual_address_list,
  HV_CALL.flush_virtual_address_space_ex,
  HV_CALL.flush_virtual_address_list_ex,
]);

function serve(c: HypercallContext, code: number, fast: boolean): number {
  // RDX and R8, or EBX:ECX and EDI:ESI: arguments 3 and 5 of Xen's convention, or 1, 2, 5 and 4.
  const { longMode } = c.caller;
  const first = longMode ? c.args.pointer(2) : pair(c, 0, c.args.pointer(1));
  const second = longMode ? c.args.pointer(4) : pair(c, 4, c.args.pointer(3));
  const call: Call = { input: Number(first) as Gpa, fast, first, second };
  switch (code) {
    case HV_CALL.notify_long_spin_wait:
      // A yield: every vCPU has a thread of its own, so there is nobody to make room for.
      return HV_STATUS.success;
    case HV_CALL.flush_virtual_address_space:
    case HV_CALL.flush_virtual_address_list:
      return flush(c, flushTargets(c, call));
    case HV_CALL.flush_virtual_address_space_ex:
    case HV_CALL.flush_virtual_address_list_ex:
      return flush(c, flushTargetsEx(c, call));
    case HV_CALL.send_ipi:
      return sendIpi(c, call);
    case HV_CALL.send_ipi_ex:
      return sendIpiEx(c, call);
    default:
      return HV_STATUS.invalid_hypercall_code;
  }
}

/** Two registers of a 32-bit caller as one value. */
const pair = (c: HypercallContext, high: number, low: bigint): bigint => (c.args.pointer(high) << 32n) | low;

/** Copies the input structure from guest-physical memory; false when a byte of it lies nowhere. */
const copyIn = (c: HypercallContext, gpa: Gpa, size: number): boolean => c.domain.memory.read(gpa, c.buffer.slice(size));

/** Which addresses do not matter: flushing too much is allowed, and flushing all is quick. */
function flush(c: HypercallContext, targets: Targets | undefined): number {
  if (targets === undefined) return HV_STATUS.invalid_parameter;
  if (names(c, targets)) c.hooks.flushTlbs();
  return HV_STATUS.success;
}

/** undefined: the call is not as it should be. A flush is never fast. */
function flushTargets(c: HypercallContext, call: Call): Targets | undefined {
  if (call.fast || !copyIn(c, call.input, HvFlush.sizeof)) return undefined;
  const { view } = c.buffer;
  if ((HvFlush.flags.get(view, 0) & HV_FLUSH_ALL_PROCESSORS) !== 0n) return ALL;
  return HvFlush.vcpu_mask.get(view, 0);
}

function flushTargetsEx(c: HypercallContext, call: Call): Targets | undefined {
  if (call.fast || !copyIn(c, call.input, HvFlushEx.sizeof)) return undefined;
  const { view } = c.buffer;
  if ((HvFlushEx.flags.get(view, 0) & HV_FLUSH_ALL_PROCESSORS) !== 0n) return ALL;
  const format = HvFlushEx.format.get(view, 0);
  return sparseSet(c, format, HvFlushEx.valid_bank_mask.get(view, 0), (call.input + HvFlushEx.sizeof) as Gpa);
}

function sendIpi(c: HypercallContext, call: Call): number {
  const { view } = c.buffer;
  let vector = call.first;
  let mask = call.second;
  if (!call.fast) {
    if (!copyIn(c, call.input, HvSendIpi.sizeof)) return HV_STATUS.invalid_parameter;
    if (HvSendIpi.target_vtl.get(view, 0) !== 0) return HV_STATUS.invalid_parameter;
    vector = BigInt(HvSendIpi.vector.get(view, 0));
    mask = HvSendIpi.vcpu_mask.get(view, 0);
  }
  return interrupt(c, Number(vector), mask);
}

function sendIpiEx(c: HypercallContext, call: Call): number {
  if (call.fast || !copyIn(c, call.input, HvSendIpiEx.sizeof)) return HV_STATUS.invalid_parameter;
  const { view } = c.buffer;
  if (HvSendIpiEx.target_vtl.get(view, 0) !== 0) return HV_STATUS.invalid_parameter;
  const vector = HvSendIpiEx.vector.get(view, 0);
  if (!isVector(vector)) return HV_STATUS.invalid_parameter;
  const format = HvSendIpiEx.format.get(view, 0);
  const targets = sparseSet(c, format, HvSendIpiEx.valid_bank_mask.get(view, 0), (call.input + HvSendIpiEx.sizeof) as Gpa);
  return targets === undefined ? HV_STATUS.invalid_parameter : interrupt(c, vector, targets);
}

const isVector = (vector: number): boolean => vector >= FIRST_VECTOR && vector <= 0xff;

function interrupt(c: HypercallContext, vector: number, targets: Targets): number {
  if (!isVector(vector)) return HV_STATUS.invalid_parameter;
  for (const { id } of c.domain.vcpus) {
    if (targets === ALL || (targets >> BigInt(id)) & 1n) c.vcpu.viridian?.sendInterrupt(id, vector);
  }
  return HV_STATUS.success;
}

/** Reads a sparse set: the banks that the mask names follow one another at `banks`. undefined: no such format, or no memory. */
function sparseSet(c: HypercallContext, format: bigint, bankMask: bigint, banks: Gpa): Targets | undefined {
  if (format === HV_SET.all) return ALL;
  if (format !== HV_SET.sparse_4k) return undefined;
  let count = 0;
  for (let rest = bankMask; rest !== 0n; rest >>= 1n) count += Number(rest & 1n);
  if (!copyIn(c, banks, count * HV_SET.bankSize)) return undefined;
  let targets = 0n;
  let at = 0;
  for (let bank = 0; bank < HV_SET.banks; bank++) {
    if (((bankMask >> BigInt(bank)) & 1n) === 0n) continue;
    targets |= c.buffer.view.getBigUint64(at, true) << BigInt(bank * 64);
    at += HV_SET.bankSize;
  }
  return targets;
}

/** Whether the set names a vCPU that there is. */
function names(c: HypercallContext, targets: Targets): boolean {
  return targets === ALL || (targets & ((1n << BigInt(c.domain.vcpus.length)) - 1n)) !== 0n;
}
