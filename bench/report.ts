// Prints a table, and keeps it with its data under bench/results/.
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, type } from 'node:os';

export interface Host {
  readonly cpu: string;
  readonly cores: number;
  readonly system: string;
  readonly node: string;
  /** Load average of the last minute when the run began: other work on the machine slows both sides. */
  readonly load: number;
}

export const describeHost = (): Host => ({
  cpu: (cpus()[0]?.model ?? 'unknown CPU').replace(/\s+/g, ' ').trim(),
  cores: cpus().length,
  system: type(),
  node: process.version,
  load: loadavg()[0] as number,
});

/** A markdown table; the first column is text, the others are numbers and aligned right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] as number) : cell.padStart(widths[column] as number))).join(' | ')} |`;
  const rule = widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

/** Writes `<date>-<cpu>-<kind>.md` and `.json`; returns the path of the former. */
export function save(kind: string, host: Host, title: string, text: string, data: unknown): string {
  const directory = new URL('../../results/', import.meta.url);
  mkdirSync(directory, { recursive: true });
  const date = new Date().toISOString().slice(0, 10);
  const cpu = host.cpu
    .toLowerCase()
    .replaceAll(/\(r\)|\(tm\)|cpu|processor/g, '')
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '');
  const base = `${date}-${cpu}-${kind}`;
  const where = `${host.cpu}, ${host.cores} cores, ${host.system}, Node ${host.node}, load average at the start ${host.load.toFixed(1)}`;
  writeFileSync(new URL(`${base}.md`, directory), `# ${title}, ${date}\n\n${where}.\n\n${text}\n`);
  writeFileSync(new URL(`${base}.json`, directory), `${JSON.stringify({ date, host, ...(data as object) }, null, 1)}\n`);
  return `bench/results/${base}.md`;
}
