// A domain: its memory, its vCPU threads, its console, and its life from building to shutdown.
import { SHUTDOWN } from '../abi/xen/sched.ts';
import { XenConsole } from '../backends/console.ts';
import { STATE } from '../cpu/state.ts';
import { loadKernel } from '../image/kernel.ts';
import { allocateArena } from '../memory/arena.ts';
import { GuestMemory } from '../memory/guest-memory.ts';
import { render, type Sink } from '../trace/points.ts';
import { XenDomain } from '../xen/domain.ts';
import { BackendChannels } from '../xen/events/backend-channels.ts';
import { GuestConsole } from './guest-console.ts';
import { hostTime, timeOrigin } from './host-time.ts';
import { kickVcpu, stopVcpus } from './kick.ts';
import { CONTROL, type MachinePlan, planMachine } from './machine-plan.ts';
import { loadPvh, mapPvh } from './pvh/load.ts';
import { MachineError } from './pvh/machine-error.ts';
import { planPvh } from './pvh/plan.ts';
import { type TraceLine, traceBatchRead } from './trace-batch.ts';
import { checkTraceGlobs, enableTracepoints } from './tracepoints.ts';
import { TSC_KHZ, type VcpuMessage, type VcpuThreadData } from './vcpu-thread.ts';

/** What starts threads; each host has its own. */
export interface VcpuHost {
  /** Starts `runVcpu(data, …)` on a thread of its own. */
  start(data: VcpuThreadData, onMessage: (message: VcpuMessage) => void, onFailure: (error: Error) => void): VcpuThreadHandle;
}
export interface VcpuThreadHandle {
  /** Resolves when the thread is gone. */
  end(): Promise<void>;
}

export interface DomainConfig {
  /** ELF or bzImage with a PVH entry. */
  readonly kernel: Uint8Array;
  readonly initrd?: Uint8Array;
  readonly commandLine?: string;
  /** Bytes of RAM, a multiple of 4 KiB. */
  readonly memoryBytes: number;
  /** Tracepoints to turn on, as globs: `xen.*`. */
  readonly trace?: readonly string[];
  /** Where they go; default: nowhere. */
  readonly onTrace?: (line: TraceLine) => void;
  /** Bytes the guest writes to the debug port or by CONSOLEIO_write. */
  readonly onLog?: (bytes: Uint8Array) => void;
}

export type DomainState = 'built' | 'running' | 'shutdown' | 'crashed' | 'destroyed';

/** How a domain ended. */
export interface DomainEnd {
  readonly reason: 'poweroff' | 'reboot' | 'suspend' | 'crash' | 'watchdog' | 'soft-reset' | 'triple-fault' | 'destroyed';
  /** Registers as text: of a crash, and of where the vCPU was when the domain was destroyed. */
  readonly report?: string;
  /** Instructions the guest ran. */
  readonly retired: number;
}

const REASON: Readonly<Record<number, DomainEnd['reason']>> = {
  [SHUTDOWN.poweroff]: 'poweroff',
  [SHUTDOWN.reboot]: 'reboot',
  [SHUTDOWN.suspend]: 'suspend',
  [SHUTDOWN.crash]: 'crash',
  [SHUTDOWN.watchdog]: 'watchdog',
  [SHUTDOWN.soft_reset]: 'soft-reset',
};

const GUEST_DOMID = 1;

/** What building a domain is busy with. */
export interface BuildProgress {
  readonly stage: 'read' | 'unpack' | 'load';
  /** 0 when the stage begins, `total` when it is over. */
  readonly done: number;
  readonly total: number;
}

export interface BuildOptions {
  /** Gives up building. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: BuildProgress) => void;
}

/**
 * Builds a domain: unpacks the kernel, plans and fills the memory. Nothing runs yet.
 * @throws ImageError, MachineError, TracepointError, and the signal's reason.
 */
export async function buildDomain(config: DomainConfig, host: VcpuHost, options: BuildOptions = {}): Promise<Domain> {
  const stage = (name: BuildProgress['stage'], done: 0 | 1): void => {
    options.signal?.throwIfAborted();
    options.onProgress?.({ stage: name, done, total: 1 });
  };
  checkTraceGlobs(config.trace ?? []);
  stage('unpack', 0);
  const kernel = await loadKernel(config.kernel);
  stage('unpack', 1);
  const pvhConfig = {
    kernel,
    ...(config.initrd !== undefined && { initrd: config.initrd }),
    commandLine: config.commandLine ?? '',
    ramBytes: config.memoryBytes,
    vcpus: 1,
    ioapic: true,
  };
  const pvh = planPvh(pvhConfig);
  const plan = planMachine(pvh, 1);
  let wasm: WebAssembly.Memory;
  try {
    wasm = allocateArena(plan.size);
  } catch (cause) {
    const mib = Math.ceil(plan.size / (1 << 20));
    throw new MachineError(
      'memory-too-large',
      `the host has no ${mib} MiB for the guest (${String(cause)})`,
      'give the guest less memory',
    );
  }
  stage('load', 0);
  const memory = new GuestMemory(wasm.buffer as unknown as SharedArrayBuffer, plan.p2m.at);
  mapPvh(memory, pvh, plan.ram);
  const entry = loadPvh(memory, pvh, pvhConfig);
  const uuid = globalThis.crypto.getRandomValues(new Uint8Array(16));
  const unixMs = Date.now();
  XenDomain.create(memory, plan.xen, {
    domid: GUEST_DOMID,
    uuid,
    vcpus: 1,
    grantFrames: plan.grantFrames,
    tscKhz: TSC_KHZ,
    wallclock: { seconds: Math.floor(unixMs / 1000), nanoseconds: (unixMs % 1000) * 1_000_000 },
    memoryMap: pvh.memmap.map(({ at, size, type }) => ({ addr: at, size, type })),
    pages: config.memoryBytes / 4096,
    maxPages: config.memoryBytes / 4096,
    vendor: 'GenuineIntel',
    consoleIo: true,
  });
  const data: VcpuThreadData = {
    memory: wasm,
    plan,
    vcpuId: 0,
    origin: timeOrigin(),
    entry,
    ioapic: true,
    trace: config.trace ?? [],
  };
  stage('load', 1);
  return new Domain(memory, plan, data, config, host);
}

export class Domain implements AsyncDisposable {
  readonly console: GuestConsole;
  /** Resolves when the domain has ended, however it did. Rejects on a failure of the monitor itself. */
  readonly ended: Promise<DomainEnd>;
  readonly #memory: GuestMemory;
  readonly #plan: MachinePlan;
  readonly #data: VcpuThreadData;
  readonly #config: DomainConfig;
  readonly #host: VcpuHost;
  readonly #channels: BackendChannels;
  readonly #ring: XenConsole;
  #thread: VcpuThreadHandle | undefined;
  #state: DomainState = 'built';
  #resolve: (end: DomainEnd) => void = () => {};
  #reject: (error: Error) => void = () => {};

