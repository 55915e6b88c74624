// A guest under the test's control: it makes the calls that it is told to, and its memory lies open.

import type { Width } from './guest-code.ts';
import { GuestRam } from './guest-ram.ts';
import { buildProbe, type ProbeImage } from './probe-image.ts';
import { type ProbeOp, RAM_BYTES } from './probe-layout.ts';
import { type CallSite, type Fault, ProbeVcpu } from './probe-vcpu.ts';

/** The library as it is shipped: a vCPU's worker needs compiled files. */
const dom1 = (await import(
  /* @vite-ignore */ new URL('../../dist/index.js', import.meta.url).href
)) as typeof import('../../src/index.ts');
type Domain = Awaited<ReturnType<typeof dom1.createDomain>>;

/** Milliseconds for what is not in the guest's hand alone. */
const PATIENCE = 5000;
const BOOT_PATIENCE = 20_000;

export interface ProbeOptions {
  readonly vcpus?: number;
  readonly emulation?: { readonly pirq?: boolean; readonly viridian?: boolean };
}

/** Calls and commands without a vCPU's name are vCPU 0's. */
export class Probe extends GuestRam implements AsyncDisposable {
  readonly image: ProbeImage;
  readonly domain: Domain;
  readonly vcpus: readonly ProbeVcpu[];
  /** What the guest wrote to the hypervisor's log, as it arrives on this thread. */
  readonly log: number[];

  /** Starts a guest and waits until its first vCPU serves commands. */
  static async start(width: Width, options: ProbeOptions = {}): Promise<Probe> {
    const image = buildProbe(width);
    const log: number[] = [];
    const domain = await dom1.createDomain({
      ...options,
      kernel: image.elf,
      memory: RAM_BYTES,
    });
    domain.on('log', (bytes) => void log.push(...bytes));
    const probe = new Probe(width, image, domain, log, options.vcpus ?? 1);
    domain.run();
    await probe.until('the guest to be ready', () => probe.#boot.ready, BOOT_PATIENCE);
    return probe;
  }

  private constructor(width: Width, image: ProbeImage, domain: Domain, log: number[], vcpus: number) {
    super(domain.memory, width);
    this.image = image;
    this.domain = domain;
    this.log = log;
    this.vcpus = Array.from({ length: vcpus }, (_, id) => new ProbeVcpu(this, id));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.domain.destroy();
  }

  call(nr: number, ...args: readonly (number | bigint)[]): number {
    return this.#boot.call(nr, ...args);
  }
  callFrom(site: CallSite, nr: number, ...args: readonly (number | bigint)[]): number {
    return this.#boot.callFrom(site, nr, ...args);
  }
  begin(nr: number, ...args: readonly (number | bigint)[]): void {
    this.#boot.begin(nr, ...args);
  }
  get busy(): boolean {
    return this.#boot.busy;
  }
  end(): number {
    return this.#boot.end();
  }
  command(op: ProbeOp, ...args: readonly (number | bigint)[]): readonly bigint[] {
    return this.#boot.command(op, ...args);
  }
  attempt(op: ProbeOp, ...args: readonly (number | bigint)[]): Fault | undefined {
    return this.#boot.attempt(op, ...args);
  }
  cpuid(leaf: number, subleaf = 0): readonly [number, number, number, number] {
    return this.#boot.cpuid(leaf, subleaf);
  }
  load(at: number): bigint {
    return this.#boot.load(at);
  }
  tsc(): bigint {
    return this.#boot.tsc();
  }
  interrupts(on: boolean): void {
    this.#boot.interrupts(on);
  }
  count(vector: number): number {
    return this.#boot.count(vector);
  }
  set vcpuInfo(at: number) {
    this.#boot.vcpuInfo = at;
  }
  takeSelector(): bigint {
    return this.#boot.takeSelector();
  }
  get hypercallPage(): number {
    return this.#boot.hypercallPage;
  }
  set hypercallPage(at: number) {
    this.#boot.hypercallPage = at;
  }

  /** Waits for what this thread's messages, or the guest, bring about. @throws Error when it does not come */
  async until(what: string, happened: () => boolean, patience = PATIENCE): Promise<void> {
    const deadline = performance.now() + patience;
    while (!happened()) {
      if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  get #boot(): ProbeVcpu {
    return this.vcpus[0] as ProbeVcpu;
  }
}
