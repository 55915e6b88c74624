// The built program, run as a person runs it.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const PROGRAM = fileURLToPath(new URL(`../../${process.env.DOM1_DIST ?? 'dist'}/cli/main.js`, import.meta.url));

export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** What is typed; nothing by default. */
  readonly stdin?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Sent when stdout or stderr has the text. */
  readonly signal?: { readonly name: NodeJS.Signals; readonly after: string };
}

/** Runs `dom1` with these words to its end. */
export function dom1(words: readonly string[], options: RunOptions = {}): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, ...words], { env: { ...process.env, ...options.env } });
    let [stdout, stderr, signalled] = ['', '', false];
    const look = (): void => {
      if (signalled || options.signal === undefined || !(stdout + stderr).includes(options.signal.after)) return;
      signalled = true;
      child.kill(options.signal.name);
    };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      look();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      look();
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
    child.stdin.on('error', () => {}); // it may end without reading
    child.stdin.end(options.stdin ?? '');
  });
}
