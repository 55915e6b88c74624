// A domain's memory as it is before the first instruction: planned and allocated once, filled at each start.

import { VifDevice } from '../backends/net/vif-device.ts';
import { loadKernel } from '../image/kernel.ts';
import type { FrameSink } from '../io/frame-sink.ts';
import { allocateArena, type Region } from '../memory/arena.ts';
import { GuestMemory } from '../memory/guest-memory.ts';
import { PageSharing } from '../memory/page-sharing.ts';
import { parseMac } from '../net/mac-address.ts';
import { XenDomain } from '../xen/domain.ts';
import type { BuildOptions, BuildProgress, DomainConfig } from './domain-config.ts';
import type { GuestImage } from './guest-image.ts';
import type { BoardConfig, DiskController } from './hvm/board-config.ts';
import { type BoardMemory, divideBoardMemory } from './hvm/board-memory.ts';
import { drivePlaces } from './hvm/drive-places.ts';
import type { ServedDrive } from './hvm/drive-server.ts';
import { HvmImage } from './hvm/hvm-image.ts';
import { MAILBOX_BYTES } from './hvm/mailbox.ts';
import { MOST_NICS, type NicConfig } from './hvm/nic-region.ts';
import { type MachinePlan, planMachine } from './machine-plan.ts';
import type { PvhEntry } from './pvh/load.ts';
import { MachineError } from './pvh/machine-error.ts';
import { PvhImage } from './pvh/pvh-image.ts';
import { checkTraceGlobs } from './tracepoints.ts';
import { TSC_KHZ } from './vcpu-parts.ts';

export const GUEST_DOMID = 1;
const UUID_BYTES = 16;
/** Where virtual time begins: 2026-01-01T00:00:00Z, as Unix time in milliseconds. */
const EPOCH_MS = 1_767_225_600_000;
/** The UUID of a domain in virtual time that was given none: 646f6d31-0000-4000-8000-000000000001. */
const FIXED_UUID = Uint8Array.of(0x64, 0x6f, 0x6d, 0x31, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1);

export class MachineImage {
  readonly config: DomainConfig;
  readonly uuid: Uint8Array;
  readonly vcpus: number;
  /** Unix time in milliseconds at which virtual time begins; undefined where time is the host's. */
  readonly epochMs: number | undefined;
  readonly plan: MachinePlan;
  readonly wasm: WebAssembly.Memory;
  readonly memory: GuestMemory;
  readonly #guest: GuestImage;
  /** Seconds since 1970 at the start. */
  #startSeconds = 0;

  /** @throws MachineError when it does not fit. */
  constructor(config: DomainConfig, guest: GuestImage, uuid: Uint8Array) {
    this.config = config;
    this.vcpus = config.vcpus ?? 1;
    this.epochMs = config.clock?.kind === 'virtual' ? (config.clock.epochMs ?? EPOCH_MS) : undefined;
    if (this.epochMs !== undefined && this.vcpus > 1)
      throw new MachineError(
        'virtual-clock-vcpus',
        `virtual time is made of the instructions of one vCPU, and the domain has ${this.vcpus}`,
        'give it one vCPU, or the real clock',
      );
    this.uuid = uuid;
    this.#guest = guest;
    const boardBytes = this.hvm ? divideBoardMemory(0, config.vgaBios?.length).bytes : 0;
    this.plan = planMachine(guest, this.vcpus, {
      mailboxBytes: this.hvm ? MAILBOX_BYTES : 0,
      boardBytes,
      sharing: config.checkJit === true,
    });
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

  get ioapic(): boolean {
    return this.#guest.ioapic;
  }

  get hvm(): boolean {
    return this.config.type === 'hvm';
  }

  /** What an HVM domain has beyond a PVH domain. Pirqs it has when it is told to: xl's default of hvm_pirq is off. */
  get emulation(): { readonly pic: boolean; readonly pirq: boolean; readonly viridian: boolean } {
    const { pirq = false, viridian = false } = this.config.emulation ?? {};
    return { pic: this.hvm || pirq, pirq, viridian };
  }

  /** The board of an HVM domain; undefined in others. */
  get board(): BoardConfig | undefined {
    if (!(this.#guest instanceof HvmImage)) return undefined;
    return {
      ramBytes: this.#guest.ramBytes,
      startSeconds: this.#startSeconds,
      bootOrder: this.config.boot ?? ['c', 'd'],
      files: this.#guest.files,
      mailbox: this.plan.mailbox,
      diskController: this.#diskController,
      drives: this.drives.map(({ config }) => config),
      nics: this.nics.map(({ config }) => config),
      vga: this.boardMemory.vga,
    };
  }

  /** Of an HVM domain. */
  get boardMemory(): BoardMemory {
    return divideBoardMemory(this.plan.board.at, this.config.vgaBios?.length);
  }

  /** The disks of an HVM domain that have an emulated drive, each with its place. */
  get drives(): readonly ServedDrive[] {
    if (!this.hvm) return [];
    const { drives } = this.boardMemory;
    return drivePlaces(this.config.devices ?? [], this.#diskController).map(({ controller, device, place }) => ({
      device,
      config: { place, controller, cdrom: device.cdrom, region: drives[place] as Region },
    }));
  }

  get #diskController(): DiskController {
    return this.config.diskController ?? 'ide';
  }

