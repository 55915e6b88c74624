// What is said on stderr about how a guest ended, and the exit code that goes with it.
import type { Domain } from '../machine/domain.ts';
import type { DomainEnd } from '../machine/domain-config.ts';
import { EXIT_CODE } from './exit-codes.ts';

/** How dom1's time with a guest ended. */
export type Outcome =
  | { readonly kind: 'ended'; readonly end: DomainEnd }
  /** Ended before the command of --exec had. */
  | { readonly kind: 'ended-early'; readonly end: DomainEnd }
  | { readonly kind: 'status'; readonly status: number }
  | { readonly kind: 'left' }
  | { readonly kind: 'timeout'; readonly seconds: number };

const ENDS: Readonly<Record<DomainEnd['reason'], readonly [code: number, text: string]>> = {
  poweroff: [EXIT_CODE.ok, ''],
  reboot: [EXIT_CODE.reset, 'the guest asked for a reboot; start dom1 again to boot it again'],
  crash: [EXIT_CODE.crash, 'the guest crashed: it told Xen so (SHUTDOWN_crash); its last lines say why'],
  'triple-fault': [EXIT_CODE.crash, 'the guest crashed: triple fault; the registers show where'],
  watchdog: [EXIT_CODE.watchdog, "the guest's watchdog ran out: it was stuck; its last lines say where"],
  destroyed: [EXIT_CODE.ok, ''],
};

/** What a hypervisor that gives up says (xen/arch/x86/pv/dom0_build.c), and what to do. */
const HINTS: readonly (readonly [said: string, hint: string])[] = [
  ['Not enough RAM for domain 0 allocation', 'the shim has no room for the kernel; give the guest more memory'],
  ['Domain 0 allocation is too small for kernel image', 'the kernel does not fit; give the guest more memory'],
];

/** Lines of the console that a report shows. */
const LAST_LINES = 15;

/**
 * Text for stderr, '' for nothing to say, and the exit code.
 * @param log what the hypervisor's log had
 */
export function reportOutcome(
  outcome: Outcome,
  domain: Domain,
  end: DomainEnd | undefined,
  log: string,
): { readonly text: string; readonly code: number } {
  switch (outcome.kind) {
    case 'status':
      return { text: '', code: outcome.status };
    case 'left':
      return { text: 'dom1: left the guest and ended it\n', code: EXIT_CODE.ok };
    case 'timeout': {
      const line = `dom1: the guest did not end within ${outcome.seconds} s and was stopped; give it more time with --timeout, or see where it was`;
      return { text: `${line}\n${details(domain, end)}`, code: EXIT_CODE.timeout };
    }
    case 'ended':
    case 'ended-early': {
      const [code, text] = ENDS[outcome.end.reason];
      if (code === EXIT_CODE.ok && outcome.kind === 'ended-early') {
        return {
          text: `dom1: the guest powered off before the command had ended; see its last lines\n${details(domain, end)}`,
          code: EXIT_CODE.early,
        };
      }
      if (text === '') return { text, code };
      const hint = HINTS.find(
        ([said]) => log.includes(said) || domain.console.lastLines(LAST_LINES).join('\n').includes(said),
      )?.[1];
      return {
        text: `dom1: ${hint === undefined ? text : `the guest crashed: ${hint}`}\n${outcome.end.report === undefined ? '' : details(domain, outcome.end)}`,
        code,
      };
    }
  }
}

/** Registers and the last console lines. */
function details(domain: Domain, end: DomainEnd | undefined): string {
  const lines = domain.console.lastLines(LAST_LINES);
  return [
    ...(end?.report === undefined ? [] : end.report.split('\n').map((line) => `  ${line}`)),
    ...(lines.length === 0
      ? ['  its console printed nothing']
      : ['  last lines of its console:', ...lines.map((line) => `  | ${line}`)]),
    '',
  ].join('\n');
}
