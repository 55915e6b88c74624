// The process in which a domain runs that `dom1 create` has made. It is told what to run over the channel that Node gives a
// child process, and is on its own once the domain runs.

import { ByteHistory } from '../control/console/byte-history.ts';
import { ImageError } from '../image/image-error.ts';
import type { Domain } from '../machine/domain.ts';
import type { DomainEnd } from '../machine/domain-config.ts';
import type { BackgroundMessage, BackgroundOrder } from '../node/background-protocol.ts';
import { ConsoleLogs } from '../node/console-logs.ts';
import { attachPty } from '../node/console-pty.ts';
import { nodeErrorCode } from '../node/control-error.ts';
import { createDomain } from '../node/create-domain.ts';
import { DomainKeeper } from '../node/domain-keeper.ts';
import { claimDomain, type DomainClaim } from '../node/domain-registry.ts';
import { Hotplug, settleSpec, withMemoryTarget } from '../node/hotplug.ts';
import { Pty } from '../node/pty.ts';
import { RotatingFile } from '../node/rotating-file.ts';
import { specConfig } from '../node/spec-config.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { describeFailure, InputError } from './failure.ts';
import { LineWriter } from './line-writer.ts';
import { ProfileOutput } from './profile-output.ts';
import { version } from './version.ts';

/** The other side may have gone; then nobody wants to know. */
const tell = (message: BackgroundMessage): Promise<void> =>
  new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    else process.send(message, undefined, undefined, () => resolve());
  });

/** How long the end may take, in milliseconds. */
const GRACE = 3000;

const abort = new AbortController();
let running = false;

/** Claims the name before it writes to logs that may be another domain's. */
async function run(order: BackgroundOrder): Promise<number> {
  try {
    await using claim = await claimDomain({ directory: order.directory, name: order.spec.name });
    using file = new RotatingFile(order.log);
    const notes = new LineWriter(file, false);
    try {
      await keep(order, claim, notes);
    } catch (error) {
      note(
        notes,
        process.env['DOM1_DEBUG'] === undefined ? describeFailure(error).line.trimEnd() : String((error as Error).stack),
      );
      throw error;
    } finally {
      notes.end();
    }
    return EXIT_CODE.ok;
  } catch (error) {
    const { line, code } = describeFailure(error);
    await tell({ type: 'failed', line, code });
    return code;
  }
}

function note(notes: LineWriter, text: string): void {
  for (const line of text.split('\n')) notes.line(`${new Date().toISOString()} ${line}`);
}

/** Runs the domain to its end. */
async function keep(
  { spec, directory, trace, checkJit, profile: wantsProfile, paused, pty: wantsPty, consoleLog }: BackgroundOrder,
  claim: DomainClaim,
  notes: LineWriter,
): Promise<DomainEnd> {
  let domain: Domain | undefined;
  const hotplug = new Hotplug(
    settleSpec(spec),
    () => {
      if (domain === undefined) throw new InputError('the domain is being built; try again');
      return domain.devices;
    },
    directory,
  );
  const profile = wantsProfile === undefined ? undefined : await ProfileOutput.open(wantsProfile, spec.kernel);
  using consoleLogs = openConsoleLogs(consoleLog);
  using pty = wantsPty ? Pty.open() : undefined;
  const { id, name } = claim.record;
  note(notes, `dom1 ${version()} runs ${name} (id ${id}) in process ${process.pid}`);
  const hypervisorLog = new ByteHistory();
  const keeper = new DomainKeeper({
    claim,
    actions: spec.actions,
    version: version(),
    host: { log: hypervisorLog, config: () => hotplug.spec, devices: hotplug },
    paused,
    signal: abort.signal,
    log: (text) => note(notes, text),
    onOutput: (bytes, number) => consoleLogs.write(bytes, number),
    async build(signal) {
      // With what has come and gone since the last start.
      const target = domain?.xenstore.read(`/local/domain/${id}/memory/target`);
      const config = specConfig(withMemoryTarget(hotplug.spec, target), directory);
      try {
        domain = await createDomain(
          {
            ...config,
            name: claim.record.name,
            id,
            trace,
            checkJit,
            profile: profile !== undefined,
          },
          { signal, onProgress: (progress) => void (running || tell({ type: 'progress', progress })) },
        );
        profile?.attach(domain);
        domain.on('trace', ({ atNs, name, text }) => notes.line(`[${(atNs / 1e9).toFixed(6).padStart(12)}] ${name} ${text}`));
        domain.on('log', (bytes) => {
          hypervisorLog.append(bytes);
          notes.bytes(bytes);
        });
        domain.on('problem', (error) => note(notes, error.message));
        if (pty !== undefined) attachPty(domain, pty);
        return domain;
      } catch (error) {
        throw error instanceof ImageError
          ? new InputError(`${spec.kernel ?? spec.name}: ${error.message}`, { cause: error })
          : error;
      }
    },
  });
  const end = await keeper.run((target) => {
    running = true;
    const made = { id, name, uuid: target.uuid, domid: target.id, pid: process.pid, ...(pty !== undefined && { tty: pty.path }) };
    void tell({ type: 'running', domain: made }).then(() => process.disconnect?.());
  });
  for (const line of (await profile?.finish(name)) ?? []) notes.line(line);
  note(notes, `the domain has ended: ${end.reason}`);
  return end;
}

/** Ends the domain, or the building of it; a file that never comes to its end does not hold that up. */
function giveUp(reason: string): void {
  if (abort.signal.aborted) return;
  abort.abort(new Error(reason));
  setTimeout(() => {
    // What others see is cleaned up on exit; a thread that hangs in the file system would hold the exit itself up.
    process.once('exit', () => process.kill(process.pid, 'SIGKILL'));
    process.exit(EXIT_CODE.monitor);
  }, GRACE).unref();
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => giveUp(`got ${signal}`));
// Whoever closes a terminal means what runs on it.
process.on('SIGHUP', () => {});
// Whoever asked for the domain is gone before there is one.
process.on('disconnect', () => {
  if (!running) giveUp('whoever asked for the domain has gone');
});
process.once('message', (order) => {
  void run(order as BackgroundOrder).then((code) => process.exit(code));
});
await tell({ type: 'ready' });

/** @throws InputError */
function openConsoleLogs(path: string): ConsoleLogs {
  try {
    return new ConsoleLogs(path);
  } catch (cause) {
    throw new InputError(
      `${path}: the log of the console cannot be written (${nodeErrorCode(cause) ?? String(cause)}); check the path`,
      { cause },
    );
  }
}
