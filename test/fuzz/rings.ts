// A frontend that means harm against each kind of backend. A case is a device and a list of steps, each with a seed of its own, so
// that steps can be left out and the rest stays what it is.
import type { BackendDevice } from '../../src/backends/xenbus/backend-device.ts';
import { BACKEND_PORTS } from '../../src/xen/domain-layout.ts';
import { StoreError } from '../../src/xen/store/store-error.ts';
import { Random } from '../native/random.ts';
import type { Keys } from './hostile-frontends.ts';
import { HostileGuest, wild } from './hostile-guest.ts';
import { type HostileHost, isInjected, KINDS } from './hostile-hosts.ts';
import { VirtualTimers } from './virtual-timers.ts';

export interface RingCase {
  readonly kind: string;
  readonly seed: number;
  /** A seed for each step. */
  readonly steps: readonly number[];
}

export interface RingResult {
  readonly problem: string | undefined;
  /** Steps that were taken. */
  readonly steps: number;
  /** Connections that were made, and what backends asked of the host. */
  readonly connections: number;
  readonly work: number;
}

export function ringCase(seed: number, length: number): RingCase {
  const random = new Random(seed);
  const kind = random.pick(Object.keys(KINDS));
  return { kind, seed, steps: Array.from({ length }, () => random.u32()) };
}

/** Turns of the loop in which a device that is taken away must be gone. */
const MOST_TURNS = 400;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Runs a case. Nothing else may run meanwhile: the process's timers and its handling of errors are the case's. */
export async function runRingCase(ringCase: RingCase, onStep: () => void = () => {}): Promise<RingResult> {
  const timers = new VirtualTimers();
  const escaped: unknown[] = [];
  const onEscape = (error: unknown): void => void escaped.push(error);
  process.on('unhandledRejection', onEscape);
  process.on('uncaughtException', onEscape);
  timers.install();
  const run = new Run(ringCase, timers, escaped);
  let problem: string | undefined;
  try {
    problem = await run.all(onStep);
  } catch (error) {
    problem = `step ${run.steps}: ${describe(error)}`;
  } finally {
    timers.restore();
    process.off('unhandledRejection', onEscape);
    process.off('uncaughtException', onEscape);
  }
  return { problem, steps: run.steps, connections: run.connections, work: run.host.work };
}

const describe = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));

class Run {
  readonly host: HostileHost;
  steps = 0;
  connections = 0;
  readonly #case: RingCase;
  readonly #timers: VirtualTimers;
  readonly #escaped: readonly unknown[];
  readonly #guest: HostileGuest;
  #device: BackendDevice;
  #keys: Keys = new Map();
  /** The device is being taken away, and comes back when it is gone. */
  #leaving: Promise<unknown> | undefined;

  constructor(ringCase: RingCase, timers: VirtualTimers, escaped: readonly unknown[]) {
    const random = new Random(ringCase.seed);
    this.#case = ringCase;
    this.#timers = timers;
    this.#escaped = escaped;
    this.#guest = new HostileGuest(random);
    this.host = (KINDS[ringCase.kind] as (random: Random) => HostileHost)(random);
    this.#device = this.host.attach(this.#guest);
  }

  async all(onStep: () => void): Promise<string | undefined> {
    await this.#connect(new Random(this.#case.seed));
    for (const seed of this.#case.steps) {
      await this.#step(new Random(seed));
      onStep();
      this.steps++;
      const problem = this.#look();
      if (problem !== undefined) return `step ${this.steps - 1}: ${problem}`;
    }
    return this.#end();
  }

