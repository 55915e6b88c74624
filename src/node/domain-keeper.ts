// Keeps a domain: runs its guest, and does what its configuration says when the guest ends.
import { setTimeout as sleep } from 'node:timers/promises';
import { ConsoleHub } from '../control/console/console-hub.ts';
import type { MonitorHost } from '../control/monitor-host.ts';
import { ReplaceableTarget, type StartableTarget } from '../control/replaceable-target.ts';
import type { ShutdownAction, ShutdownActions } from '../control/xl-config/domain-spec.ts';
import type { DomainEnd } from '../machine/domain-config.ts';
import { claimDomain, type DomainClaim } from './domain-registry.ts';
import { serveControl } from './serve-control.ts';

/** Least time from one start of a guest to the next in milliseconds: what xl waits before each restart. */
export const RESTART_INTERVAL = 2000;
/** The longest a timer can be set to, in milliseconds. */
const MAX_TIMER = 2 ** 31 - 1;

export interface DomainKeeperOptions {
  /** Builds a guest; it is called again for each restart. */
  readonly build: (signal: AbortSignal) => Promise<StartableTarget>;
  readonly actions: ShutdownActions;
  readonly claim: DomainClaim;
  readonly version: string;
  readonly host?: Omit<MonitorHost, 'name' | 'rename' | 'console'>;
  /** Does not start the first guest. */
  readonly paused?: boolean;
  /** Ends the domain. */
  readonly signal: AbortSignal;
  /** What happens, a line each. */
  readonly log: (line: string) => void;
  /** What the guest prints on a console; 0 is the primary one. */
  readonly onOutput?: (bytes: Uint8Array, console: number) => void;
  readonly restartInterval?: number;
}

export class DomainKeeper {
  readonly #options: DomainKeeperOptions;
  readonly #hub: ConsoleHub;
  /** Guests that ended and are kept under another name. */
  readonly #preserved: Promise<void>[] = [];
  readonly #abort = new AbortController();

  constructor(options: DomainKeeperOptions) {
    this.#options = options;
    this.#hub = new ConsoleHub();
  }

  /**
   * Builds the domain and starts it. `onRunning` is told when others can find it. Resolves when the domain has ended and
   * nothing of it is kept any more.
   * @throws what building throws, and ControlConnectionError
   */
  async run(onRunning: (target: ReplaceableTarget) => void): Promise<DomainEnd> {
    const { signal, claim, version, host, paused = false } = this.#options;
    const abort = AbortSignal.any([signal, this.#abort.signal]);
    const target = new ReplaceableTarget(await this.#build(abort));
    void target.destroyed.then(() => this.#abort.abort());
    const onAbort = (): void => void target.domain.destroy();
    signal.addEventListener('abort', onAbort, { once: true });
    await using _ = await serveControl(target, { claim, version, host: { ...host, console: this.#hub } });
    // A guest that does not run has no threads, and a monitor alone keeps no process alive.
    const alive = setInterval(() => {}, MAX_TIMER);
    let started = performance.now();
    try {
      if (!paused) target.domain.run();
      onRunning(target);
      for (;;) {
        const end = await target.domain.ended;
        const action = abort.aborted ? 'destroy' : actionFor(end, this.#options.actions);
        this.#options.log(`the guest ended: ${end.reason}${end.reason === 'destroyed' ? '' : `; ${action}`}`);
        if (end.report !== undefined && end.reason !== 'destroyed') this.#options.log(end.report);
        if (!(await this.#act(target, end, action, started, abort))) {
          target.finish(end);
          return end;
        }
        started = performance.now();
        target.domain.run();
      }
    } catch (error) {
      target.fail(error instanceof Error ? error : new Error(String(error)));
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
      await target.domain.destroy();
      await Promise.all(this.#preserved);
      clearInterval(alive);
    }
  }

  /** Whether another guest is there to be started. */
  async #act(
    target: ReplaceableTarget,
    end: DomainEnd,
    action: ShutdownAction,
    started: number,
    abort: AbortSignal,
  ): Promise<boolean> {
    switch (action) {
      case 'preserve':
        target.guestEnded(end, 'preserve');
        await Promise.race([target.destroyed, aborted(abort)]);
        return false;
      case 'restart':
      case 'coredump-restart':
      case 'rename-restart':
        break;
      default:
        return false;
    }
    target.guestEnded(end, action);
    if (action === 'rename-restart') await this.#preserve(target.domain, end);
    const { restartInterval = RESTART_INTERVAL } = this.#options;
    try {
      await sleep(Math.max(0, started + restartInterval - performance.now()), undefined, { signal: abort });
      const next = await this.#build(abort);
      if (abort.aborted) {
        await next.destroy();
        return false;
      }
      target.replace(next);
      return true;
    } catch (error) {
      if (abort.aborted) return false;
      throw error;
    }
  }

  async #build(signal: AbortSignal): Promise<StartableTarget> {
    const domain = await this.#options.build(signal);
    const { onOutput } = this.#options;
    if (domain.console !== undefined) this.#hub.connect(domain.console);
    if (onOutput !== undefined) {
      domain.console?.onOutput((bytes) => onOutput(bytes, 0));
      for (const [number, { console }] of domain.consoles?.() ?? []) console.onOutput((bytes) => onOutput(bytes, number));
    }
    return domain;
  }

  /** Keeps a guest that has ended under the name that xl gives it: NAME-20260131T2359Z. */
  async #preserve(domain: StartableTarget, end: DomainEnd): Promise<void> {
    const { claim, version, host, signal, log } = this.#options;
    const suffix = `-${new Date().toISOString().replaceAll(/[-:]/g, '').slice(0, 13)}Z`;
    const name = await freeName(`${claim.record.name}${suffix}`.slice(-MAX_NAME), claim.directory);
    domain.xenstore.write(`/local/domain/${domain.id}/name`, name.record.name);
    const target = new ReplaceableTarget(domain);
    const hub = domain.console === undefined ? undefined : new ConsoleHub(domain.console);
    hub?.history.append(this.#hub.history.read(0).bytes);
    const served = await serveControl(target, {
      claim: name,
      version,
      host: { ...host, ...(hub !== undefined && { console: hub }) },
    });
    log(`what is left of the guest is kept as ${name.record.name} (id ${name.record.id})`);
    this.#preserved.push(
      (async () => {
        await Promise.race([target.destroyed, aborted(signal)]);
        await domain.destroy();
        target.finish(end);
        await served[Symbol.asyncDispose]();
      })(),
    );
  }
}

const MAX_NAME = 64;

/** A second guest may be kept within the same minute. */
async function freeName(name: string, directory: string): Promise<DomainClaim> {
  for (let count = 1; ; count++) {
    try {
      return await claimDomain({ directory, name: count === 1 ? name : `${name.slice(-(MAX_NAME - 4))}.${count}` });
    } catch (error) {
      if (count >= 100) throw error;
    }
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** A triple fault is a reboot for Xen: HVM_PARAM_TRIPLE_FAULT_REASON is SHUTDOWN_reboot. */
function actionFor({ reason }: DomainEnd, actions: ShutdownActions): ShutdownAction {
  switch (reason) {
    case 'poweroff':
      return actions.poweroff;
    case 'reboot':
    case 'triple-fault':
      return actions.reboot;
    case 'crash':
      return actions.crash;
    case 'watchdog':
      return actions.watchdog;
    case 'destroyed':
      return 'destroy';
  }
}
