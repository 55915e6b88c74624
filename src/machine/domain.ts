// A domain: its memory, its vCPU threads, its console, and its life from building to its end.
import { SHUTDOWN } from '../abi/xen/sched.ts';
import type { PvDevice } from '../backends/pv-device.ts';
import { asFrameBuffer, type FrameBufferDevice } from '../backends/vfb/frame-buffer-device.ts';
import { asKeyboard } from '../backends/vkbd/keyboard-device.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { InspectTree } from '../util/inspect/inspect-node.ts';
import { type OnceOptions, TypedEvents } from '../util/typed-events.ts';
import { type EventChannelInfo, injectEvent, listEventChannels } from '../xen/events/inspect-events.ts';
import { type GrantListing, listGrants } from '../xen/grants/inspect-grants.ts';
import { XenStore } from '../xen/store/store.ts';
import { StoreClient } from '../xen/store/store-client.ts';
import { formatUuid, requestShutdown, type ShutdownRequest } from '../xen/store/toolstack.ts';
import type { CommandOptions, CommandResult } from './console-command.ts';
import {
  type BuildOptions,
  type DomainConfig,
  type DomainEnd,
  type DomainState,
  END_REASON,
  type VcpuHost,
} from './domain-config.ts';
import { DomainDevices } from './domain-devices.ts';
import type { DomainEvents } from './domain-events.ts';
import { DomainTime } from './domain-time.ts';
import { timeOrigin } from './guest-clock.ts';
import { GuestConsole, type LoginOptions } from './guest-console.ts';
import { furtherConsoles, type GuestConsoleDevice } from './guest-console-device.ts';
import type { GuestInput } from './guest-input.ts';
import type { GuestScreen } from './guest-screen.ts';
import { BoardServer } from './hvm/board-server.ts';
import { VgaScreen } from './hvm/vga-screen.ts';
import { inspectDomain } from './inspect-domain.ts';
import { buildImage, type MachineImage } from './machine-image.ts';
import { CONTROL } from './machine-plan.ts';
import { PlatformSide } from './platform-side.ts';
import type { PvhEntry } from './pvh/load.ts';
import { readRegisters, type VcpuRegisters } from './registers.ts';
import { retiredInstructions } from './retired-instructions.ts';
import { traceBatchRead } from './trace-batch.ts';
import { TranslationError } from './translation-error.ts';
import type { VcpuMessage } from './vcpu-parts.ts';
import { VcpuThreads } from './vcpu-threads.ts';

/**
 * Builds a domain: unpacks the kernel, plans and fills the memory. Nothing runs yet.
 * @throws ImageError, MachineError, TracepointError, and the signal's reason.
 */
export async function buildDomain(config: DomainConfig, host: VcpuHost, options: BuildOptions = {}): Promise<Domain> {
  const image = await buildImage(config, options);
  options.signal?.throwIfAborted();
  options.onProgress?.({ stage: 'load', done: 0, total: 1 });
  const domain = new Domain(image, host);
  options.onProgress?.({ stage: 'load', done: 1, total: 1 });
  return domain;
}

/** States in which the guest is there: it runs, or could go on. */
const ALIVE: ReadonlySet<DomainState> = new Set(['running', 'paused', 'suspended']);

/** A request that the domain's state does not allow. `message` says which. */
export class DomainStateError extends Error {
  override readonly name = 'DomainStateError';
}

