// `dom1 top`: how much of the host each domain uses, again and again, as xentop shows it.
import { totalmem } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectRecord } from '../node/connect-control.ts';
import type { ControlClient } from '../node/control-client.ts';
import type { DomainRecord } from '../node/domain-record.ts';
import { listDomains } from '../node/domain-registry.ts';
import { defaultRuntimeDirectory } from '../node/runtime-directory.ts';
import { textColumns } from '../util/text-columns.ts';
import { type Invocation, optionValue } from './arguments.ts';
import type { CommandIo } from './command-io.ts';
import { domainFlags } from './domain-flags.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { numberArgument } from './number-argument.ts';
import { onTerminal, rawTerminal } from './terminal.ts';

const DEFAULT_DELAY = 3;
/** How long a domain may take to answer, in milliseconds. */
const TIMEOUT = 2000;
/** Cursor to the top; the rest of the line; the rest of the screen. */
const [HOME, END_OF_LINE, END_OF_SCREEN] = ['\x1b[H', '\x1b[K', '\x1b[J'];
const CLEAR = '\x1b[2J';
/** Ctrl-C, in raw mode a key like others. */
const KEYS_THAT_END = new Set(['q', 'Q', '\x03', '\x1b']);

interface Sample {
  readonly id: number;
  readonly name: string;
  readonly state: string;
  readonly atMs: number;
  readonly cpuSeconds: number;
  readonly instructions: number;
  readonly memoryKib: number;
  readonly maxMemoryKib: number;
  readonly vcpus: number;
}

interface Usage extends Sample {
  /** Percent of one host CPU since the sample before; null in the first one. */
  readonly cpuPercent: number | null;
  /** Million instructions a second. */
  readonly mips: number | null;
  readonly memoryPercent: number;
}

export async function topCommand(invocation: Invocation, io: CommandIo): Promise<number> {
  const { options } = invocation;
  const number = (option: string, otherwise: number): number => {
    const text = optionValue(invocation, option);
    return text === undefined ? otherwise : numberArgument(text, option, { min: 1, max: 1_000_000 });
  };
  const delay = number('delay', DEFAULT_DELAY);
  const iterations = number('iterations', Number.POSITIVE_INFINITY);
  const json = options.has('json');
  const inPlace = io.columns !== undefined && !options.has('batch') && !json;
  const over = new AbortController();
  using clients = new DomainClients(io.directory ?? (await defaultRuntimeDirectory()));
  using _ = inPlace && io.input === process.stdin && onTerminal() ? untilKey(() => over.abort()) : undefined;
  if (inPlace) io.out(CLEAR);
  let before: readonly Sample[] = [];
  for (let i = 0; i < iterations && !over.signal.aborted; i++) {
    if (i > 0) await sleep(delay * 1000, undefined, { signal: over.signal }).catch(() => {});
    if (over.signal.aborted) break;
    const samples = await clients.sample();
    const usages = samples.map((sample) =>
      usage(
        sample,
        before.find(({ id, name }) => id === sample.id && name === sample.name),
      ),
    );
    before = samples;
    if (json) io.out(`${JSON.stringify(usages)}\n`);
    else if (inPlace) io.out(screen(usages, io.columns || 80));
    else io.out(`${table(usages).join('\n')}\n`);
  }
  return EXIT_CODE.ok;
}

function untilKey(end: () => void): Disposable {
  const raw = rawTerminal(() => undefined);
  const onKeys = (keys: Buffer): void => {
    if ([...keys.toString('latin1')].some((key) => KEYS_THAT_END.has(key))) end();
  };
  process.stdin.on('data', onKeys);
  process.stdin.resume();
  return {
    [Symbol.dispose]() {
      process.stdin.off('data', onKeys);
      process.stdin.pause();
      raw[Symbol.dispose]();
    },
  };
}

/** Connections that last from one sample to the next. */
class DomainClients implements Disposable {
  readonly #directory: string;
  readonly #clients = new Map<string, ControlClient>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  async sample(): Promise<readonly Sample[]> {
    const records = await listDomains({ directory: this.#directory });
    const samples = await Promise.all(records.map((record) => this.#sampleOf(record)));
    return samples.filter((sample) => sample !== undefined);
  }

  async #sampleOf(record: DomainRecord): Promise<Sample | undefined> {
    try {
      let client = this.#clients.get(record.key);
      if (client === undefined) {
        client = await connectRecord(record, this.#directory, TIMEOUT);
        this.#clients.set(record.key, client);
      }
      const [domain, times, memory, vcpus] = (await Promise.race([
        Promise.all(['query-domain', 'query-times', 'query-memory', 'query-vcpus'].map((command) => client.execute(command))),
        sleep(TIMEOUT, undefined, { ref: false }),
      ])) as [
        { name: string; state: string; vcpus: number; memory: number },
        { retired: number },
        { actual: number | null; 'static-max': number | null },
        readonly { online: boolean; blocked: boolean; 'time-running': number }[],
      ];
      const online = vcpus.filter((vcpu) => vcpu.online);
      return {
        id: record.id,
        name: domain.name,
        state: domainFlags(domain.state, online.length > 0 && online.every(({ blocked }) => blocked)),
        atMs: performance.now(),
        cpuSeconds: vcpus.reduce((sum, vcpu) => sum + vcpu['time-running'], 0) / 1e9,
        instructions: times.retired,
        memoryKib: memory.actual ?? domain.memory / 1024,
        maxMemoryKib: memory['static-max'] ?? domain.memory / 1024,
        vcpus: domain.vcpus,
      };
    } catch {
      this.#clients.get(record.key)?.[Symbol.dispose]();
      this.#clients.delete(record.key);
      return undefined;
    }
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients.values()) client[Symbol.dispose]();
  }
}

function usage(sample: Sample, before: Sample | undefined): Usage {
  const seconds = before === undefined ? 0 : (sample.atMs - before.atMs) / 1000;
  // A guest that was restarted begins at 0 again.
  const per = (now: number, then: number | undefined): number | null =>
    then === undefined || seconds <= 0 ? null : Math.max(0, now - then) / seconds;
  const cpu = per(sample.cpuSeconds, before?.cpuSeconds);
  const instructions = per(sample.instructions, before?.instructions);
  return {
    ...sample,
    cpuPercent: cpu === null ? null : cpu * 100,
    mips: instructions === null ? null : instructions / 1e6,
    memoryPercent: (sample.memoryKib * 1024 * 100) / totalmem(),
  };
}

const HEADINGS = ['NAME', 'ID', 'STATE', 'CPU(sec)', 'CPU(%)', 'MIPS', 'MEM(k)', 'MEM(%)', 'MAXMEM(k)', 'VCPUS'];

function table(usages: readonly Usage[]): string[] {
  const fixed = (value: number | null): string => (value === null ? '-' : value.toFixed(1));
  const rows = usages.map((one) => [
    one.name,
    `${one.id}`,
    one.state,
    `${Math.floor(one.cpuSeconds)}`,
    fixed(one.cpuPercent),
    fixed(one.mips),
    `${one.memoryKib}`,
    fixed(one.memoryPercent),
    `${one.maxMemoryKib}`,
    `${one.vcpus}`,
  ]);
  return textColumns([HEADINGS, ...rows]);
}

function screen(usages: readonly Usage[], columns: number): string {
  const lines = [`dom1 top: ${usages.length} ${usages.length === 1 ? 'domain' : 'domains'}; q ends`, '', ...table(usages)];
  return `${HOME}${lines.map((line) => `${line.slice(0, columns)}${END_OF_LINE}`).join('\r\n')}\r\n${END_OF_SCREEN}`;
}
