// A guest for specs: memory with identity "virtual" addresses, a clock that is moved by hand, and one call for a hypercall.
import type { Gfn, HostAddress } from '../abi/types.ts';
import { PAGE_SIZE } from '../abi/types.ts';
import { HYPERVISOR } from '../abi/xen/hypercall.ts';
import type { Region } from '../memory/arena.ts';
import { GuestMemory, P2M_BYTES } from '../memory/guest-memory.ts';
import { VirtualClock } from '../time/clock.ts';
import type { GuestCaller } from '../vcpu/contract.ts';
import { BackendChannels } from './backend-channels.ts';
import { type DomainConfig, XenDomain } from './domain.ts';
import { domainRegionSize } from './domain-layout.ts';
import { Hypercalls } from './hypercalls.ts';
import { XenVcpu } from './vcpu.ts';

/** Guest RAM: this many pages from frame 0. */
export const RAM_PAGES = 64;
export const DOMID = 7;

/** A caller whose virtual addresses are guest-physical ones; a pointer to a hole cannot be read or written. */
export class TestCaller implements GuestCaller {
  vcpuId: number;
  longMode = true;
  cpl = 0;
  readonly #memory: GuestMemory;

  constructor(memory: GuestMemory, vcpuId: number) {
    this.#memory = memory;
    this.vcpuId = vcpuId;
  }

  readVirtual(address: bigint, into: Uint8Array): boolean {
    return this.#memory.read(this.translate(address) as never, into);
  }

  writeVirtual(address: bigint, from: Uint8Array): boolean {
    return this.#memory.write(this.translate(address) as never, from);
  }

  translate(address: bigint): number {
    return Number(BigInt.asUintN(this.longMode ? 64 : 32, address));
  }
}

export class TestGuest {
  readonly memory: GuestMemory;
  readonly region: Region;
  readonly domain: XenDomain;
  readonly clock = new VirtualClock();
  readonly callers: readonly TestCaller[];
  readonly vcpus: readonly XenVcpu[];
  readonly calls: readonly Hypercalls[];
  readonly channels: BackendChannels;
  /** What the hooks were called with. */
  readonly vectors: [vcpu: number, vector: number][] = [];
  readonly kicks: number[] = [];
  readonly log: number[] = [];
  backendWakes = 0;
  flushes = 0;

  constructor(options: { vcpus?: number; config?: Partial<DomainConfig> } = {}) {
    const shape = { vcpus: options.vcpus ?? 1, grantFrames: 4 };
    const ramAt = PAGE_SIZE + P2M_BYTES;
    const regionAt = ramAt + RAM_PAGES * PAGE_SIZE;
    const size = domainRegionSize(shape);
    this.memory = new GuestMemory(new SharedArrayBuffer(regionAt + size + PAGE_SIZE), PAGE_SIZE as HostAddress);
    for (let gfn = 0; gfn < RAM_PAGES; gfn++) this.memory.map(gfn as Gfn, (ramAt + gfn * PAGE_SIZE) as HostAddress);
    this.region = { at: regionAt as HostAddress, size };
    XenDomain.create(this.memory, this.region, {
      ...shape,
      domid: DOMID,
      uuid: Uint8Array.from({ length: 16 }, (_, i) => i + 1),
      tscKhz: 1_000_000,
      wallclock: { seconds: 0x1_2345_6789, nanoseconds: 42 },
      memoryMap: [
        { addr: 0, size: RAM_PAGES * PAGE_SIZE, type: 1 },
        { addr: 0xfeff8000, size: 8 * PAGE_SIZE, type: 2 },
      ],
      pages: RAM_PAGES,
      maxPages: RAM_PAGES + 10,
      vendor: 'GenuineIntel',
      consoleIo: false,
      ...options.config,
    });
    const { memory, region } = this;
    this.domain = new XenDomain({
      memory,
      region,
      kick: (id) => void this.kicks.push(id),
      wakeBackends: () => void this.backendWakes++,
    });
    this.channels = new BackendChannels(this.domain);
    this.callers = this.domain.vcpus.map(({ id }) => new TestCaller(memory, id));
    this.vcpus = this.callers.map(
      (caller, id) =>
        new XenVcpu({
          domain: this.domain,
          id,
          clock: this.clock,
          caller,
          deliverVector: (vector) => void this.vectors.push([id, vector]),
        }),
    );
    const hooks = { flushTlbs: () => void this.flushes++, consoleWrite: (b: Uint8Array) => void this.log.push(...b) };
    this.calls = this.vcpus.map((vcpu) => new Hypercalls(vcpu, hooks));
  }

  /** Makes a hypercall on vCPU 0. */
  call(name: keyof typeof HYPERVISOR, ...args: (number | bigint)[]): number {
    return this.callOn(0, name, ...args);
  }

  callOn(vcpu: number, name: keyof typeof HYPERVISOR, ...args: (number | bigint)[]): number {
    const calls = this.calls[vcpu] as Hypercalls;
    calls.args.u64.fill(0n);
    for (const [i, value] of args.entries()) calls.args.u64[i] = BigInt(value);
    return calls.call(this.callers[vcpu] as TestCaller, HYPERVISOR[name]);
  }

  /** Puts u32 words at a guest-physical address. */
  poke(gpa: number, ...words: number[]): number {
    for (const [i, word] of words.entries()) this.memory.writeU32((gpa + i * 4) as never, word >>> 0);
    return gpa;
  }

  peek(gpa: number): number {
    return this.memory.readU32(gpa as never);
  }

  /** A u64 at a guest-physical address. */
  peek64(gpa: number): bigint {
    return (BigInt(this.peek(gpa + 4)) << 32n) | BigInt(this.peek(gpa));
  }

  /** Maps shared_info at `gfn`, and returns its guest-physical address. */
  mapSharedInfo(gfn: number): number {
    this.poke(0x100, DOMID_SELF_AND_SIZE, 0, 0, 0, gfn, 0);
    const result = this.call('memory_op', 7, 0x100);
    if (result !== 0) throw new Error(`add_to_physmap: ${result}`);
    return gfn * PAGE_SIZE;
  }
}

/** domid DOMID_SELF, size 0, as the first word of an argument. */
export const DOMID_SELF_AND_SIZE = 0x7ff0;