/** A guest with its memory, its vCPUs and its devices, from building to its end. `createDomain` makes one. */
export class Domain implements AsyncDisposable {
  readonly console: GuestConsole;
  /** Resolves when the domain has ended, however it did. Rejects on a failure of the monitor itself. */
  readonly ended: Promise<DomainEnd>;
  readonly #image: MachineImage;
  /** XenStore, as domain 0 sees it. */
  readonly xenstore: StoreClient;
  /** Disks, network cards, consoles, shares and displays. */
  readonly devices: DomainDevices;
  readonly #origin = timeOrigin();
  readonly #store = new XenStore();
  readonly #time: DomainTime;
  readonly #threads: VcpuThreads;
  readonly #events = new TypedEvents<DomainEvents>();
  /** What `setMaxMemory` said last. */
  #maxMemory: number | undefined;
  #entry: PvhEntry | undefined;
  #platform: PlatformSide;
  /** Of the board that runs. */
  #board: BoardServer;
  #state: DomainState = 'built';
  /** Whether `pause` holds the vCPUs. */
  #paused = false;
  /** The platform is being made ready for a guest that goes on: one at a time, and a reset waits for it. */
  #renewal: Promise<void> | undefined;
  #resetting: Promise<void> | undefined;
  #resolve: (end: DomainEnd) => void = () => {};
  #reject: (error: Error) => void = () => {};

