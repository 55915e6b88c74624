// One virtual CPU's thread: engine, local APIC, timers and hypercalls, and the loop that connects them.

import { RUNSTATE } from '../abi/xen/shared-info.ts';
import { WasmEngine } from '../cpu/engine.ts';
import { FLAG, STATE } from '../cpu/state.ts';
import { ApicBus } from '../devices/apic/apic-bus.ts';
import { ApicPage } from '../devices/apic/apic-page.ts';
import { IOAPIC_RANGE, Ioapic, ioapicTrace } from '../devices/apic/ioapic.ts';
import { LocalApic, lapicTrace } from '../devices/apic/lapic.ts';
import { serveApicMmio, serveApicMsr } from '../devices/apic/lapic-exits.ts';
import { DEFAULT_BUS_HZ } from '../devices/apic/lapic-timer.ts';
import { DEBUG_PORT, DebugPort } from '../devices/debug-port.ts';
import { IoBus, ioTrace } from '../devices/io-bus.ts';
import { GuestMemory } from '../memory/guest-memory.ts';
import { AlarmClock } from '../time/clock.ts';
import { EXIT, GPR } from '../vcpu/contract.ts';
import { isXenMsr, readXenMsr, writeXenMsr } from '../xen/calls/hypercall-page.ts';
import { Hypercalls } from '../xen/calls/hypercalls.ts';
import { type CpuidResult, isHypervisorLeaf, xenCpuid } from '../xen/cpuid.ts';
import { XenDomain } from '../xen/domain.ts';
import { XenVcpu } from '../xen/vcpu.ts';
import { describeCrash } from './crash-report.ts';
import { hostTime, type TimeOrigin } from './host-time.ts';
import { kickVcpu } from './kick.ts';
import { CONTROL, type MachinePlan } from './machine-plan.ts';
import { IOAPIC_ID } from './pvh/acpi.ts';
import { enterPvh } from './pvh/enter.ts';
import type { PvhEntry } from './pvh/load.ts';
import { RunBudget } from './run-budget.ts';
import { TraceBatch, type TraceLine } from './trace-batch.ts';
import { enableTracepoints } from './tracepoints.ts';

/** Frequency of the guest's TSC in kHz: one tick a nanosecond. */
export const TSC_KHZ = 1_000_000;
/** What a vCPU thread is started with. Plain data but for the memory. */
export interface VcpuThreadData {
  readonly memory: WebAssembly.Memory;
  readonly plan: MachinePlan;
  readonly vcpuId: number;
  readonly origin: TimeOrigin;
  readonly entry: PvhEntry;
  readonly ioapic: boolean;
  /** Globs of tracepoints to turn on. */
  readonly trace: readonly string[];
}

/** What it posts. */
export type VcpuMessage =
  | { readonly type: 'doorbell' }
  /** Bytes for the host's log: the debug port and CONSOLEIO_write. */
  | { readonly type: 'log'; readonly bytes: Uint8Array }
  | { readonly type: 'trace'; readonly lines: readonly TraceLine[] }
  /** The domain shut itself down; `reason` is SHUTDOWN_*, `report` the registers at that moment. */
  | { readonly type: 'shutdown'; readonly reason: number; readonly report: string; readonly retired: number }
  /** A triple fault: `report` shows where. */
  | { readonly type: 'crash'; readonly report: string; readonly retired: number }
  | { readonly type: 'stopped'; readonly report: string; readonly retired: number };

