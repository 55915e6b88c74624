// `npm run fuzz:qcow2`: damaged images, and what one does with a disk; images of our own and, where it is installed, of qemu-img,
// which then also says what it thinks of some of them; and images that name each other as backing files.
// Environment: FUZZ_SECONDS (default 60), FUZZ_SEED (default: from the clock; a case's seed alone repeats it with FUZZ_ROUNDS=1),
// FUZZ_ROUNDS (cases; default: no limit), FUZZ_QEMU (one case in so many is shown to qemu-img, default 5; 0: never, and no images of
// its making, so that seeds mean the same without it), FUZZ_SHOW (default 1: problems until it ends), FUZZ_KEEP (a folder for the
// image of a case that fails).
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkImage } from '../../src/image/qcow2/check-image.ts';
import { RamFile } from '../../src/io/ram-file.ts';
import { HangWatch } from './hang-watch.ts';
import { damaged, type Qcow2Case, qcow2Case, readAll, runQcow2Case } from './qcow2.ts';
import { runChainCase } from './qcow2-chains.ts';
import { base, hasQemuImg, ownImages, qemuImages } from './qcow2-images.ts';

const { env } = process;
const seconds = Number(env.FUZZ_SECONDS ?? 60);
const first = Number(env.FUZZ_SEED ?? Date.now() % 0x1_0000_0000);
const rounds = Number(env.FUZZ_ROUNDS ?? Number.POSITIVE_INFINITY);
const shown = Number(env.FUZZ_SHOW ?? 1);
const share = Number(env.FUZZ_QEMU ?? 5);
const qemu = share > 0 && hasQemuImg();

