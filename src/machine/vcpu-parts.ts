// What one vCPU's thread is made of: engine, local APIC, I/O bus, and its view of the Xen platform, connected.
import { WasmEngine } from '../cpu/engine.ts';
import { PROFILE_COUNTERS, STATE } from '../cpu/state.ts';
import { ApicBus } from '../devices/apic/apic-bus.ts';
import { ApicPage } from '../devices/apic/apic-page.ts';
import { IOAPIC_PINS, IOAPIC_RANGE, Ioapic, ioapicTrace, XEN_IOAPIC_PINS } from '../devices/apic/ioapic.ts';
import { LocalApic, lapicTrace } from '../devices/apic/lapic.ts';
import { DEFAULT_BUS_HZ } from '../devices/apic/lapic-timer.ts';
import { DEBUG_PORT, DebugPort } from '../devices/debug-port.ts';
import { IoBus, ioTrace } from '../devices/io-bus.ts';
import { GuestMemory } from '../memory/guest-memory.ts';
import { PageSharing } from '../memory/page-sharing.ts';
import { AlarmClock } from '../time/clock.ts';
import { GPR } from '../vcpu/contract.ts';
import { Hypercalls } from '../xen/calls/hypercalls.ts';
import { type CpuidResult, isHypervisorLeaf, xenCpuid } from '../xen/cpuid.ts';
import { XenDomain } from '../xen/domain.ts';
import { XenVcpu } from '../xen/vcpu.ts';
import { FrameChanges } from './frame-changes.ts';
import { GuestClock, type TimeOrigin } from './guest-clock.ts';
import type { BoardConfig } from './hvm/board-config.ts';
import type { DriveRequest } from './hvm/drive-region.ts';
import { HvmSide } from './hvm/hvm-side.ts';
import type { NicFrame } from './hvm/nic-region.ts';
import { flushTlbs, kickVcpu } from './kick.ts';
import { CONTROL, type MachinePlan, type VcpuRegions } from './machine-plan.ts';
import { guestPlace } from './profile/guest-place.ts';
import { VcpuProfile, type VcpuProfileData } from './profile/vcpu-profile.ts';
import { IOAPIC_ID } from './pvh/acpi.ts';
import type { PvhEntry } from './pvh/load.ts';
import { repeatableRandom } from './repeatable-random.ts';
import { TraceBatch, type TraceLine } from './trace-batch.ts';
import { enableTracepoints } from './tracepoints.ts';
import { VirtualVcpu } from './virtual-vcpu.ts';

/** Frequency of the guest's TSC in kHz: one tick a nanosecond. */
export const TSC_KHZ = 1_000_000;

/** What a vCPU thread is started with. Plain data but for the memory. */
export interface VcpuThreadData {
  readonly memory: WebAssembly.Memory;
  readonly plan: MachinePlan;
  readonly vcpuId: number;
  readonly origin: TimeOrigin;
  /** Where the boot vCPU starts; undefined for the reset vector of a BIOS. */
  readonly entry: PvhEntry | undefined;
  /** The board of an HVM domain. */
  readonly board?: BoardConfig;
  readonly ioapic: boolean;
  /** The domain has a PIC, and an I/O APIC with a pin for each GSI of Xen's. */
  readonly pic: boolean;
  /** Whether hot code is translated. */
  readonly translate: boolean;
  /** Whether the thread measures itself, and posts a profile at its end. */
  readonly profile: boolean;
  /** Whether guest time is made of instructions. */
  readonly virtualTime: boolean;
  /** Globs of tracepoints to turn on. */
  readonly trace: readonly string[];
}

