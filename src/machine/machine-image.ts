// A domain's memory as it is before the first instruction: planned and allocated once, filled at each start.
import { type KernelImage, loadKernel } from '../image/kernel.ts';
import { allocateArena } from '../memory/arena.ts';
import { GuestMemory } from '../memory/guest-memory.ts';
import { PageSharing } from '../memory/page-sharing.ts';
import { XenDomain } from '../xen/domain.ts';
import type { BuildOptions, BuildProgress, DomainConfig } from './domain-config.ts';
import { type MachinePlan, planMachine } from './machine-plan.ts';
import { loadPvh, mapPvh, type PvhEntry } from './pvh/load.ts';
import { MachineError } from './pvh/machine-error.ts';
import { type PvhConfig, type PvhPlan, planPvh } from './pvh/plan.ts';
import { checkTraceGlobs } from './tracepoints.ts';
import { TSC_KHZ } from './vcpu-parts.ts';

export const GUEST_DOMID = 1;
const UUID_BYTES = 16;

export class MachineImage {
  readonly config: DomainConfig;
  readonly uuid: Uint8Array;
  readonly vcpus: number;
  readonly plan: MachinePlan;
  readonly wasm: WebAssembly.Memory;
  readonly memory: GuestMemory;
  /**
   * Real Xen gives a PVH domain no I/O APIC, and Linux asks for one before it believes its ACPI tables. A hypervisor takes one for the sign of
   * a PC and looks for the PIT behind it.
   */
  readonly ioapic: boolean;
  readonly #pvhConfig: PvhConfig;
  readonly #pvh: PvhPlan;

  /** @throws MachineError when it does not fit. */
  constructor(config: DomainConfig, kernel: KernelImage) {
    this.config = config;
    this.vcpus = config.vcpus ?? 1;
    this.uuid = config.uuid ?? globalThis.crypto.getRandomValues(new Uint8Array(UUID_BYTES));
    this.ioapic = !kernel.multiboot;
    this.#pvhConfig = {
      kernel,
      ...(config.bootProtocol !== undefined && { protocol: config.bootProtocol }),
      modules: [...(config.initrd === undefined ? [] : [{ data: config.initrd }]), ...(config.bootModules ?? [])],
      commandLine: config.commandLine ?? '',
      ramBytes: this.#ramBytes,
      vcpus: this.vcpus,
      ioapic: this.ioapic,
    };
    this.#pvh = planPvh(this.#pvhConfig);
    this.plan = planMachine(this.#pvh, this.vcpus, { sharing: config.checkJit === true });
    try {
      this.wasm = allocateArena(this.plan.size);
    } catch (cause) {
      const mib = Math.ceil(this.plan.size / (1 << 20));
      throw new MachineError(
        'memory-too-large',
        `the host has no ${mib} MiB for the guest (${String(cause)})`,
        'give the guest less memory',
      );
    }
    const buffer = this.wasm.buffer as unknown as SharedArrayBuffer;
    this.memory = new GuestMemory(buffer, this.plan.p2m.at);
    const { sharing, ram } = this.plan;
    if (sharing !== undefined) this.memory.sharing = new PageSharing(buffer, sharing, ram);
  }

  /**
   * Bytes of RAM in the memory map. A guest that may have more than it is to have at first is given all of it, and its balloon takes
   * back what is above the target: Linux reckons from memory/static-max and what it booted with. (Xen populates on demand.)
   */
  get #ramBytes(): number {
    return Math.max(this.config.memoryBytes, this.config.maxMemoryBytes ?? 0);
  }

  /** Fills the memory: RAM with kernel, initrd and tables, and the platform's state. No vCPU runs. */
  load(): PvhEntry {
    const { config, memory, plan } = this;
    // No vCPU is there to be told.
    memory.onChange(() => {});
    mapPvh(memory, this.#pvh, plan.ram);
    const entry = loadPvh(memory, this.#pvh, this.#pvhConfig);
    const unixMs = Date.now();
    const pages = this.#ramBytes / 4096;
    XenDomain.create(memory, plan.xen, {
      domid: config.id ?? GUEST_DOMID,
      uuid: this.uuid,
      ...plan.shape,
      tscKhz: TSC_KHZ,
      wallclock: { seconds: Math.floor(unixMs / 1000), nanoseconds: (unixMs % 1000) * 1_000_000 },
      memoryMap: this.#pvh.memmap.map(({ at, size, type }) => ({ addr: at, size, type })),
      pages,
      maxPages: pages,
      vendor: 'GenuineIntel',
      consoleIo: true,
      ...(config.emulation !== undefined && { emulation: config.emulation }),
    });
    return entry;
  }

  /** Empties all memory, for a `load` that starts anew. */
  clear(): void {
    this.memory.u8.fill(0);
  }
}

/**
 * Unpacks the kernel, plans and allocates the memory.
 * @throws ImageError, MachineError, TracepointError, and the signal's reason.
 */
export async function buildImage(config: DomainConfig, options: BuildOptions): Promise<MachineImage> {
  const stage = (name: BuildProgress['stage'], done: 0 | 1): void => {
    options.signal?.throwIfAborted();
    options.onProgress?.({ stage: name, done, total: 1 });
  };
  checkTraceGlobs(config.trace ?? []);
  stage('unpack', 0);
  const kernel = await loadKernel(config.kernel, config.bootProtocol);
  stage('unpack', 1);
  return new MachineImage(config, kernel);
}
