// The threads of a domain's vCPUs, from the domain's side: start, hold, let go, end.
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { VcpuHost, VcpuThreadHandle } from './domain-config.ts';
import { kickAll, stopVcpus } from './kick.ts';
import { CONTROL, type MachinePlan } from './machine-plan.ts';
import type { VcpuMessage, VcpuThreadData } from './vcpu-parts.ts';

export interface VcpuThreadsOptions {
  readonly host: VcpuHost;
  readonly memory: GuestMemory;
  readonly plan: MachinePlan;
  readonly onMessage: (message: VcpuMessage, vcpuId: number) => void;
  /** A failure of the monitor itself on a vCPU's thread. */
  readonly onFailure: (error: Error) => void;
}

export class VcpuThreads {
  readonly #options: VcpuThreadsOptions;
  #threads: VcpuThreadHandle[] = [];
  #holders = 0;
  #waiting: (() => void)[] = [];
  #ending = false;

  constructor(options: VcpuThreadsOptions) {
    this.#options = options;
  }

  /** Starts a thread for each vCPU. They park at once while the vCPUs are held. */
  start(data: Omit<VcpuThreadData, 'vcpuId'>): void {
    const { host, memory, plan } = this.#options;
    memory.u8.fill(0, plan.control.at, plan.control.at + CONTROL.sizeof);
    if (this.#holders > 0) this.#set(CONTROL.pause, 1);
    this.#ending = false;
    this.#threads = plan.vcpus.map((_, vcpuId) =>
      host.start(
        { ...data, vcpuId },
        (message) => this.#receive(message, vcpuId),
        (error) => this.#options.onFailure(error),
      ),
    );
  }

  /** Whether all vCPUs are out of the guest and stay there. */
  get parked(): boolean {
    return this.#threads.length === 0 || this.#get(CONTROL.parked) === this.#threads.length;
  }

  /** Keeps all vCPUs out of the guest until as many calls of `release`; resolves when they are. */
  async hold(): Promise<void> {
    const { memory, plan } = this.#options;
    this.#holders++;
    this.#set(CONTROL.pause, 1);
    kickAll(memory, plan);
    await this.settled();
  }

  /** Resolves when all vCPUs are parked, or gone. */
  settled(): Promise<void> {
    if (this.parked) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  release(): void {
    const { memory, plan } = this.#options;
    if (this.#holders === 0) throw new Error('the vCPUs are not held');
    if (--this.#holders > 0) return;
    this.#set(CONTROL.pause, 0);
    kickAll(memory, plan);
  }

  /** Has parked vCPUs look whether they may go on. */
  wake(): void {
    kickAll(this.#options.memory, this.#options.plan);
  }

  /** Tells the vCPUs to leave for good; each posts `stopped`. */
  stop(): void {
    this.#ending = true;
    stopVcpus(this.#options.memory, this.#options.plan);
  }

  /** Ends the threads. What they post from now on is not passed on. */
  async end(): Promise<void> {
    this.stop();
    const threads = this.#threads;
    this.#threads = [];
    await Promise.all(threads.map((thread) => thread.end()));
    this.#settle();
  }

  #receive(message: VcpuMessage, vcpuId: number): void {
    if (message.type === 'parked' && this.parked) this.#settle();
    if (this.#threads.length > 0 || !this.#ending) this.#options.onMessage(message, vcpuId);
  }

  #settle(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #get(word: number): number {
    return Atomics.load(this.#options.memory.i32, (this.#options.plan.control.at + word) >>> 2);
  }

  #set(word: number, value: number): void {
    Atomics.store(this.#options.memory.i32, (this.#options.plan.control.at + word) >>> 2, value);
  }
}