/** What it posts. */
export type VcpuMessage =
  | { readonly type: 'doorbell' }
  /** What COM1 of an HVM domain sends. */
  | { readonly type: 'serial'; readonly bytes: Uint8Array }
  /** A drive of an HVM domain wants sectors. */
  | DriveRequest
  /** A network card of an HVM domain sends. */
  | NicFrame
  /** Virtual time: the vCPU waits until everything that it has posted before is done. See virtual-vcpu.ts. */
  | { readonly type: 'settle'; readonly ticket: number }
  /** Bytes for the host's log: the debug port and CONSOLEIO_write. */
  | { readonly type: 'log'; readonly bytes: Uint8Array }
  | { readonly type: 'trace'; readonly lines: readonly TraceLine[] }
  /** Of the thread's whole time; the message before its last. */
  | { readonly type: 'profile'; readonly profile: VcpuProfileData }
  /** The vCPU has left the guest, as it was asked to, and waits. */
  | { readonly type: 'parked' }
  /** The domain has shut itself down; `reason` is SHUTDOWN_*, `report` the registers at that moment. The vCPU parks. */
  | { readonly type: 'shutdown'; readonly reason: number; readonly report: string }
  /** A triple fault: `report` shows where. The thread ends. */
  | { readonly type: 'crash'; readonly report: string }
  /** Translated code and the interpreter disagree; `report` is of many lines. The thread ends. */
  | { readonly type: 'mismatch'; readonly report: string }
  /** The thread ends because it was told to. */
  | { readonly type: 'stopped'; readonly report: string };

export interface VcpuParts {
  readonly memory: GuestMemory;
  readonly regions: VcpuRegions;
  readonly clock: AlarmClock;
  /** Of a domain in virtual time. */
  readonly virtual: VirtualVcpu | undefined;
  readonly trace: TraceBatch;
  readonly domain: XenDomain;
  readonly bus: IoBus;
  readonly lapic: LocalApic;
  readonly engine: WasmEngine;
  readonly vcpu: XenVcpu;
  readonly hypercalls: Hypercalls;
  readonly frameChanges: FrameChanges;
  readonly profile: VcpuProfile | undefined;
  /** Of an HVM domain, on the thread of vCPU 0. */
  readonly board: HvmSide | undefined;
}

