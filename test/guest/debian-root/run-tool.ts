// Runs a program of the host and gives what it printed.
import { spawn } from 'node:child_process';
import { TOOL_PATH } from './require-tools.ts';

export interface RunOptions {
  /** Exit codes that are no failure. Default: 0. */
  readonly allow?: readonly number[];
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Gets each line of stderr. */
  readonly onError?: (line: string) => void;
}

export interface ToolResult {
  readonly status: number;
  readonly stdout: string;
}

/** @throws Error with the end of what it printed when it fails. */
export async function runTool(program: string, words: readonly string[], options: RunOptions = {}): Promise<ToolResult> {
  const { allow = [0], env = {}, input = '', onError } = options;
  const child = spawn(program, words, { env: { ...process.env, PATH: TOOL_PATH, LC_ALL: 'C', ...env } });
  let [stdout, stderr, line] = ['', '', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-4000);
    const lines = (line + text).split('\n');
    line = lines.pop() ?? '';
    if (onError !== undefined) for (const whole of lines) onError(whole);
  });
  child.stdin.on('error', () => {}); // it may end without reading all of it
  child.stdin.end(input);
  const status = await new Promise<number>((resolve, reject) => {
    child.on('error', reject).on('close', (code) => resolve(code ?? 255));
  });
  if (!allow.includes(status))
    throw new Error(`${program} ${words.join(' ')} ended with ${status}:\n${stderr}${stdout.slice(-4000)}`);
  return { status, stdout };
}