  /** Use `buildDomain`. */
  constructor(image: MachineImage, host: VcpuHost) {
    this.#image = image;
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // A domain that nobody waits for must not end the process.
    this.ended.catch(() => {});
    this.#entry = image.load();
    this.#time = new DomainTime(image, this.#origin);
    this.console = new GuestConsole((bytes) => this.#type(bytes), this.#time.pace);
    this.xenstore = new StoreClient(this.#store);
    this.devices = new DomainDevices(image.config.devices ?? [], this.xenstore, (action) => this.#expectAlive(action));
    this.#platform = this.#connect();
    this.#board = new BoardServer(image, this.#time.pace);
    this.#threads = new VcpuThreads({
      host,
      memory: image.memory,
      plan: image.plan,
      onMessage: (message) => this.#receive(message),
      onFailure: (error) => this.#fail(error),
    });
  }

  /** The guest's own domain number. */
  get id(): number {
    return this.#platform.xen.domid;
  }

  get name(): string {
    return this.#image.config.name ?? 'guest';
  }

  /** The first of its frame buffers. */
  get display(): FrameBufferDevice | undefined {
    return this.#firstOf('vfb', asFrameBuffer);
  }

  /** What its screen shows: the first frame buffer's picture when the guest uses it, or that of an HVM domain's VGA. */
  get screen(): GuestScreen | undefined {
    const { display } = this;
    const regions = this.#image.hvm ? this.#image.boardMemory.vga : undefined;
    const vga = regions === undefined ? undefined : new VgaScreen(this.#image.memory, regions);
    if (vga === undefined && display === undefined) return undefined;
    return {
      snapshot: () => display?.snapshot() ?? vga?.snapshot(),
      text: () => (display?.size === undefined ? vga?.text() : undefined),
    };
  }

  /** Its keyboard and mouse: the first PV keyboard when the guest uses it, or those of an HVM domain's 8042. */
  get input(): GuestInput | undefined {
    const pv = this.#firstOf('vkbd', asKeyboard);
    return this.#image.hvm && pv?.absolute === undefined ? this.#board.input : pv;
  }

  /** Its consoles beside the primary one, by their numbers. */
  consoles(): ReadonlyMap<number, GuestConsoleDevice> {
    return furtherConsoles(this.devices);
  }

  #firstOf<T>(type: string, as: (device: PvDevice) => T | undefined): T | undefined {
    const info = this.devices.list().find((device) => device.type === type);
    const device = info === undefined ? undefined : this.devices.get(type, info.id);
    return device === undefined ? undefined : as(device);
  }

  /** The guest's physical memory, as it is while the guest runs. */
  get memory(): GuestMemory {
    return this.#image.memory;
  }

  /** 8-4-4-4-12 hexadecimal digits. */
  get uuid(): string {
    return formatUuid(this.#image.uuid);
  }

  get vcpus(): number {
    return this.#image.vcpus;
  }

  /** Bytes of RAM it was given at the start. */
  get memoryBytes(): number {
    return this.#image.config.memoryBytes;
  }

  /**
   * Limits what the balloon may reach from now on; what the guest has it keeps. As long as the domain lives, resets included.
   * @param bytes a multiple of 4 KiB
   * @throws RangeError when it is more than the domain was created with; DomainStateError
   */
  setMaxMemory(bytes: number): void {
    this.#expectAlive('limit the memory of');
    const most = Math.max(this.memoryBytes, this.#image.config.maxMemoryBytes ?? 0);
    if (bytes > most) throw new RangeError(`${bytes / 1024} KiB are more than the domain was created with (${most / 1024} KiB)`);
    this.#maxMemory = bytes;
    this.#platform.xen.maxPages = Math.floor(bytes / 4096);
  }

  get state(): DomainState {
    return this.#state;
  }

  /** Calls the listener with each event of this name; see {@link DomainEvents}. Disposing of the result ends that. */
  on<K extends keyof DomainEvents>(name: K, listener: (event: DomainEvents[K]) => void): Disposable {
    return this.#events.on(name, listener);
  }

  /**
   * Resolves with the next event of this name, or the next that `options.where` accepts. It does not look back: ask for it
   * before doing what brings it about.
   * @throws DomainStateError when the domain has ended before, an Error named TimeoutError, the signal's reason
   */
  once<K extends keyof DomainEvents>(name: K, options?: OnceOptions<DomainEvents[K]>): Promise<DomainEvents[K]> {
    return this.#events.once(name, options);
  }

  /** Runs a command in the guest's shell on the console; see {@link GuestConsole.sh}. @throws ConsoleError, DomainStateError */
  async sh(command: string, options?: CommandOptions): Promise<CommandResult> {
    if (this.#state === 'built') throw new DomainStateError('the domain has not been started: call run() first');
    return this.console.sh(command, options);
  }

  /** Logs in on the console; see {@link GuestConsole.login}. @throws ConsoleError, DomainStateError */
  async login(options?: LoginOptions): Promise<void> {
    if (this.#state === 'built') throw new DomainStateError('the domain has not been started: call run() first');
    return this.console.login(options);
  }

  /** Instructions the guest has run. While it runs, as of the last time that its vCPUs left the engine. */
  get retired(): number {
    return retiredInstructions(this.#image.memory, this.#image.plan);
  }

  /**
   * Of a domain in virtual time: a hash of where the vCPU has been so far, 16 hexadecimal digits, for comparing runs. While the
   * guest runs it changes.
   */
  get path(): string | undefined {
    return this.#time.path;
  }

  /** Starts the vCPUs. */
  run(): void {
    if (this.#state !== 'built') throw new DomainStateError(`the domain is ${this.#state}`);
    this.#setState('running');
    this.#start();
    this.#tellRunState(true);
  }

  /** Stops the vCPUs and guest time. Resolves when no vCPU is in the guest any more. */
  async pause(): Promise<void> {
    this.#expectAlive('pause');
    if (this.#paused) return this.#threads.held();
    this.#paused = true;
    if (this.#state === 'running') this.#setState('paused');
    await this.#threads.hold();
    this.#standStill();
  }

  /** Lets the vCPUs go on. Nothing happens unless the domain is paused. */
  unpause(): void {
    if (!this.#paused || !ALIVE.has(this.#state)) return;
    this.#paused = false;
    if (this.#state === 'paused') this.#setState('running');
    this.#goOn();
    this.#threads.release();
  }

  /** Resets the machine: as if it were built anew, with its RAM, its time and its kernel as at the start. */
  reset(): Promise<void> {
    this.#expectAlive('reset');
    this.#resetting ??= this.#reset().finally(() => {
      this.#resetting = undefined;
    });
    return this.#resetting;
  }

  async #reset(): Promise<void> {
    try {
      await this.#remake();
    } catch (error) {
      // Nothing runs any more, and nothing would end it.
      this.#fail(error as Error);
      throw error;
    }
  }

  async #remake(): Promise<void> {
    await this.#renewal?.catch(() => {});
    this.devices.withdraw();
    await this.#threads.end();
    await this.#board.close();
    await this.#platform.close();
    await this.#image.prepare();
    // It may have failed meanwhile.
    this.#expectAlive('reset');
    this.#image.clear();
    this.#entry = this.#image.load();
    this.#time.clock.reset();
    if (this.#paused) this.#time.clock.stop();
    this.#platform = this.#connect();
    this.#board = new BoardServer(this.#image, this.#time.pace);
    this.console.restart();
    this.#state = this.#paused ? 'paused' : 'running';
    this.#start();
    this.#events.emit('state', { state: this.#state, cause: 'reset' });
    this.#tellRunState(!this.#paused);
  }

  /** Asks the guest, through control/shutdown, to do something about its own end. It may take its time, or not listen. */
  shutdown(request: ShutdownRequest): void {
    this.#expectAlive(`ask for ${request} of`);
    requestShutdown(this.#store, this.id, request);
  }

  /**
   * Lets a guest that suspended itself go on. `cancelled`: as if the suspend had failed, everything as it was; otherwise as
   * after a restore: event channels, grant table and shared pages are new, and the guest sets them up again.
   */
  async resume(options: { readonly cancelled?: boolean } = {}): Promise<void> {
    if (this.#state !== 'suspended') throw new DomainStateError(`the domain is ${this.#state}, not suspended`);
    if (this.#renewal !== undefined) throw new DomainStateError('the domain is about to go on already');
    await this.#renew(async () => {
      await this.#threads.settled();
      await this.#platform.resume(options.cancelled === true);
    });
    if (this.#state !== 'suspended') return;
    this.#setState(this.#paused ? 'paused' : 'running');
    this.#goOn();
    this.#threads.wake();
  }

  /** Sends an NMI to a vCPU. */
  nmi(vcpu = 0): void {
    this.#expectAlive('send an NMI to');
    const state = this.#platform.xen.vcpus[vcpu];
    if (state === undefined) throw new RangeError(`the domain has no vCPU ${vcpu}`);
    state.requestNmi();
    this.#platform.xen.events.wake(state);
  }

  /** A vCPU's registers, of a moment when it is out of the guest. */
  async registers(vcpu = 0): Promise<VcpuRegisters> {
    const { memory, plan } = this.#image;
    const regions = plan.vcpus[vcpu];
    if (regions === undefined) throw new RangeError(`the domain has no vCPU ${vcpu}`);
    await this.#threads.hold();
    try {
      return readRegisters(memory, regions, vcpu);
    } finally {
      this.#threads.release();
    }
  }

  /** Its event channels that are not closed, in order. */
  eventChannels(): readonly EventChannelInfo[] {
    return listEventChannels(this.#platform.xen);
  }

  /** Makes a port pending and delivers it, as if its other end had sent an event. @throws RangeError when the port is closed */
  injectEvent(port: number): void {
    this.#expectAlive('inject an event into');
    if (!injectEvent(this.#platform.xen, port)) throw new RangeError(`event channel ${port} is not open`);
  }

  /** Its grant table's entries in use, in order. */
  grants(): readonly GrantListing[] {
    return listGrants(this.#platform.xen);
  }

  /** Everything there is to see of the domain, as a tree. */
  inspect(): InspectTree {
    return inspectDomain(this, this.#image.plan, this.#platform, this.#store, this.#time.clock.nowNs());
  }

  /** Ends the domain at once, without asking the guest. */
  async destroy(): Promise<void> {
    // It would start the threads again.
    await this.#resetting?.catch(() => {});
    if (ALIVE.has(this.#state)) {
      this.#threads.stop();
      await this.ended.catch(() => {});
    }
    await this.#threads.end();
    if (this.#state === 'built') this.#finish('destroyed', { reason: 'destroyed', retired: 0 });
    // Its disks are closed then.
    await this.ended.catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.destroy();
  }

  #start(): void {
    const { board, config, emulation, ioapic, plan, wasm } = this.#image;
    this.#threads.start({
      memory: wasm,
      plan,
      origin: this.#origin,
      entry: this.#entry,
      ioapic,
      ...(board !== undefined && { board }),
      pic: emulation.pic,
      translate: config.translate ?? true,
      profile: config.profile ?? false,
      virtualTime: this.#time.virtual,
      trace: config.trace ?? [],
    });
  }

  #connect(): PlatformSide {
    const platform = new PlatformSide({
      image: this.#image,
      store: this.#store,
      name: this.name,
      nowNs: this.#time.clock.nowNs,
      pace: this.#time.pace,
      onOutput: (bytes) => {
        if (!this.#serialConsole) this.console.receive(bytes);
      },
      onBackendEvent: (event) => this.#events.emit('device', event),
      onTrace: (line) => this.#events.emit('trace', line),
    });
    if (this.#maxMemory !== undefined) platform.xen.maxPages = Math.floor(this.#maxMemory / 4096);
    this.devices.offer(platform.backends);
    return platform;
  }

  /** Types into the ring; some of what the guest has not read yet is kept. Returns how many bytes were taken. */
  #type(bytes: Uint8Array): number {
    if (this.#serialConsole) return this.#board.type(bytes) ? bytes.length : 0;
    return this.#state === 'built' || ALIVE.has(this.#state) ? this.#platform.console.write(bytes) : bytes.length;
  }

  get #serialConsole(): boolean {
    return this.#image.config.consoleType === 'serial';
  }

  /** Presses the power button of an HVM domain. */
  pressPower(): void {
    this.#expectAlive('press the power button of');
    if (!this.#image.hvm) throw new DomainStateError('a PVH domain has no power button: use shutdown');
    this.#board.pressPower();
  }

  #receive(message: VcpuMessage): void {
    const { memory, plan } = this.#image;
    switch (message.type) {
      case 'doorbell':
        Atomics.store(memory.i32, (plan.control.at + CONTROL.doorbell) >>> 2, 0);
        this.#platform.channels.dispatch();
        break;
      case 'serial':
        if (this.#serialConsole) this.console.receive(message.bytes);
        this.#events.emit('serial', message.bytes);
        break;
      case 'drive':
        this.#board.drive(message);
        break;
      case 'frame':
        this.#board.frame(message.index, message.bytes);
        break;
      case 'settle':
        this.#time.settle(message.ticket).catch((error: unknown) => this.#fail(error as Error));
        break;
      case 'log':
        this.#events.emit('log', message.bytes);
        break;
      case 'trace':
        traceBatchRead(memory.i32, (plan.control.at + CONTROL.traceBacklog) >>> 2);
        for (const line of message.lines) this.#events.emit('trace', line);
        break;
      case 'profile':
        this.#events.emit('profile', message.profile);
        break;
      case 'shutdown':
        this.#shutdown(message.reason, message.report);
        break;
      case 'crash':
        this.#finish('crashed', { reason: 'triple-fault', report: message.report, retired: this.retired });
        break;
      case 'mismatch':
        this.#fail(new TranslationError(message.report));
        break;
      case 'stopped':
        this.#finish('destroyed', { reason: 'destroyed', report: message.report, retired: this.retired });
        break;
    }
  }

  /** The guest has shut itself down; each vCPU tells. */
  #shutdown(code: number, report: string): void {
    if (this.#state === 'suspended' || !ALIVE.has(this.#state)) return;
    // Another vCPU has told, and the domain has gone on since.
    if (this.#platform.xen.shutdownReason !== code) return;
    if (code === SHUTDOWN.suspend) {
      this.#setState('suspended');
      this.#platform.toldShutdown();
      void this.#threads.settled().then(() => this.#standStill());
      return;
    }
    if (code === SHUTDOWN.soft_reset) {
      this.#softReset().catch((error: unknown) => this.#fail(error as Error));
      return;
    }
    const reason = END_REASON[code] ?? 'crash';
    const crashed = reason === 'crash' || reason === 'watchdog';
    const end = { reason, ...(crashed && { report }), retired: this.retired };
    this.#finish(crashed ? 'crashed' : 'shutdown', end);
  }

  /** The guest is about to run another kernel (kexec): memory and registers stay, the platform is new. */
  async #softReset(): Promise<void> {
    // Each vCPU tells; the first one's word is enough.
    if (this.#renewal !== undefined) return;
    await this.#renew(async () => {
      await this.#threads.settled();
      if (this.#platform.xen.shutdownReason !== SHUTDOWN.soft_reset || !ALIVE.has(this.#state)) return;
      await this.#platform.renew();
      this.console.restart();
      if (ALIVE.has(this.#state)) this.#platform.xen.resume();
    });
    this.#threads.wake();
  }

  async #renew(work: () => Promise<void>): Promise<void> {
    this.#renewal = work();
    try {
      await this.#renewal;
    } finally {
      this.#renewal = undefined;
    }
  }

  /** All vCPUs are parked: guest time stops, unless the guest was let go on in the meantime. */
  #standStill(): void {
    if (!this.#threads.parked || !(this.#paused || this.#state === 'suspended')) return;
    this.#time.clock.stop();
    this.#tellRunState(false);
  }

  /** Guest time goes on unless something else holds the guest, and the wallclock with it: real time passed meanwhile. */
  #goOn(): void {
    if (this.#paused || this.#state === 'suspended') return;
    if (this.#time.clock.start() > 0) this.#platform.setWallclock();
    this.#tellRunState(true);
  }

  #finish(state: DomainState, end: DomainEnd): void {
    if (this.#state !== 'built' && !ALIVE.has(this.#state)) return;
    this.#platform.console.drain();
    this.#platform.toldShutdown();
    this.#setState(state);
    this.console.close(end.reason);
    this.#tellRunState(false);
    void this.#letGo()
      .catch((error: unknown) => this.#problem(error as Error))
      .then(() => {
        this.#events.emit('end', end);
        this.#events.close((name) => new DomainStateError(`the domain has ended (${end.reason}) without the event '${name}'`));
        this.#resolve(end);
      });
  }

  /** Nothing of the domain is at work any more afterwards, and what its disks were kept in is closed. */
  async #letGo(): Promise<void> {
    this.devices.withdraw();
    try {
      await this.#threads.end();
      await this.#board.close();
      await this.#platform.backends.close();
    } finally {
      this.#time.close();
      await this.devices.close((error) => this.#problem(error));
    }
  }

  /** The monitor itself has failed. What is left of the domain is ended, as well as it can be. */
  #fail(error: Error): void {
    if (this.#state !== 'built' && !ALIVE.has(this.#state)) return;
    this.#setState('crashed');
    this.console.close();
    const reject = (): void => {
      this.#events.close((name) => new DomainStateError(`the domain has failed without the event '${name}': ${error.message}`));
      this.#reject(error);
    };
    void this.#letGo().then(reject, reject);
  }

  #setState(state: DomainState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#events.emit('state', { state });
  }

  /** Not to be lost when nobody listens. */
  #problem(error: Error): void {
    if (this.#events.has('problem')) this.#events.emit('problem', error);
    else globalThis.console.warn(`dom1: ${this.name}: ${error.message}`);
  }

  #tellRunState(running: boolean): void {
    this.#events.emit('running', running);
  }

  #expectAlive(action: string): void {
    if (!ALIVE.has(this.#state)) throw new DomainStateError(`cannot ${action} a domain that is ${this.#state}`);
  }
}
