// Debian's package tool, as far as an ordinary user may use it: asking about packages and downloading them.
import { spawn } from 'node:child_process';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { GuestPartsError } from './guest-parts-error.ts';

export interface AptPackage {
  readonly name: string;
  readonly version: string;
  /** Bytes to download. */
  readonly size: number;
  /** Names of the packages it depends on, first alternatives only. */
  readonly depends: readonly string[];
}

export interface AptOptions {
  /** The environment apt runs in. Default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
  /** Whether this process is root, who may update the package lists. Default: found out. */
  readonly root?: boolean;
  /** Where apt keeps its package lists. Default: /var/lib/apt/lists. */
  readonly listsDirectory?: string;
  readonly signal?: AbortSignal;
}

interface Output {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const OWN_PARTS = 'pass --kernel and --initrd to bring your own';

export class Apt {
  readonly root: boolean;
  readonly #env: NodeJS.ProcessEnv;
  readonly #signal: AbortSignal | undefined;
  readonly #lists: string;
  /** An amd64 package is asked for by that name where the host is something else. */
  readonly #suffix = process.arch === 'x64' ? '' : ':amd64';

  constructor(options: AptOptions = {}) {
    this.root = options.root ?? process.getuid?.() === 0;
    this.#env = { ...(options.env ?? process.env), LC_ALL: 'C.UTF-8' };
    this.#signal = options.signal;
    this.#lists = options.listsDirectory ?? '/var/lib/apt/lists';
  }

  /** When the package lists last changed, in ms since 1970: until then apt gives the answers it gave. Infinity when unknown. */
  async listsChangedMs(): Promise<number> {
    return stat(this.#lists).then(
      ({ mtimeMs }) => mtimeMs,
      () => Number.POSITIVE_INFINITY,
    );
  }

  /** What apt would install under this name, or undefined when it knows no such package. */
  async show(name: string): Promise<AptPackage | undefined> {
    const { status, stdout } = await this.#run('apt-cache', ['--no-all-versions', 'show', `${name}${this.#suffix}`]);
    if (status !== 0) return undefined;
    const field = (key: string) => new RegExp(`^${key}: (.*)$`, 'm').exec(stdout)?.[1];
    const [found, version] = [field('Package'), field('Version')];
    if (found === undefined || version === undefined) return undefined;
    const depends = (field('Depends') ?? '')
      .split(',')
      .map((item) => item.trim().split(/[ :|(]/)[0] ?? '')
      .filter((item) => item !== '');
    return { name: found, version, size: Number(field('Size') ?? 0), depends };
  }

  /** All package names that begin with `prefix`, in no order. */
  async names(prefix: string): Promise<string[]> {
    const { stdout } = await this.#run('apt-cache', ['pkgnames', prefix]);
    return stdout.split('\n').filter((name) => name !== '');
  }

  /** Fetches the package lists anew. For root only. */
  async update(): Promise<void> {
    const { status, stderr } = await this.#run('apt-get', ['-q', 'update']);
    if (status !== 0)
      throw new GuestPartsError(
        'download-failed',
        `apt-get update failed: ${lastLine(stderr)}`,
        `check the network, or ${OWN_PARTS}`,
      );
  }

  /**
   * Downloads a package into an empty directory; apt checks it against the signed lists.
   * @param onPercent called with 0 to 100
   * @returns the path of the .deb
   */
  async download({ name, version }: AptPackage, directory: string, onPercent: (percent: number) => void): Promise<string> {
    // Without this, root's apt drops to the user _apt, who cannot write to a private directory, and complains.
    const sandbox = this.root ? ['-o', 'APT::Sandbox::User=root'] : [];
    const args = ['-q', ...sandbox, '-o', 'APT::Status-Fd=3', 'download', `${name}${this.#suffix}=${version}`];
    const { status, stderr } = await this.#run('apt-get', args, directory, (line) => {
      const percent = /^dlstatus:\d+:([\d.]+):/.exec(line)?.[1];
      if (percent !== undefined) onPercent(Number(percent));
    });
    const file = (await readdir(directory)).find((entry) => entry.endsWith('.deb'));
    if (status !== 0 || file === undefined) {
      throw new GuestPartsError(
        'download-failed',
        `apt-get cannot download ${name} ${version}: ${lastLine(stderr)}`,
        `check the network and run \`apt-get update\`, or ${OWN_PARTS}`,
      );
    }
    return join(directory, file);
  }

  #run(command: string, args: readonly string[], cwd?: string, onStatus?: (line: string) => void): Promise<Output> {
    return new Promise((resolve, reject) => {
      const child = spawn(command, args, {
        env: this.#env,
        stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
        ...(cwd !== undefined && { cwd }),
        ...(this.#signal && { signal: this.#signal }),
      });
      const text = { 1: '', 2: '', 3: '' };
      for (const fd of [1, 2, 3] as const) {
        const stream = child.stdio[fd] as NodeJS.ReadableStream | null;
        stream?.setEncoding('utf8').on('data', (chunk: string) => {
          text[fd] += chunk;
          if (fd !== 3) return;
          const lines = text[3].split('\n');
          text[3] = lines.pop() as string;
          if (onStatus !== undefined) lines.forEach(onStatus);
        });
      }
      child.on('error', (cause: NodeJS.ErrnoException) =>
        reject(
          cause.code === 'ENOENT'
            ? new GuestPartsError(
                'no-package-tool',
                `this host has no ${command} to fetch the demo guest's kernel and busybox with`,
                OWN_PARTS,
                { cause },
              )
            : cause,
        ),
      );
      child.on('close', (status) => resolve({ status: status ?? -1, stdout: text[1], stderr: text[2] }));
    });
  }
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) || 'it gives no reason';