const folder = mkdtempSync(join(tmpdir(), 'dom1-fuzz-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const samples = [...(await ownImages()), ...(qemu ? qemuImages(folder) : [])];
writeFileSync(join(folder, 'base.raw'), base());

const watch = new HangWatch(30_000);
const started = performance.now();
const elapsed = (): number => (performance.now() - started) / 1000;
const totals = { cases: 0, opened: 0, clean: 0, asked: 0, agreed: 0, chains: 0, chainsOpened: 0, problems: 0, slowestMs: 0 };
console.log(`seed ${first}, ${seconds} s, ${samples.length} images${qemu ? '' : ', without qemu-img'}`);

let [round, nextReport] = [0, 10];
for (; round < rounds && elapsed() < seconds && totals.problems < shown; round++) {
  const seed = (first + round) >>> 0;
  // One case in so many is about backing files that name each other.
  if (seed % 16 === 0) {
    await runChain(seed);
    continue;
  }
  const used = qcow2Case(seed, samples);
  const before = performance.now();
  const asks = qemu && (rounds === 1 || used.seed % share === 0);
  const problem = await run(used, asks);
  totals.cases++;
  totals.slowestMs = Math.max(totals.slowestMs, performance.now() - before);
  if (problem !== undefined) await report(used, asks, problem);
  if (elapsed() < nextReport) continue;
  nextReport += 10;
  console.log(`${elapsed().toFixed(0)} s: ${summary()}`);
}
console.log(
  `${summary()}; ${Math.round((totals.cases / elapsed()) * 60)} cases a minute, slowest ${totals.slowestMs.toFixed(0)} ms`,
);
process.exitCode = totals.problems > 0 ? 1 : 0;

async function runChain(seed: number): Promise<void> {
  watch.begin(seed);
  const { problem, opened } = await runChainCase(seed, folder);
  watch.end();
  totals.chains++;
  if (opened) totals.chainsOpened++;
  if (problem === undefined) return;
  totals.problems++;
  console.log(`\na chain of images: ${problem}\nrepeat it: FUZZ_SEED=${seed} FUZZ_ROUNDS=1`);
}

function summary(): string {
  return (
    `${totals.cases} cases, ${totals.opened} opened, ${totals.clean} clean, ${totals.asked} shown to qemu-img (${totals.agreed} clean there), ` +
    `${totals.chains} chains (${totals.chainsOpened} opened), ` +
    `${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB; ${totals.problems} problems`
  );
}

async function run(used: Qcow2Case, asks: boolean): Promise<string | undefined> {
  watch.begin(used.seed);
  try {
    const result = await runQcow2Case(used);
    if (result.opened) totals.opened++;
    if (result.clean) totals.clean++;
    if (result.problem !== undefined || !asks) return result.problem;
    totals.asked++;
    return (await differs(result.damaged, used)) ?? afterWork(result.after, result.clean);
  } finally {
    watch.end();
  }
}

/** What qemu-img calls clean we call clean, and read the same bytes. */
async function differs(bytes: Uint8Array, used: Qcow2Case): Promise<string | undefined> {
  if (!isSafeToAsk(bytes, used)) return undefined;
  writeFileSync(join(folder, 'case.qcow2'), bytes);
  if (!tell('check', '-q', '-f', 'qcow2', 'case.qcow2')) return undefined;
  if (!tell('convert', '-q', '-f', 'qcow2', '-O', 'raw', 'case.qcow2', 'case.raw')) return undefined;
  totals.agreed++;
  const file = new RamFile('evil.qcow2', bytes);
  try {
    const check = await checkImage(file);
    if (check.errors > 0) return `qemu-img finds no errors, we do: ${check.problems}`;
  } catch (error) {
    const { code } = error as { readonly code?: string };
    // What lies behind the end of the file reads as zeroes to QEMU, tables too.
    return code === 'unsupported' || code === 'too-large' || code === 'truncated'
      ? undefined
      : `qemu-img can check it, we cannot: ${error}`;
  }
  const ours = await readAll(bytes);
  const theirs = readFileSync(join(folder, 'case.raw'));
  if (ours === undefined) return theirs.length > 2 ** 21 ? undefined : 'qemu-img can read it, we cannot';
  return Buffer.compare(ours, theirs.subarray(0, ours.length)) === 0 ? undefined : 'qemu-img reads other bytes';
}

/** What was clean, and what we wrote to, is clean to qemu-img too. */
function afterWork(after: Uint8Array | undefined, clean: boolean): string | undefined {
  if (after === undefined || !clean || after.length > 2 ** 26) return undefined;
  const text = ask(after);
  return text === undefined || /No errors were found|leaked clusters/.test(text) ? undefined : `after our work: ${text}`;
}

function ask(bytes: Uint8Array): string | undefined {
  writeFileSync(join(folder, 'case.qcow2'), bytes);
  try {
    return execFileSync('qemu-img', ['check', '-f', 'qcow2', 'case.qcow2'], {
      cwd: folder,
      encoding: 'utf8',
      timeout: 20_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  } catch (error) {
    const { status, stdout } = error as { readonly status?: number; readonly stdout?: string };
    // 1: it could not be opened or checked, which may be for a reason of QEMU's own; 2: errors.
    return status === 2 ? stdout : undefined;
  }
}

function tell(...args: string[]): boolean {
  try {
    execFileSync('qemu-img', args, { cwd: folder, stdio: 'ignore', timeout: 20_000 });
    return true;
  } catch {
    return false;
  }
}

/** Not when the image may name files or addresses that QEMU would open, or a disk of a size that takes ages. */
function isSafeToAsk(bytes: Uint8Array, { sample }: Qcow2Case): boolean {
  const [now, then] = [Buffer.from(bytes.subarray(0, 1024)), Buffer.from(sample.bytes.subarray(0, 1024))];
  if (now.length < 1024 || (now.readUInt32BE(76) & 4) !== 0 || now.readBigUInt64BE(24) > 2n ** 26n) return false;
  if (now.compare(then, 8, 20, 8, 20) !== 0) return false;
  return now.compare(then, 104, 1024, 104, 1024) === 0;
}

async function report(failing: Qcow2Case, asks: boolean, problem: string): Promise<void> {
  totals.problems++;
  console.log(`\n${failing.sample.name}: ${problem}`);
  const qemuIs = share === 0 ? ' FUZZ_QEMU=0' : '';
  console.log(`repeat it: FUZZ_SEED=${failing.seed} FUZZ_ROUNDS=1${qemuIs} (${qemu ? 'with' : 'without'} qemu-img)`);
  const left = await shrink(failing, asks);
  const numbers = (all: readonly number[], some: readonly number[]): string =>
    some.map((seed) => all.indexOf(seed)).join(',') || 'none';
  console.log(`enough of it: damage ${numbers(failing.damage, left.damage)}, steps ${numbers(failing.steps, left.steps)}`);
  console.log(`  ${await run(left, asks)}`);
  const bytes = damaged(left);
  for (let at = 0, lines = 0; at < Math.max(bytes.length, left.sample.bytes.length) && lines < 12; at += 8) {
    const [then, now] = [left.sample.bytes, bytes].map((image) => Buffer.from(image.subarray(at, at + 8)).toString('hex'));
    if (then !== now && now !== '') lines += print(`  at ${at}: ${then} became ${now}`);
  }
  if (bytes.length !== left.sample.bytes.length) console.log(`  ${left.sample.bytes.length} bytes became ${bytes.length}`);
  if (env.FUZZ_KEEP !== undefined) writeFileSync(join(env.FUZZ_KEEP, `case-${failing.seed}.qcow2`), bytes);
}

/** Less damage and fewer steps that still show a problem. */
async function shrink(failing: Qcow2Case, asks: boolean): Promise<Qcow2Case> {
  let left = failing;
  for (const part of ['damage', 'steps'] as const)
    for (let at = 0; at < left[part].length; ) {
      const fewer: Qcow2Case = { ...left, [part]: left[part].filter((_, i) => i !== at) };
      if ((await run(fewer, asks)) === undefined) at++;
      else left = fewer;
    }
  return left;
}

function print(line: string): number {
  console.log(line);
  return 1;
}