/** Builds a vCPU over the shared memory of its domain. */
export function buildVcpu(data: VcpuThreadData, post: (message: VcpuMessage) => void): VcpuParts {
  const { plan, vcpuId } = data;
  const regions = plan.vcpus[vcpuId];
  if (regions === undefined) throw new RangeError(`the plan has no vCPU ${vcpuId}`);
  const buffer = data.memory.buffer as unknown as SharedArrayBuffer;
  const memory = new GuestMemory(buffer, plan.p2m.at);
  const sharing = plan.sharing === undefined ? undefined : new PageSharing(buffer, plan.sharing, plan.ram);
  if (sharing !== undefined) memory.sharing = sharing;
  const { i32 } = memory;
  const virtual = data.virtualTime ? new VirtualVcpu(memory, plan, post) : undefined;
  const { nowNs } = virtual?.time ?? new GuestClock(data.origin, memory.buffer, plan.clock);
  const clock = new AlarmClock(nowNs);
  const trace = new TraceBatch(nowNs, i32, (plan.control.at + CONTROL.traceBacklog) >>> 2, (lines) =>
    post({ type: 'trace', lines }),
  );
  const kick = (id: number): void => kickVcpu(memory, plan, id);

  const domain = new XenDomain({
    memory,
    region: plan.xen,
    kick,
    wakeBackends: () => {
      virtual?.owe();
      if (Atomics.exchange(i32, (plan.control.at + CONTROL.doorbell) >> 2, 1) === 0) post({ type: 'doorbell' });
    },
    trace: trace.sink,
  });
  enableTracepoints(domain.trace, 'xen', data.trace);

  const tell = (message: VcpuMessage): void => {
    virtual?.owe();
    post(message);
  };
  const log = (bytes: Uint8Array): void => tell({ type: 'log', bytes });
  const busTrace = ioTrace(trace.sink);
  enableTracepoints(busTrace, 'io', data.trace);
  const bus = new IoBus(busTrace);
  if (data.board === undefined) bus.registerPorts('xen debug', DEBUG_PORT, new DebugPort((byte) => log(Uint8Array.of(byte))));

  let board: HvmSide | undefined;
  const slots = plan.vcpus.map(({ apic }, id) => ({ page: new ApicPage(memory.buffer, apic), wake: () => kick(id) }));
  const apicBus = new ApicBus(slots);
  const ioapic = data.ioapic ? buildIoapic(data, memory, apicBus, trace) : undefined;
  if (ioapic !== undefined) {
    bus.registerMmio('ioapic', IOAPIC_RANGE, {
      read: (offset, size) => ioapic.read(offset, size),
      write: (offset, size, value) => {
        // A pin that is unmasked must not find a callback line up that is about to fall.
        vcpu.releaseCallbackLine();
        ioapic.write(offset, size, value);
      },
    });
  }
  const apicTrace = lapicTrace(trace.sink);
  enableTracepoints(apicTrace, 'lapic', data.trace);
  const lapic: LocalApic = new LocalApic(
    memory.buffer,
    regions.apic,
    { id: vcpuId * 2, bootstrap: vcpuId === 0, clock, tscKHz: TSC_KHZ, tscOffset: () => engine.cpu.get64(STATE.tscOffset) },
    { send: (message) => void apicBus.deliver(message, lapic.page), eoi: (vector) => endOfInterrupt(vector), wake: () => {} },
    apicTrace,
  );

  const endOfInterrupt = (vector: number): void => {
    // A callback line that is about to fall must not be delivered again.
    vcpu.releaseCallbackLine();
    ioapic?.eoi(vector);
  };

  const profile = data.profile
    ? new VcpuProfile({
        counters: new BigUint64Array(buffer, regions.cpu.at + PROFILE_COUNTERS.at, PROFILE_COUNTERS.count),
        countersAt: regions.cpu.at + PROFILE_COUNTERS.at,
        place: () => guestPlace(engine.cpu),
        whyInterpreted: () => engine.regions?.whyInterpreted() ?? 'nothing is translated',
        counts: () => engine.counts,
        retired: () => engine.retired,
        now: () => performance.now(),
      })
    : undefined;
  const words: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  const engine: WasmEngine = new WasmEngine({
    translate: data.translate,
    ...(sharing !== undefined && { lockstep: sharing }),
    ...(profile !== undefined && { probe: profile }),
    vcpuId,
    memory,
    wasmMemory: data.memory,
    vcpuRegion: regions.cpu,
    codeRegion: regions.code,
    ...(virtual !== undefined && { ticksAreInstructions: true, random: repeatableRandom() }),
    ticks: () => Math.floor(nowNs() * (TSC_KHZ / 1_000_000)),
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
  const frameChanges = new FrameChanges(memory, plan);
  memory.onChange((gfn) => {
    engine.mmu.frameChanged(gfn);
    if (plan.vcpus.length > 1) frameChanges.tell(gfn, vcpuId);
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
    ...(ioapic !== undefined && {
      setCallbackLine: (gsi: number, level: boolean) =>
        board === undefined ? ioapic.setLine(gsi, level) : board.setCallbackLine(gsi, level),
      ...(data.board !== undefined && {
        setCallbackIntx: (device: number, pin: number, level: boolean) => board?.setCallbackIntx(device, pin, level),
      }),
    }),
    viridian: {
      rcx: () => engine.gpr(GPR.rcx),
      setEdx: (value) => engine.setGpr(GPR.rdx, BigInt(value)),
      sendInterrupt: (id, vector) => {
        if (slots[id]?.page.post(vector, false) === true) kick(id);
      },
      readApic: (offset) => lapic.read(offset),
      writeApic: (offset, value) => lapic.write(offset, value),
    },
  });
  const hypercalls = new Hypercalls(vcpu, {
    flushTlbs: () => {
      engine.flushTlb();
      flushTlbs(memory, plan, vcpuId);
    },
    consoleWrite: (bytes) => log(bytes.slice()),
  });
  if (data.board !== undefined && ioapic !== undefined && vcpuId === 0)
    board = new HvmSide({ config: data.board, memory, io: bus, clock, domain, ioapic, lapic, apicBus, post: tell });
  return { memory, regions, clock, virtual, trace, domain, bus, lapic, engine, vcpu, hypercalls, frameChanges, profile, board };
}

function buildIoapic(data: VcpuThreadData, memory: GuestMemory, apicBus: ApicBus, trace: TraceBatch): Ioapic {
  const pinTrace = ioapicTrace(trace.sink);
  enableTracepoints(pinTrace, 'ioapic', data.trace);
  const ioapic = new Ioapic(memory.buffer, data.plan.ioapic, (message) => void apicBus.deliver(message), pinTrace);
  if (data.vcpuId === 0) ioapic.reset(IOAPIC_ID, data.pic ? XEN_IOAPIC_PINS : IOAPIC_PINS);
  return ioapic;
}
