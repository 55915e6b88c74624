// Makes the guest of `run` and `demo` a domain that other commands can find, for as long as it runs.
import type { ByteHistory } from '../control/console/byte-history.ts';
import type { DevicePort } from '../control/device-port.ts';
import type { MonitorTarget } from '../control/monitor-target.ts';
import { ControlConnectionError } from '../node/control-error.ts';
import { claimDomain, type DomainClaim } from '../node/domain-registry.ts';
import { serveControl } from '../node/serve-control.ts';
import { version } from './version.ts';

export class GuestControl implements AsyncDisposable {
  readonly #claim: DomainClaim | undefined;
  #served: AsyncDisposable | undefined;

  private constructor(claim: DomainClaim | undefined) {
    this.#claim = claim;
  }

  /**
   * Takes an id, and the name if one was given. A host on which domains cannot be found still runs them: without a name
   * that is only noted.
   * @throws ControlConnectionError when there is a name and it cannot be had
   */
  static async claim(name: string | undefined, note: (line: string) => void): Promise<GuestControl> {
    try {
      return new GuestControl(await claimDomain(name === undefined ? {} : { name }));
    } catch (error) {
      if (name !== undefined || !(error instanceof ControlConnectionError)) throw error;
      // Nobody asked for what this host does not have.
      if (error.code !== 'unsupported') note(`dom1: other commands will not find this guest: ${error.message}`);
      return new GuestControl(undefined);
    }
  }

  /** The domain's number and name, for its configuration; nothing when there are none. */
  get identity(): { readonly id?: number; readonly name?: string } {
    return this.#claim === undefined ? {} : { id: this.#claim.record.id, name: this.#claim.record.name };
  }

  /** Lets others connect to the domain. `log`: the hypervisor's; `devices`: what attaches and detaches them. */
  async serve(target: MonitorTarget, log: ByteHistory, devices: DevicePort): Promise<void> {
    if (this.#claim === undefined) return;
    this.#served = await serveControl(target, { claim: this.#claim, version: version(), host: { log, devices } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (this.#served ?? this.#claim)?.[Symbol.asyncDispose]();
  }
}
