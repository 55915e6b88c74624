// The shell of a guest in the background, by the command a person gives.
import { type ChildProcess, spawn } from 'node:child_process';
import { expect } from 'vitest';
import { GuestConsole } from '../../src/machine/guest-console.ts';
import { PROGRAM } from './dom1.ts';

/** The guest's shell through `dom1 console`. */
export class ConsoleShell implements Disposable {
  readonly console: GuestConsole;
  readonly #child: ChildProcess;

  constructor(domain: string, environment: NodeJS.ProcessEnv) {
    this.#child = spawn(process.execPath, [PROGRAM, 'console', domain], {
      env: { ...process.env, ...environment },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.console = new GuestConsole((bytes) => {
      this.#child.stdin?.write(bytes);
      return bytes.length;
    });
    this.#child.stdout?.on('data', (bytes: Uint8Array) => this.console.receive(bytes));
  }

  async sh(command: string): Promise<string> {
    const { output, status } = await this.console.sh(command, { timeout: 60_000 });
    expect({ command, output, status }).toMatchObject({ command, status: 0 });
    return output.trimEnd();
  }

  [Symbol.dispose](): void {
    this.#child.kill();
  }
}
