// Debian packages and what was unpacked of them, kept between runs in the user's cache directory. Everything appears there
// complete or not at all: it is made under a temporary name on the same file system and renamed.
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { GuestPartsError } from './guest-parts-error.ts';

/** `$XDG_CACHE_HOME/dom1`, or ~/.cache/dom1 (XDG Base Directory Specification: a relative path counts as unset). */
export function defaultCacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const xdg = env['XDG_CACHE_HOME'];
  return join(xdg?.startsWith('/') ? xdg : join(homedir(), '.cache'), 'dom1');
}

export class PackageCache {
  readonly directory: string;

  constructor(directory: string = defaultCacheDirectory()) {
    this.directory = directory;
  }

  /** Where a package's version is, or would be. Versions may have ':' and '~' in them, never '/'. */
  path(name: string, version: string, suffix = ''): string {
    return join(this.directory, `${name}_${version.replaceAll(':', '%3a')}${suffix}`);
  }

  async has(path: string): Promise<boolean> {
    return stat(path).then(
      () => true,
      () => false,
    );
  }

  /**
   * Gives `path`, first making it when it is not there.
   * @param make creates what is wanted in an empty directory, and returns its path (that directory or a file in it)
   */
  async provide(path: string, make: (directory: string) => Promise<string>): Promise<string> {
    if (await this.has(path)) return path;
    const temporary = await this.#temporaryDirectory();
    try {
      const made = await make(temporary);
      // Another process may have been quicker: a directory then refuses to be replaced, and theirs is as good.
      await rename(made, path).catch(async (error: unknown) => {
        if (!(await this.has(path))) throw error;
      });
      return path;
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }

  async #temporaryDirectory(): Promise<string> {
    try {
      await mkdir(this.directory, { recursive: true });
      return await mkdtemp(join(this.directory, '.new-'));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message.replaceAll('\n', ' ') : String(cause);
      throw new GuestPartsError(
        'cache-unwritable',
        `the cache directory cannot be used: ${reason}`,
        'set XDG_CACHE_HOME to a directory you can write to',
        { cause },
      );
    }
  }
}
