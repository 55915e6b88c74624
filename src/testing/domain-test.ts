// A running domain as a fixture of Vitest: booted when a test asks for it, its console shown when the test fails, destroyed
// when nobody needs it any more. Only types of Vitest are used, so that programs without it can import the rest.
import type { TestAPI } from 'vitest';
import type { Domain } from '../machine/domain.ts';
import { type CreateDomainConfig, createDomain } from '../node/create-domain.ts';
import { upAndRunning } from './boot-linux.ts';
import { type GuestShell, guestShell } from './guest-shell.ts';

/** What tests are given. */
export interface DomainFixtures {
  /** The domain, running and ready. */
  domain: Domain;
  /** Runs a command in it; fails the test when the command fails. */
  sh: GuestShell;
}

/** Who has a domain, and when it is ready. */
export interface DomainTestOptions {
  /** Who has a domain of its own: each test, or all tests of a file together. Default 'test'. */
  readonly scope?: 'test' | 'file';
  /** When the domain is ready for a test. Default: when its console shows a shell's prompt, within 120 s. */
  readonly ready?: (domain: Domain) => Promise<unknown>;
  /** Lines of the console that are printed when a test fails. Default 40. */
  readonly lines?: number;
}

const READY_TIME = 120_000;
const LINES = 40;

const atPrompt = (domain: Domain): Promise<void> => domain.console.prompt({ timeout: READY_TIME });

/**
 * A `test` whose tests can ask for `domain` and `sh`.
 * @param base Vitest's `test`, or one that was extended before
 * @param guest what the domain is made of, or a function that finds it when the first test needs it
 */
export function domainTest<Context extends object>(
  base: TestAPI<Context>,
  guest: CreateDomainConfig | (() => CreateDomainConfig | Promise<CreateDomainConfig>),
  options: DomainTestOptions = {},
): TestAPI<Context & DomainFixtures> {
  const { scope = 'test', ready = atPrompt, lines = LINES } = options;
  const boot = async (): Promise<Domain> =>
    upAndRunning(await createDomain(typeof guest === 'function' ? await guest() : guest), ready);
  // Vitest reads from a fixture's parameters which others it needs: they must be destructured, even when there are none.
  const extended = (base as unknown as TestAPI).extend<DomainFixtures & { bootedDomain: Domain }>({
    bootedDomain: [
      // biome-ignore lint/correctness/noEmptyPattern: see above
      async ({}, use) => {
        await using domain = await boot();
        await use(domain);
      },
      { scope },
    ],
    domain: async ({ bootedDomain, onTestFailed, task }, use) => {
      // It is told after the domain has been destroyed, and has to say how the test left it.
      let left: string | undefined;
      const report = (): string => consoleReport(task.name, bootedDomain, lines);
      onTestFailed(() => console.error(left ?? report()));
      await use(bootedDomain);
      left = report();
    },
    sh: async ({ domain }, use) => use(guestShell(domain)),
  });
  return extended as unknown as TestAPI<Context & DomainFixtures>;
}

function consoleReport(test: string, domain: Domain, count: number): string {
  const lines = domain.console.lastLines(count);
  const what = lines.length === 0 ? 'has printed nothing' : `printed last:\n${lines.map((line) => `  | ${line}`).join('\n')}`;
  return `${test}: the guest (${domain.state}) ${what}`;
}
