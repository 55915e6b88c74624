// The programs of docs/examples run against the built package, each in a process of its own, and print what they say they print.
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { readDomainSpec } from '../../src/control/xl-config/read-domain-spec.ts';
import { fetchDemoGuest } from '../../src/node/demo-guest.ts';
import { specConfig } from '../../src/node/spec-config.ts';

const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url));
const EXAMPLES = path('docs/examples');
/** In the package, so that "dom1" is this package: Node resolves a package's own name through its "exports". */
const COMPILED = path('dist-test/examples');
/** Guests boot in it, on a host that may be busy. */
const TIME = 240_000;

const programs = readdirSync(EXAMPLES).filter((name) => name.endsWith('.ts'));
const text = (name: string): string => readFileSync(`${EXAMPLES}/${name}`, 'utf8');

/** The lines after "// Prints:"; "…" stands for anything. */
function printed(source: string): RegExp | undefined {
  const lines = /^\/\/ Prints:\n((?:\/\/ {3}.*\n)+)/m.exec(source)?.[1]?.trimEnd().split('\n');
  const quoted = (line: string): string => line.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('…', '.*');
  return lines && new RegExp(`^${lines.map((line) => quoted(line.slice('//   '.length))).join('\n')}\n$`);
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, args: readonly string[], cwd = EXAMPLES): Promise<Ended> {
  // What this runner tells its own workers is not for another one.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^VITEST|^NODE_OPTIONS$/.test(name)));
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [program, ...args], { cwd, env }, (_, stdout, stderr) =>
      resolve({ code: child.exitCode, stdout, stderr }),
    );
  });
}

const parts = await fetchDemoGuest({ modules: ['xen-blkfront'] }).catch((error: Error) => {
  process.stderr.write(`skipping the examples: ${error.message}\n`);
  return undefined;
});

describe('an xl configuration among the examples', () => {
  it.each(readdirSync(EXAMPLES).filter((name) => name.endsWith('.cfg')))(
    '%s has nothing in it that dom1 does not take',
    (name) => {
      const { spec, warnings } = readDomainSpec(text(name), name);
      expect(warnings).toEqual([]);
      expect(specConfig(spec)).toMatchObject({ name: 'debian', kernel: 'vmlinuz', memory: 512 << 20 });
    },
  );
});

describe('each example', () => {
  it.each(programs)('%s says what it prints', (name) => {
    expect(printed(text(name))).toBeDefined();
  });
});

describe.skipIf(parts === undefined)('an example', { timeout: TIME }, () => {
  beforeAll(async () => {
    // Types are checked by `npm run check`.
    const flags = ['--noEmit', 'false', '--noCheck', '--noResolve', '--allowImportingTsExtensions', 'false'];
    const compiled = await run(path('node_modules/typescript/bin/tsc'), ['-p', EXAMPLES, ...flags, '--outDir', COMPILED]);
    expect(compiled).toMatchObject({ code: 0, stdout: '' });
  }, 60_000);

  it.each(programs)('%s prints that', async (name) => {
    const { code, stdout, stderr } = await run(`${COMPILED}/${name.replace(/\.ts$/, '.js')}`, []);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(printed(text(name)) as RegExp);
  });

  it('for Vitest passes in it', async () => {
    const folder = `${EXAMPLES}/testing-with-vitest`;
    const { code, stdout, stderr } = await run(path('node_modules/vitest/vitest.mjs'), ['run', '--root', folder], folder);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('3 passed');
  });
});
