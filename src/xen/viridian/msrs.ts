// The MSRs of Microsoft's hypervisor interface: xen/arch/x86/hvm/viridian/{viridian,synic,time}.c say which exist, what they
// keep, and which raise #GP. Synthetic interrupts and timers need features that a domain does not get, and do raise it.
import { HV_CRASH_NOTIFY_HIGH, HV_MSR, HV_PAGE_MSR } from '../../abi/hyperv.ts';
import { type Gfn, type Gpa, PAGE_SIZE } from '../../abi/types.ts';
import { HVMPV } from '../../abi/xen/hvm.ts';
import { STUB, TRAP } from '../../abi/xen/hypercall.ts';
import { SHUTDOWN } from '../../abi/xen/sched.ts';
import { P2M } from '../../memory/guest-memory.ts';
import type { XenDomain } from '../domain.ts';
import { DomainHeader as Header, ViridianDomain, ViridianVcpu } from '../domain-layout.ts';
import type { XenVcpu } from '../vcpu.ts';
import { hasViridian } from './features.ts';
import { referencePage, referenceTime } from './reference-time.ts';

/** The value of an MSR in unsigned halves; `Exit` of vcpu/contract.ts is one. */
export interface MsrValue {
  dataLow: number;
  dataHigh: number;
}

/** The rate that the LAPIC timer's divider divides, as Xen has it: one cycle is 10 ns. */
const APIC_HZ = 100_000_000n;
/** LAPIC registers by xAPIC offset, SDM vol. 3A, table 11-1. */
const APIC = { tpr: 0x80, eoi: 0xb0, icrLow: 0x300, icrHigh: 0x310 } as const;
/** OR EAX, 0x80000000: a bit that Microsoft's calls leave 0 marks them, so that Xen's are told apart. */
const MARK_CALL = [0x0d, 0x00, 0x00, 0x00, 0x80] as const;
const INT3 = 0xcc;

/** RDMSR of 0x40000000..0x400001ff in a domain with this interface. Returns false for #GP(0). */
export function readViridianMsr(vcpu: XenVcpu, msr: number, out: MsrValue): boolean {
  const { domain, viridian } = vcpu;
  const { view } = domain.memory;
  const own = vcpu.state.id * ViridianVcpu.sizeof + domain.at + domain.plan.viridianVcpus;
  switch (msr) {
    case HV_MSR.guest_os_id:
      return answer(out, ViridianDomain.guest_os_id.get(view, domain.at + domain.plan.viridian));
    case HV_MSR.hypercall:
      return answer(out, ViridianDomain.hypercall.get(view, domain.at + domain.plan.viridian));
    case HV_MSR.vp_index:
      return answerHalves(out, vcpu.id, 0);
    case HV_MSR.time_ref_count:
      return hasViridian(domain, HVMPV.time_ref_count) && answer(out, referenceTime(vcpu.guestTsc(), tscKhz(domain)));
    case HV_MSR.reference_tsc:
      if (!hasViridian(domain, HVMPV.reference_tsc)) return false;
      return answer(out, ViridianDomain.reference_tsc.get(view, domain.at + domain.plan.viridian));
    case HV_MSR.tsc_frequency:
      return !hasViridian(domain, HVMPV.no_freq) && answer(out, BigInt(tscKhz(domain)) * 1000n);
    case HV_MSR.apic_frequency:
      return !hasViridian(domain, HVMPV.no_freq) && answer(out, APIC_HZ);
    case HV_MSR.icr:
      return viridian !== undefined && answerHalves(out, viridian.readApic(APIC.icrLow), viridian.readApic(APIC.icrHigh));
    case HV_MSR.tpr:
      return viridian !== undefined && answerHalves(out, viridian.readApic(APIC.tpr), 0);
    case HV_MSR.vp_assist_page:
      return answer(out, ViridianVcpu.vp_assist_page.get(view, own));
    case HV_MSR.crash_ctl:
      return answerHalves(out, 0, HV_CRASH_NOTIFY_HIGH);
    default:
      if (msr < HV_MSR.crash_p0 || msr > HV_MSR.crash_p4) return false;
      return answer(out, view.getBigUint64(own + ViridianVcpu.crash_p0.offset + (msr - HV_MSR.crash_p0) * 8, true));
  }
}

/**
 * WRMSR of the same range, the value in two halves. Returns false for #GP(0). A page that the guest names and that is no
 * writable RAM is not written; the MSR keeps its value all the same.
 */
