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

/** How long a thread may take to leave of its own accord, in milliseconds; then it is ended wherever it is. */
const LEAVE_MS = 2000;

interface VcpuThread {
  readonly handle: VcpuThreadHandle;
  /** Resolves when it has left its loop, and so holds no lock of the domain's. */
  readonly left: Promise<void>;
}

export class VcpuThreads {
  readonly #options: VcpuThreadsOptions;
  #threads: VcpuThread[] = [];
  #holders = 0;
  /** Who waits for all vCPUs to be parked; and who does, but only as long as they are held. */
  #waiting: (() => void)[] = [];
  #holding: (() => void)[] = [];
  #ending = false;
  #end: Promise<void> = Promise.resolve();

  constructor(options: VcpuThreadsOptions) {
    this.#options = options;
  }

  /** Starts a thread for each vCPU. They park at once while the vCPUs are held. */
  start(data: Omit<VcpuThreadData, 'vcpuId'>): void {
    const { host, memory, plan } = this.#options;
    memory.u8.fill(0, plan.control.at, plan.control.at + CONTROL.sizeof);
    if (this.#holders > 0) this.#set(CONTROL.pause, 1);
    this.#ending = false;
    this.#threads = plan.vcpus.map((_, vcpuId) => {
      let leave = (): void => {};
      const left = new Promise<void>((resolve) => {
        leave = resolve;
      });
      const handle = host.start(
        { ...data, vcpuId },
        (message) => {
          if (message.type === 'stopped' || message.type === 'crash' || message.type === 'mismatch') leave();
          this.#receive(message, vcpuId);
        },
        (error) => {
          leave();
          this.#options.onFailure(error);
        },
      );
      return { handle, left };
    });
  }

  /** Whether all vCPUs are out of the guest and stay there. */
  get parked(): boolean {
    return this.#threads.length === 0 || this.#get(CONTROL.parked) === this.#threads.length;
  }

  /** Keeps all vCPUs out of the guest until as many calls of `release`; resolves when they are, as `held` does. */
  hold(): Promise<void> {
    const { memory, plan } = this.#options;
    this.#holders++;
    this.#set(CONTROL.pause, 1);
    kickAll(memory, plan);
    return this.held();
  }

  /** Resolves when all vCPUs are parked, or gone, or when nobody holds them any more. */
  held(): Promise<void> {
    return this.#parking(this.#holding);
  }

  /** Resolves when all vCPUs are parked, or gone. */
  settled(): Promise<void> {
    return this.#parking(this.#waiting);
  }

  #parking(waiting: (() => void)[]): Promise<void> {
    // Who waits since before is first: what one finds settled is no news that comes later to another.
    if (this.parked) this.#settle();
    return this.parked ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve));
  }

  release(): void {
    const { memory, plan } = this.#options;
    if (this.#holders === 0) throw new Error('the vCPUs are not held');
    if (--this.#holders > 0) return;
    this.#set(CONTROL.pause, 0);
    kickAll(memory, plan);
    for (const resolve of this.#holding.splice(0)) resolve();
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

  /** Ends the threads. What they post from now on is not passed on. Resolves when they are gone, for a second caller too. */
  end(): Promise<void> {
    this.stop();
    const threads = this.#threads;
    this.#threads = [];
    if (threads.length > 0) this.#end = this.#endAll(threads);
    return this.#end;
  }

  /** A thread that is ended in the middle of something may leave a lock of the domain's held for ever. */
  async #endAll(threads: readonly VcpuThread[]): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LEAVE_MS);
      void Promise.all(threads.map(({ left }) => left)).then(() => {
        clearTimeout(timer);
        resolve();
      });
    });
    await Promise.all(threads.map(({ handle }) => handle.end()));
    this.#settle();
  }

  #receive(message: VcpuMessage, vcpuId: number): void {
    if (message.type === 'parked' && this.parked) this.#settle();
    if (this.#threads.length > 0 || !this.#ending || message.type === 'profile') this.#options.onMessage(message, vcpuId);
  }

  #settle(): void {
    for (const resolve of [...this.#waiting.splice(0), ...this.#holding.splice(0)]) resolve();
  }

  #get(word: number): number {
    return Atomics.load(this.#options.memory.i32, (this.#options.plan.control.at + word) >>> 2);
  }

  #set(word: number, value: number): void {
    Atomics.store(this.#options.memory.i32, (this.#options.plan.control.at + word) >>> 2, value);
  }
}