  get #home(): string {
    return `device/${this.#device.driver.frontendType}/${this.#device.id}`;
  }

  async #step(random: Random): Promise<void> {
    const guest = this.#guest;
    const { front } = this.host;
    switch (random.pick(STEPS)) {
      case 'push':
        front.push(guest, random);
        if (!random.oneIn(5)) this.#notify(random);
        break;
      case 'notify':
        this.#notify(random);
        break;
      case 'index':
        this.#index(random);
        if (random.oneIn(2)) this.#notify(random);
        break;
      case 'scribble':
        this.#scribble(random);
        break;
      case 'spoil':
        for (let count = 1 + random.below(10); count > 0; count--) guest.spoil(random);
        break;
      case 'balloon': {
        const problem = guest.balloon(guest.anyGfn(random));
        if (problem !== undefined) throw new Error(problem);
        break;
      }
      case 'host':
        this.host.act(random);
        break;
      case 'state':
        this.#write('state', random.oneIn(6) ? String(random.pick(NONSENSE)) : random.below(9));
        break;
      case 'key':
        this.#key(random);
        break;
      case 'port':
        if (guest.ports.length > 0) guest.dropPort(random.pick(guest.ports));
        break;
      case 'reconnect':
        await this.#connect(random);
        break;
      case 'time':
        this.#timers.advance(random.pick([1, 1, 10, 100, 1000, 60_000]));
        break;
      case 'turn':
        await turn();
        break;
      case 'detach':
        this.#detach(random);
        break;
      case 'reset':
        await this.#reset();
        break;
    }
    for (let count = random.below(5); count > 0; count--) await undefined;
    if (random.oneIn(3)) await turn();
    // The frontend may go on however far the backend is; most do so when it is ready.
    if (this.#device.state === 2 && random.oneIn(3)) await this.#connect(random);
    else if (this.#device.state >= 5 && random.oneIn(2)) this.#write('state', random.pick([6, 1, 1]));
  }

  /** Events that come after the backend has been told of them. */
  #notify(random: Random): void {
    const { ports } = this.host.front;
    if (ports.length === 0) return;
    this.#guest.call('event_channel_op', 4, this.#guest.poke(0x2000, random.pick(ports)));
    this.#guest.channels.dispatch();
  }

  #index(random: Random): void {
    const page = this.host.front.shared.find(({ indices }) => indices.length > 0 && random.oneIn(2)) ?? this.host.front.shared[0];
    if (page === undefined || page.indices.length === 0) return;
    const at = random.pick(page.indices);
    const now = this.#guest.get32(page.gfn, at);
    const jump = random.oneIn(3) ? wild(random) : random.below(70) - 35;
    this.#guest.put32(page.gfn, at, random.oneIn(4) ? wild(random) : now + jump);
  }

  #scribble(random: Random): void {
    const { shared } = this.host.front;
    for (let count = 1 + random.below(8); count > 0; count--) {
      const gfn = random.oneIn(4) || shared.length === 0 ? this.#guest.anyGfn(random) : random.pick(shared).gfn;
      // Not the indices, mostly: they end a connection at once.
      const offset = random.oneIn(8) ? random.below(1024) * 4 : 64 + random.below(1008) * 4;
      this.#guest.put32(gfn, offset, random.oneIn(2) ? random.u32() : this.#guest.anyRef(random));
    }
  }

  #key(random: Random): void {
    const names = [...this.#keys.keys(), ...MORE_KEYS];
    const name = random.pick(names);
    if (random.oneIn(4)) this.#remove(random.oneIn(8) ? '' : `/${name}`);
    else {
      const value = random.oneIn(3) ? wild(random) : random.oneIn(2) ? random.below(64) : random.pick(NONSENSE);
      this.#write(name, value);
    }
  }

  async #connect(random: Random): Promise<void> {
    await turn();
    this.#keys = this.host.front.publish(this.#guest, random);
    for (const [key, value] of this.#keys) {
      if (random.oneIn(120)) continue;
      const changed = random.oneIn(80) ? wild(random) : value;
      this.#write(key, changed);
      if (random.oneIn(60)) await turn();
    }
    this.#write('state', random.oneIn(5) ? 4 : 3);
    await turn();
    if (this.#device.state === 4) {
      this.connections++;
      this.#write('state', 4);
    }
  }

  #write(key: string, value: string | number): void {
    try {
      this.#guest.own.write(`${this.#home}/${key}`, value);
      if (key === 'page-ref') this.#guest.name(Number(value));
    } catch (error) {
      // The guest has used up its quota, or may not.
      if (!(error instanceof StoreError)) throw error;
    }
  }

  #remove(key: string): void {
    try {
      this.#guest.own.remove(`${this.#home}${key}`);
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
    }
  }

  #detach(random: Random): void {
    if (this.#leaving !== undefined) return;
    const device = this.#device;
    this.#leaving = this.#guest.bus
      .detach(device, { timeout: random.pick([0, 100, 10_000]), force: random.oneIn(2) })
      .then((gone) => {
        this.#leaving = undefined;
        if (gone) this.#device = this.host.attach(this.#guest);
      });
  }

  /** kexec: no vCPU runs until the devices are new. */
  async #reset(): Promise<void> {
    if (this.#leaving !== undefined) return;
    let done = false;
    const reset = this.#guest.bus.reset().then(() => {
      done = true;
    });
    await this.#until(() => done, 'the devices are not reset');
    await reset;
    const held = this.#guest.held.length;
    if (held > 0) throw new Error(`${held} grants are in use after a reset`);
    const problem = this.#guest.restart();
    if (problem !== undefined) throw new Error(problem);
  }

  /** What must hold at any time. */
  #look(): string | undefined {
    if (this.#escaped.length > 0) return `escaped: ${describe(this.#escaped[0])}`;
    for (const event of this.#guest.events.splice(0)) {
      if (event.kind !== 'error' || isInjected(event.error) || event.error instanceof StoreError) continue;
      return `reported: ${describe(event.error)}`;
    }
    return this.host.problem() ?? this.#guest.look();
  }

  /** Takes the device away, whatever state it is in, and looks that nothing of it is left. */
  async #end(): Promise<string | undefined> {
    const guest = this.#guest;
    await this.#until(() => this.#leaving === undefined, 'a device that was taken away is still there');
    let done = false;
    const gone = guest.bus.detach(this.#device, { timeout: 100, force: true }).then(() => {
      done = true;
    });
    await this.#until(() => done, 'the device cannot be taken away');
    await gone;
    for (let i = 0; i < 3; i++) await turn();
    const { paths } = this.#device;
    const problem = this.#look() ?? this.host.left();
    if (problem !== undefined) return `at the end: ${problem}`;
    if (guest.held.length > 0) return `at the end: grants ${guest.held} are in use`;
    for (let port = 1; port < BACKEND_PORTS; port++)
      if (guest.domain.events.backend.state(port) !== 0) return `at the end: domain 0's port ${port} is in use`;
    for (const path of [paths.backend, paths.frontend]) if (guest.zero.exists(path)) return `at the end: ${path} is there`;
    if (this.#timers.waiting > 0) return `at the end: ${this.#timers.waiting} timers wait`;
    if (guest.bus.client.watches.length > 0) return `at the end: ${guest.bus.client.watches.length} watches`;
    // Nobody is there to write any more.
    for (let i = 0; i < 3; i++) await turn();
    this.#timers.advance(100_000);
    guest.channels.dispatch();
    return this.#look();
  }

  async #until(holds: () => boolean, otherwise: string): Promise<void> {
    for (let i = 0; !holds(); i++) {
      if (i > MOST_TURNS) throw new Error(`${otherwise} after ${MOST_TURNS} turns`);
      this.host.finish();
      this.#timers.advance(i < 4 ? 1 : 10_000);
      await turn();
    }
  }
}

