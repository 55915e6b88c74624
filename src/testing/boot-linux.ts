// A Linux guest for a test, without anything to prepare: the demo's kernel and userspace, at a shell.
import type { Domain } from '../machine/domain.ts';
import { type CreateDomainConfig, createDomain } from '../node/create-domain.ts';
import { type DemoGuestOptions, fetchDemoGuest } from '../node/demo-guest.ts';
import type { WaitLimits } from '../util/bounded-wait.ts';

/** What `createDomain` takes, and what is to be in the guest; the kernel and the initrd are the demo's unless given. */
export interface BootLinuxOptions
  extends Partial<CreateDomainConfig>,
    Pick<DemoGuestOptions, 'kernelPackage' | 'modules' | 'files'> {}

/** Milliseconds a guest may take to its prompt: a slow, busy host takes a minute. */
const BOOT_TIME = 120_000;

/** The configuration of the guest that `bootLinux` boots. @throws GuestPartsError, ImageError */
export async function linuxConfig(options: BootLinuxOptions = {}): Promise<CreateDomainConfig> {
  const { kernelPackage, modules, files, commandLine = '', ...config } = options;
  const demo = await fetchDemoGuest({
    ...(kernelPackage !== undefined && { kernelPackage }),
    ...(modules !== undefined && { modules }),
    ...(files !== undefined && { files }),
  });
  return { ...demo, ...config, commandLine: `${demo.commandLine} ${commandLine}`.trimEnd() };
}

/**
 * Boots Debian's kernel with a busybox userspace, and resolves when its shell waits for a command. `commandLine` is added
 * to the demo's. The kernel and busybox come from the cache, or are fetched with the host's apt-get.
 * @param limits `timeout` in milliseconds, 120 000 unless given
 * @throws GuestPartsError when they cannot be had, ConsoleError when the guest does not come up, what createDomain throws
 */
export async function bootLinux(options: BootLinuxOptions = {}, limits: WaitLimits = {}): Promise<Domain> {
  const { signal } = limits;
  const domain = await createDomain(await linuxConfig(options), signal === undefined ? {} : { signal });
  return await upAndRunning(domain, (started) => started.console.prompt({ timeout: BOOT_TIME, ...limits }));
}

/** Runs a domain until it is ready; one that does not get there is destroyed. */
export async function upAndRunning(domain: Domain, ready: (domain: Domain) => Promise<unknown>): Promise<Domain> {
  try {
    domain.run();
    await ready(domain);
    return domain;
  } catch (error) {
    await domain.destroy();
    throw error;
  }
}