  /** The vifs of an HVM domain that have an emulated card, too. */
  get nics(): readonly { readonly config: NicConfig; readonly sink: FrameSink }[] {
    if (!this.hvm) return [];
    const { nics } = this.boardMemory;
    const cards = (this.config.devices ?? []).flatMap((device) =>
      device instanceof VifDevice && device.emulated !== undefined ? [{ mac: device.mac ?? '', sink: device.emulated }] : [],
    );
    return cards.slice(0, MOST_NICS).map(({ mac, sink }, index) => ({
      sink,
      config: { index, mac: parseMac(mac) as Uint8Array, region: nics[index] as Region },
    }));
  }

  /** Comes before each `load` but the first. @throws ImageError */
  prepare(): Promise<void> {
    return this.#guest.prepare();
  }

  /** Fills the memory: RAM with kernel, initrd and tables, and the platform's state. No vCPU runs. */
  load(): PvhEntry | undefined {
    const { config, memory, plan } = this;
    // No vCPU is there to be told.
    memory.onChange(() => {});
    this.#guest.map(memory, plan.ram);
    const entry = this.#guest.load(memory);
    const rom = this.hvm ? this.boardMemory.vga?.rom : undefined;
    if (rom !== undefined) memory.u8.set(config.vgaBios as Uint8Array, rom.at);
    const unixMs = this.epochMs ?? Date.now();
    this.#startSeconds = Math.floor(unixMs / 1000);
    const pages = this.#guest.ramBytes / 4096;
    XenDomain.create(memory, plan.xen, {
      domid: config.id ?? GUEST_DOMID,
      uuid: this.uuid,
      ...plan.shape,
      tscKhz: TSC_KHZ,
      wallclock: { seconds: Math.floor(unixMs / 1000), nanoseconds: (unixMs % 1000) * 1_000_000 },
      memoryMap: this.#guest.memmap.map(({ at, size, type }) => ({ addr: at, size, type })),
      pages,
      maxPages: pages,
      vendor: 'GenuineIntel',
      consoleIo: true,
      emulation: this.emulation,
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
  const random = (): Uint8Array => globalThis.crypto.getRandomValues(new Uint8Array(UUID_BYTES));
  const uuid = config.uuid ?? (config.clock?.kind === 'virtual' ? FIXED_UUID : random());
  const guest = config.type === 'hvm' ? hvmImage(config, uuid) : await pvhImage(config);
  stage('unpack', 1);
  return new MachineImage(config, guest, uuid);
}

/**
 * Bytes of RAM in the memory map. A guest that may have more than it is to have at first is given all of it, and its balloon takes
 * back what is above the target: Linux reckons from memory/static-max and what it booted with. (Xen populates on demand.)
 */
const ramBytesOf = (config: DomainConfig): number => Math.max(config.memoryBytes, config.maxMemoryBytes ?? 0);

async function pvhImage(config: DomainConfig): Promise<GuestImage> {
  const { kernel, bootProtocol } = config;
  if (kernel === undefined)
    throw new MachineError('no-kernel', 'a PVH domain has no BIOS to boot a disk with', 'give a kernel, or type "hvm"');
  return PvhImage.plan(
    {
      ...(bootProtocol !== undefined && { protocol: bootProtocol }),
      modules: [...(config.initrd === undefined ? [] : [{ data: config.initrd }]), ...(config.bootModules ?? [])],
      commandLine: config.commandLine ?? '',
      ramBytes: ramBytesOf(config),
      vcpus: config.vcpus ?? 1,
    },
    () => loadKernel(kernel, bootProtocol),
  );
}

function hvmImage(config: DomainConfig, uuid: Uint8Array): GuestImage {
  if (config.bios === undefined) throw new MachineError('no-bios', 'an HVM domain needs a BIOS', 'give SeaBIOS as bios');
  return new HvmImage({
    bios: config.bios,
    ...(config.kernel !== undefined && { kernel: config.kernel }),
    ...(config.initrd !== undefined && { initrd: config.initrd }),
    commandLine: config.commandLine ?? '',
    ramBytes: ramBytesOf(config),
    vcpus: config.vcpus ?? 1,
    uuid,
  });
}