const weighted = <T>(weights: readonly (readonly [T, number])[]): readonly T[] =>
  weights.flatMap(([value, weight]) => Array<T>(weight).fill(value));

const STEPS = weighted([
  ['push', 30],
  ['notify', 5],
  ['index', 3],
  ['scribble', 8],
  ['spoil', 6],
  ['balloon', 2],
  ['host', 18],
  ['state', 2],
  ['key', 2],
  ['port', 1],
  ['reconnect', 2],
  ['time', 5],
  ['turn', 8],
  ['detach', 1],
  ['reset', 1],
] as const);

const NONSENSE = [
  '',
  '-1',
  '1e3',
  '0x10',
  ' 4',
  '4 ',
  '99999999999999999999',
  'NaN',
  '\0',
  'a'.repeat(300),
  '4294967296',
  '1.5',
] as const;

const MORE_KEYS = [
  'backend',
  'backend-id',
  'ring-ref',
  'ring-ref0',
  'ring-page-order',
  'num-ring-pages',
  'event-channel',
  'port',
  'page-gref',
  'multi-queue-num-queues',
  'queue-0/ring-ref',
  'queue-0/event-channel',
  'queue-0',
  'protocol',
  'feature-persistent',
  'request-rx-copy',
  'request-multicast-control',
  'num-rings',
  'version',
  'mac',
  'virtual-device',
  'tag',
  'x/y/z',
] as const;
