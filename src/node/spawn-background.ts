// Starts the process in which a domain runs, and waits until the domain does.
import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import type { BuildProgress } from '../machine/domain-config.ts';
import type { BackgroundDomain, BackgroundMessage, BackgroundOrder } from './background-protocol.ts';

/** The domain could not be built. `message` is one line with the next step, `code` the exit code that goes with it. */
export class BackgroundFailure extends Error {
  override readonly name = 'BackgroundFailure';
  readonly code: number;
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}

export interface SpawnBackgroundOptions {
  /** The program of the background process. */
  readonly program: string;
  /** Gives up: nothing is left of the domain then. */
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: BuildProgress) => void;
}

/** What the exit code is of a process that ended without a word. */
const SILENT_END = 70;

/** @throws BackgroundFailure, and the signal's reason */
export async function spawnBackground(order: BackgroundOrder, options: SpawnBackgroundOptions): Promise<BackgroundDomain> {
  const { program, signal, onProgress } = options;
  signal.throwIfAborted();
  mkdirSync(dirname(order.log), { recursive: true, mode: 0o700 });
  const log = openSync(order.log, 'a', 0o600);
  let child: ChildProcess;
  try {
    // A session of its own: what happens on this terminal is not its concern.
    child = fork(program, [], { detached: true, stdio: ['ignore', log, log, 'ipc'], cwd: '/' });
  } finally {
    closeSync(log);
  }
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const stop = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  try {
    return await new Promise<BackgroundDomain>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, by) =>
        reject(
          new BackgroundFailure(`the process of the domain ended (${by ?? code}) before it ran; see ${order.log}`, SILENT_END),
        ),
      );
      child.on('message', (given) => {
        const message = given as BackgroundMessage;
        if (message.type === 'ready') child.send(order);
        else if (message.type === 'progress') onProgress?.(message.progress);
        else if (message.type === 'failed') reject(new BackgroundFailure(message.line, message.code));
        else resolve(message.domain);
      });
    });
  } catch (error) {
    stop();
    await exited;
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', stop);
    if (child.connected) child.disconnect();
    child.unref();
  }
}