/** Runs the vCPU until the domain ends. Blocks the thread. */
export function runVcpu(data: VcpuThreadData, post: (message: VcpuMessage) => void): void {
  const { plan, vcpuId } = data;
  const regions = plan.vcpus[vcpuId];
  if (regions === undefined) throw new RangeError(`the plan has no vCPU ${vcpuId}`);
  const memory = new GuestMemory(data.memory.buffer as unknown as SharedArrayBuffer, plan.p2m.at);
  const nowNs = hostTime(data.origin);
  const clock = new AlarmClock(nowNs);
  const { i32 } = memory;
  const trace = new TraceBatch(nowNs, i32, (plan.control.at + CONTROL.traceBacklog) >>> 2, (lines) =>
    post({ type: 'trace', lines }),
  );
  const end = (message: VcpuMessage): void => {
    trace.flush();
    post(message);
  };

  const kick = (id: number): void => kickVcpu(memory, plan, id);
  const domain = new XenDomain({
    memory,
    region: plan.xen,
    kick,
    wakeBackends: () => {
      if (Atomics.exchange(i32, (plan.control.at + CONTROL.doorbell) >> 2, 1) === 0) post({ type: 'doorbell' });
    },
    trace: trace.sink,
  });
  enableTracepoints(domain.trace, 'xen', data.trace);

  const busTrace = ioTrace(trace.sink);
  enableTracepoints(busTrace, 'io', data.trace);
  const bus = new IoBus(busTrace);
  bus.registerPorts('xen debug', DEBUG_PORT, new DebugPort((byte) => post({ type: 'log', bytes: Uint8Array.of(byte) })));

  let lapicWasEnabled = false;
  const slots = plan.vcpus.map(({ apic }, id) => ({ page: new ApicPage(memory.buffer, apic), wake: () => kick(id) }));
  const apicBus = new ApicBus(slots);
  const pinTrace = ioapicTrace(trace.sink);
  enableTracepoints(pinTrace, 'ioapic', data.trace);
  const ioapic = data.ioapic
    ? new Ioapic(memory.buffer, plan.ioapic, (message) => void apicBus.deliver(message), pinTrace)
    : undefined;
  if (ioapic !== undefined) {
    if (vcpuId === 0) ioapic.reset(IOAPIC_ID);
    bus.registerMmio('ioapic', IOAPIC_RANGE, ioapic);
  }
  const apicTrace = lapicTrace(trace.sink);
  enableTracepoints(apicTrace, 'lapic', data.trace);
  const lapic = new LocalApic(
    memory.buffer,
    regions.apic,
    { id: vcpuId * 2, bootstrap: vcpuId === 0, clock, tscKHz: TSC_KHZ, tscOffset: () => engine.cpu.get64(STATE.tscOffset) },
    { send: (message) => void apicBus.deliver(message, lapic.page), eoi: (vector) => ioapic?.eoi(vector), wake: () => {} },
    apicTrace,
  );

  const words: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  const engine: WasmEngine = new WasmEngine({
    vcpuId,
    memory,
    wasmMemory: data.memory,
    vcpuRegion: regions.cpu,
    codeRegion: regions.code,
    ticks: () => (BigInt(Math.floor(nowNs())) * BigInt(TSC_KHZ)) / 1_000_000n,
    cpuid: {
      apicId: vcpuId * 2,
      vcpuCount: plan.vcpus.length,
      get apicEnabled() {
        return lapic.page.hardwareEnabled;
      },
      tscKHz: TSC_KHZ,
      crystalHz: DEFAULT_BUS_HZ,
      hypervisor: (leaf, subleaf) => {
        if (!isHypervisorLeaf(leaf)) return undefined;
        xenCpuid(vcpu, leaf, subleaf, words);
        return [words.eax, words.ebx, words.ecx, words.edx];
      },
    },
    cr8: {
      read: () => lapic.cr8,
      write: (value) => {
        lapic.cr8 = value;
      },
    },
  });
  const vcpu: XenVcpu = new XenVcpu({
    domain,
    id: vcpuId,
    clock,
    caller: engine,
    deliverVector: (vector) => {
      if (lapic.page.enabled) lapic.postInterrupt(vector, false);
    },
    tscOffset: () => engine.cpu.get64(STATE.tscOffset),
  });
  const hypercalls = new Hypercalls(vcpu, {
    flushTlbs: () => engine.flushTlb(),
    consoleWrite: (bytes) => post({ type: 'log', bytes: bytes.slice() }),
  });
  enterPvh(engine, data.entry);

  const requestWord = (regions.cpu.at + STATE.request) >> 2;
  const stopWord = (plan.control.at + CONTROL.stop) >> 2;

  /** Blocks until somebody kicks, or the next timer is due. */
  const sleep = (): void => {
    vcpu.enter(RUNSTATE.blocked);
    trace.flush();
    const ns = clock.nextDeadlineNs() - nowNs();
    if (ns > 0) Atomics.wait(i32, requestWord, 0, ns / 1e6);
  };

  const budget = new RunBudget();
  let halted = false;
  for (;;) {
    if (Atomics.load(i32, stopWord) !== 0)
      return end({ type: 'stopped', report: describeCrash(engine), retired: engine.retired });
    Atomics.store(i32, requestWord, 0);
    clock.runDue();
    vcpu.service();
    trace.flushDue();
    if (domain.shutdownReason >= 0) {
      return end({ type: 'shutdown', reason: domain.shutdownReason, report: describeCrash(engine), retired: engine.retired });
    }
    if (lapic.takeNmi() || vcpu.state.takeNmi()) {
      engine.nmi();
      halted = false;
    }
    const callback = vcpu.callbackVector();
    const vector = callback >= 0 ? callback : lapic.hasInterrupt();
    const deliverable = vector >= 0 && engine.canInterrupt;
    if (deliverable) halted = false;
    if (halted || !vcpu.mayRun(deliverable)) {
      sleep();
      continue;
    }
    vcpu.enter(RUNSTATE.running);
    if (deliverable) {
      if (callback < 0) lapic.acknowledge(vector);
      engine.interrupt(vector);
    } else if (vector >= 0) engine.requestInterruptWindow();

    const startNs = nowNs();
    const startRetired = engine.retired;
    switch (engine.run(budget.before(clock.nextDeadlineNs() - startNs))) {
      case EXIT.budget:
        budget.ran(engine.retired - startRetired, nowNs() - startNs);
        break;
      case EXIT.hlt:
        halted = true;
        // As in Xen, that is how a guest without another way powers off: a PVH Linux has none.
        if ((engine.cpu.get32(STATE.eflags) & FLAG.if) === 0) domain.takeDown(vcpuId);
        break;
      case EXIT.hypercall:
        serveHypercall(engine, hypercalls);
        break;
      case EXIT.pio:
        bus.serve(engine.exit);
        break;
      case EXIT.mmio:
        if (!serveApicMmio(lapic, engine.exit)) bus.serve(engine.exit);
        break;
      case EXIT.msr: {
        const apic = serveApicMsr(lapic, engine.exit);
        engine.completeMsr(apic === 'other' ? serveXenMsr(domain, engine) : apic === 'ok');
        break;
      }
      case EXIT.shutdown:
        return end({ type: 'crash', report: describeCrash(engine), retired: engine.retired });
      default:
        break;
    }
    // An upcall that the guest's disabled APIC dropped is raised again once it is enabled.
    const enabled = lapic.page.enabled;
    if (enabled && !lapicWasEnabled) vcpu.lapicEnabled();
    lapicWasEnabled = enabled;
  }
}

