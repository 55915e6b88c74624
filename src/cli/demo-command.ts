// `dom1 demo`: Debian's own kernel and busybox, fetched, booted, shown.
import { readFile } from 'node:fs/promises';
import type { Domain } from '../machine/domain.ts';
import { demoInitramfs } from '../node/demo-initramfs.ts';
import { DEMO_KERNEL, fetchBusybox, fetchKernel } from '../node/guest-parts.ts';
import { type Invocation, optionValue } from './arguments.ts';
import type { Outcome } from './guest-report.ts';
import { powerOff, runSession } from './guest-session.ts';
import type { ProgressLine } from './progress-line.ts';
import { beforeTheEnd, serveTerminal } from './run-command.ts';
import { onTerminal, terminalParameters } from './terminal.ts';

/** The kernel tests its ciphers at boot: two thirds of all instructions until the shell, and nothing to see. */
const COMMAND_LINE = 'console=hvc0 cryptomgr.notests';

/** What is shown of the guest where no person can type. */
const SHOWN = [
  'uname -a',
  'cat /sys/hypervisor/type',
  'cat /sys/devices/system/clocksource/clocksource0/current_clocksource',
  'dmesg | grep -i xen',
];

/** Seconds that a guest without a person may take. */
const UNATTENDED_TIME = 300;

/** Returns the exit code. */
export async function demoCommand(invocation: Invocation, signal: AbortSignal, progress: ProgressLine): Promise<number> {
  const options = { signal, onProgress: progress.parts.bind(progress) };
  const interactive = onTerminal();
  try {
    const ownKernel = optionValue(invocation, 'kernel');
    const found = ownKernel === undefined ? await fetchKernel(DEMO_KERNEL, options) : undefined;
    const kernel = found?.kernel ?? (ownKernel as string);
    const initrd = optionValue(invocation, 'initrd') ?? demoInitramfs(await readFile(await fetchBusybox(options)));
    progress.clear();
    process.stderr.write(`dom1: booting ${found === undefined ? kernel : `${found.packageName} ${found.version}`}\n`);
    return await runSession({
      invocation,
      config: { kernel, initrd, commandLine: interactive ? `${COMMAND_LINE} ${terminalParameters()}` : `${COMMAND_LINE} quiet` },
      kernelName: kernel,
      ...(!interactive && { defaultTimeout: UNATTENDED_TIME }),
      signal,
      progress,
      raw: interactive,
      serve: interactive ? serveTerminal : (domain) => show(domain, signal),
    });
  } finally {
    progress.clear();
  }
}

/** Runs a few commands in the guest, prints them and what they print, and powers the guest off. */
function show(domain: Domain, signal: AbortSignal): Promise<Outcome> {
  const start = performance.now();
  return beforeTheEnd(domain, async () => {
    await domain.console.prompt();
    process.stderr.write(`dom1: at the guest's shell after ${((performance.now() - start) / 1000).toFixed(1)} s\n`);
    for (const command of SHOWN) {
      const { output, status } = await domain.console.sh(command);
      process.stdout.write(`# ${command}\n${output}${output.endsWith('\n') || output === '' ? '' : '\n'}\n`);
      if (status !== 0) return { kind: 'status', status };
    }
    await powerOff(domain, signal);
    return { kind: 'ended', end: await domain.ended };
  });
}