export function writeViridianMsr(vcpu: XenVcpu, msr: number, low: number, high: number): boolean {
  const { domain, viridian } = vcpu;
  const { view } = domain.memory;
  const own = vcpu.id * ViridianVcpu.sizeof + domain.at + domain.plan.viridianVcpus;
  const shared = domain.at + domain.plan.viridian;
  const { trace } = domain;
  if (trace.viridian_write.on) trace.viridian_write(vcpu.id, msr, high, low);
  switch (msr) {
    case HV_MSR.guest_os_id:
      ViridianDomain.guest_os_id.set(view, shared, whole(low, high));
      return true;
    case HV_MSR.hypercall:
      ViridianDomain.hypercall.set(view, shared, whole(low, high));
      fillPage(domain, low, high, hypercallPage);
      return true;
    case HV_MSR.vp_index:
      return true;
    case HV_MSR.reference_tsc:
      if (!hasViridian(domain, HVMPV.reference_tsc)) return false;
      ViridianDomain.reference_tsc.set(view, shared, whole(low, high));
      fillPage(domain, low, high, () => referencePage(tscKhz(domain)));
      return true;
    case HV_MSR.eoi:
      viridian?.writeApic(APIC.eoi, 0);
      return viridian !== undefined;
    case HV_MSR.icr:
      // The lower half sends.
      viridian?.writeApic(APIC.icrHigh, high >>> 0);
      viridian?.writeApic(APIC.icrLow, low >>> 0);
      return viridian !== undefined;
    case HV_MSR.tpr:
      viridian?.writeApic(APIC.tpr, low & 0xff);
      return viridian !== undefined;
    case HV_MSR.vp_assist_page:
      // The page's one field, "no EOI needed", is never set: the guest then writes EOI each time.
      ViridianVcpu.vp_assist_page.set(view, own, whole(low, high));
      fillPage(domain, low, high, () => new Uint8Array(PAGE_SIZE));
      return true;
    case HV_MSR.crash_ctl:
      if ((high & HV_CRASH_NOTIFY_HIGH) !== 0) notifyCrash(vcpu, own);
      return true;
    default:
      if (msr < HV_MSR.crash_p0 || msr > HV_MSR.crash_p4) return false;
      view.setBigUint64(own + ViridianVcpu.crash_p0.offset + (msr - HV_MSR.crash_p0) * 8, whole(low, high), true);
      return true;
  }
}

const tscKhz = (domain: XenDomain): number => Header.tsc_khz.get(domain.memory.view, domain.at);
const whole = (low: number, high: number): bigint => (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);

function answer(out: MsrValue, value: bigint): true {
  return answerHalves(out, Number(value & 0xffff_ffffn), Number(value >> 32n));
}

function answerHalves(out: MsrValue, low: number, high: number): true {
  out.dataLow = low >>> 0;
  out.dataHigh = high >>> 0;
  return true;
}

/** Writes a page that an MSR enables and names, if it is writable RAM. */
function fillPage(domain: XenDomain, low: number, high: number, content: (domain: XenDomain) => Uint8Array): void {
  if ((low & HV_PAGE_MSR.enable) === 0) return;
  // 48 bits of frame number: the top four of the MSR mean nothing.
  const gfn = (high & 0x0fff_ffff) * 0x10_0000 + (low >>> 12);
  const { memory, trace } = domain;
  const writable = (memory.entry(gfn as Gfn) & P2M.writable) !== 0;
  if (trace.viridian_page.on) trace.viridian_page(gfn, writable ? 1 : 0);
  if (writable) memory.write((gfn * PAGE_SIZE) as Gpa, content(domain));
}

/** The whole page: one stub, and breakpoints behind it. */
function hypercallPage(domain: XenDomain): Uint8Array {
  const page = new Uint8Array(PAGE_SIZE).fill(INT3);
  const trap = Header.vmmcall.get(domain.memory.view, domain.at) === 0 ? TRAP.vmcall : TRAP.vmmcall;
  page.set([...MARK_CALL, ...trap, STUB.ret]);
  return page;
}

/** The guest says it has crashed, and goes on to shut down: that will count as a crash, whatever reason it gives or gave. */
function notifyCrash(vcpu: XenVcpu, own: number): void {
  const { memory, at, trace } = vcpu.domain;
  Atomics.store(memory.i32, (at + Header.shutdown_code.offset) >>> 2, SHUTDOWN.crash);
  if (!trace.viridian_crash.on) return;
  const param = (n: number): number => Number(memory.view.getBigUint64(own + ViridianVcpu.crash_p0.offset + n * 8, true));
  trace.viridian_crash(vcpu.id, param(0), param(1), param(2), param(3), param(4));
}
