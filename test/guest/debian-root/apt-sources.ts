// The Debian archives that this machine's apt knows, for another root.
import { runTool } from './run-tool.ts';

export interface AptSources {
  /** The release's code name: "bookworm". */
  readonly suite: string;
  /** Lines of a sources.list. */
  readonly lines: readonly string[];
  /** Options of apt's that say how the archives are reached: proxies. */
  readonly options: readonly string[];
}

/** @throws Error when apt has no lists of a Debian archive. */
export async function aptSources(): Promise<AptSources> {
  const format = '$(REPO_URI) $(RELEASE) $(COMPONENT)';
  const find = async (): Promise<string[]> => {
    const { stdout } = await runTool('apt-get', ['indextargets', '--format', format, 'Created-By: Packages', 'Origin: Debian']);
    return [...new Set(stdout.split('\n').filter((line) => /^\S+ \S+ main$/.test(line)))].sort();
  };
  let entries = await find();
  if (entries.length === 0 && process.getuid?.() === 0) {
    await runTool('apt-get', ['update', '-qq']);
    entries = await find();
  }
  // "bookworm" of "bookworm", "bookworm-updates", "bookworm-security".
  const suite = entries.map((entry) => entry.split(' ')[1] ?? '').find((release) => !release.includes('-'));
  if (suite === undefined)
    throw new Error('apt knows no Debian archive: a Debian machine with package lists is needed (`apt-get update` as root)');
  const { stdout } = await runTool('apt-config', ['dump', 'Acquire', '--format', '%f "%v";%n']);
  const options = stdout.split('\n').filter((line) => /^Acquire::https?::Proxy(::\S+)? "./.test(line));
  return { suite, lines: entries.map((entry) => `deb ${entry}`), options };
}