/** The registers of the calling convention: abi.md of public/xen.h, 64-bit and 32-bit. */
const ARGUMENTS64 = [GPR.rdi, GPR.rsi, GPR.rdx, GPR.r10, GPR.r8, GPR.r9] as const;
const ARGUMENTS32 = [GPR.rbx, GPR.rcx, GPR.rdx, GPR.rsi, GPR.rdi, GPR.rbp] as const;

function serveHypercall(engine: WasmEngine, hypercalls: Hypercalls): void {
  const { longMode, cpu } = engine;
  const registers = longMode ? ARGUMENTS64 : ARGUMENTS32;
  for (let i = 0; i < 6; i++) {
    const register = registers[i] as number;
    hypercalls.args.u32[i * 2] = cpu.gpr32(register);
    hypercalls.args.u32[i * 2 + 1] = longMode ? cpu.get32(register * 8 + 4) : 0;
  }
  // A number beyond 32 bits is as unknown as any other.
  const nr = longMode && cpu.get32(GPR.rax * 8 + 4) !== 0 ? -1 : cpu.gpr32(GPR.rax);
  const result = hypercalls.call(engine, nr);
  engine.completeHypercall(longMode ? BigInt(result) : BigInt(result >>> 0));
}

/** False raises #GP(0). */
function serveXenMsr(domain: XenDomain, engine: WasmEngine): boolean {
  const { exit } = engine;
  if (!isXenMsr(exit.msr)) return false;
  if (exit.write) return writeXenMsr(domain, engine, exit.msr, exit.dataLow, exit.dataHigh);
  exit.dataLow = 0;
  exit.dataHigh = 0;
  return readXenMsr(exit.msr);
}