  /** Use `buildDomain`. */
  constructor(memory: GuestMemory, plan: MachinePlan, data: VcpuThreadData, config: DomainConfig, host: VcpuHost) {
    this.#memory = memory;
    this.#plan = plan;
    this.#data = data;
    this.#config = config;
    this.#host = host;
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // A domain that nobody waits for must not end the process.
    this.ended.catch(() => {});
    const nowNs = hostTime(data.origin);
    const sink: Sink = (name, format, args) => config.onTrace?.({ atNs: nowNs(), name, text: render(format, args) });
    const xen = new XenDomain({
      memory,
      region: plan.xen,
      kick: (id) => kickVcpu(memory, plan, id),
      wakeBackends: () => queueMicrotask(() => this.#channels.dispatch()),
      trace: sink,
    });
    enableTracepoints(xen.trace, 'xen', data.trace);
    this.#channels = new BackendChannels(xen);
    xen.offerRing('console');
    this.console = new GuestConsole((bytes) => this.#type(bytes));
    this.#ring = new XenConsole({ domain: xen, channels: this.#channels, onOutput: (bytes) => this.console.receive(bytes) });
  }

  get state(): DomainState {
    return this.#state;
  }

  /** Instructions the guest has run. While it runs, as of the last time that its vCPU left the engine. */
  get retired(): number {
    const cpu = (this.#plan.vcpus[0] as MachinePlan['vcpus'][number]).cpu.at;
    const word = (offset: number): number => Atomics.load(this.#memory.i32, (cpu + STATE.retired + offset) >>> 2) >>> 0;
    for (;;) {
      const high = word(4);
      const low = word(0);
      if (word(4) === high) return high * 0x1_0000_0000 + low;
    }
  }

  /** Starts the vCPU. */
  run(): void {
    if (this.#state !== 'built') throw new Error(`the domain is ${this.#state}`);
    this.#state = 'running';
    this.#thread = this.#host.start(
      { ...this.#data },
      (message) => this.#receive(message),
      (error) => this.#fail(error),
    );
  }

  /** Ends the domain at once, without asking the guest. */
  async destroy(): Promise<void> {
    if (this.#state === 'running') {
      stopVcpus(this.#memory, this.#plan);
      await this.ended.catch(() => {});
    }
    await this.#thread?.end();
    if (this.#state === 'built') this.#finish('destroyed', { reason: 'destroyed', retired: 0 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.destroy();
  }

  /** Types into the ring; some of what the guest has not read yet is kept. Returns how many bytes were taken. */
  #type(bytes: Uint8Array): number {
    return this.#state === 'running' || this.#state === 'built' ? this.#ring.write(bytes) : bytes.length;
  }

  #receive(message: VcpuMessage): void {
    switch (message.type) {
      case 'doorbell':
        Atomics.store(this.#memory.i32, (this.#plan.control.at + CONTROL.doorbell) >>> 2, 0);
        this.#channels.dispatch();
        break;
      case 'log':
        this.#config.onLog?.(message.bytes);
        break;
      case 'trace':
        traceBatchRead(this.#memory.i32, (this.#plan.control.at + CONTROL.traceBacklog) >>> 2);
        for (const line of message.lines) this.#config.onTrace?.(line);
        break;
      case 'shutdown': {
        const reason = REASON[message.reason] ?? 'crash';
        const crashed = reason === 'crash' || reason === 'watchdog';
        this.#finish(crashed ? 'crashed' : 'shutdown', {
          reason,
          ...(crashed && { report: message.report }),
          retired: message.retired,
        });
        break;
      }
      case 'crash':
        this.#finish('crashed', { reason: 'triple-fault', report: message.report, retired: message.retired });
        break;
      case 'stopped':
        this.#finish('destroyed', { reason: 'destroyed', report: message.report, retired: message.retired });
        break;
    }
  }

  #finish(state: DomainState, end: DomainEnd): void {
    this.#state = state;
    this.#ring.drain();
    this.console.close();
    this.#resolve(end);
    void this.#thread?.end();
  }

  #fail(error: Error): void {
    this.#state = 'crashed';
    this.#ring.drain();
    this.console.close();
    this.#reject(error);
  }
}
