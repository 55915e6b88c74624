// What `dom1 top` shows, and what each key does to it: xentop's, so far as there is something to show.
import { sortedUsages, TOP_COLUMNS, type TopColumn, topState } from './top-columns.ts';
import type { Usage } from './top-sample.ts';

export interface TopView {
  readonly vcpus: boolean;
  readonly networks: boolean;
  readonly disks: boolean;
  readonly repeatHeader: boolean;
  readonly fullName: boolean;
  /** The column that decides the order. */
  readonly sort: number;
  /** Domains that are scrolled away at the top. */
  readonly first: number;
  /** Seconds between two looks. */
  readonly delay: number;
  /** What is typed in answer to "Delay(sec)"; undefined when nobody is asked. */
  readonly prompt?: string;
}

export const TOP_VIEW: TopView = {
  vcpus: false,
  networks: false,
  disks: false,
  repeatHeader: false,
  fullName: false,
  sort: 0,
  first: 0,
  delay: 3,
};

const ESCAPE = '\x1b';
const KEY = new RegExp(`${ESCAPE}\\[[\\d;]*[A-Za-z~]|${ESCAPE}O[A-Z]|[\\s\\S]`, 'g');

/** Of keys that a terminal sends: escape sequences are one key. */
export const topKeys = (text: string): readonly string[] => text.match(KEY) ?? [];

/** Ctrl-C is a key like others in raw mode. */
const INTERRUPT = '\x03';

/** The view after a key; undefined when it ends the command. */
export function afterKey(view: TopView, key: string): TopView | undefined {
  if (key === INTERRUPT) return undefined;
  if (view.prompt !== undefined) return afterPromptKey(view, view.prompt, key);
  const columns = TOP_COLUMNS.length;
  switch (key) {
    case 'q':
    case 'Q':
    case ESCAPE:
      return undefined;
    case 'n':
    case 'N':
      return { ...view, networks: !view.networks };
    case 'b':
    case 'B':
      return { ...view, disks: !view.disks };
    case 'v':
    case 'V':
      return { ...view, vcpus: !view.vcpus };
    case 'r':
    case 'R':
      return { ...view, repeatHeader: !view.repeatHeader };
    case 'f':
    case 'F':
      return { ...view, fullName: !view.fullName };
    case 's':
      return { ...view, sort: (view.sort + 1) % columns };
    case 'S':
      return { ...view, sort: (view.sort + columns - 1) % columns };
    case 'd':
    case 'D':
      return { ...view, prompt: '' };
    case '\x1b[A':
    case '\x1bOA':
      return { ...view, first: Math.max(0, view.first - 1) };
    case '\x1b[B':
    case '\x1bOB':
      return { ...view, first: view.first + 1 };
    default:
      return view;
  }
}

const MAX_DELAY = 1_000_000;

function afterPromptKey(view: TopView, typed: string, key: string): TopView {
  const { prompt: _, ...without } = view;
  if (key === '\r' || key === '\n') {
    const delay = Number(typed);
    return delay >= 1 && delay <= MAX_DELAY ? { ...without, delay } : without;
  }
  if (key === ESCAPE) return without;
  if (key === '\x7f' || key === '\b') return { ...view, prompt: typed.slice(0, -1) };
  return /^[\d.]$/.test(key) && typed.length < 8 ? { ...view, prompt: typed + key } : view;
}

/** Header and domains: xentop's batch mode prints nothing else. */
export function topTable(usages: readonly Usage[], view: TopView): readonly string[] {
  const nameWidth = Math.max(10, ...(view.fullName ? usages.map(({ name }) => name.length) : []));
  const width = (column: TopColumn): number => (column.heading === 'NAME' ? nameWidth : column.width);
  const header = TOP_COLUMNS.map((column) => column.heading.padStart(width(column))).join(' ');
  return sortedUsages(usages, view.sort)
    .slice(Math.min(view.first, Math.max(0, usages.length - 1)))
    .flatMap((usage, index) => [
      ...(index === 0 || view.repeatHeader ? [header] : []),
      TOP_COLUMNS.map((column) => {
        const cell = column.cell(usage);
        return (column.heading === 'NAME' ? cell.slice(0, nameWidth) : cell).padStart(width(column));
      }).join(' '),
      ...(view.vcpus ? vcpuLines(usage) : []),
      ...(view.networks ? networkLines(usage) : []),
      ...(view.disks ? diskLines(usage) : []),
    ]);
}

const VCPUS_A_LINE = 5;

function vcpuLines({ vcpuSeconds }: Usage): readonly string[] {
  const cells = vcpuSeconds.map(
    ({ vcpu, seconds }) => ` ${String(vcpu).padStart(2)}: ${String(Math.floor(seconds)).padStart(10)}s`,
  );
  const lines: string[] = [];
  for (let i = 0; i < Math.max(1, cells.length); i += VCPUS_A_LINE)
    lines.push(`${i === 0 ? 'VCPUs(sec): ' : '            '}${cells.slice(i, i + VCPUS_A_LINE).join('')}`);
  return lines;
}

const wide = (value: number): string => String(value).padStart(8);

function networkLines({ vifs }: Usage): readonly string[] {
  return vifs.map((vif) => {
    const counts = (way: 'rx' | 'tx'): string =>
      `${wide(vif[`${way}-bytes`])}bytes ${wide(vif[`${way}-packets`])}pkts ${wide(vif[`${way}-errors`])}err ${wide(vif[`${way}-dropped`])}drop`;
    return `Net${vif.devid} RX: ${counts('rx')}  TX: ${counts('tx')}`;
  });
}

function diskLines({ disks }: Usage): readonly string[] {
  return disks.map((disk) => {
    const [major, minor] = [disk.devid >>> 8, disk.devid & 0xff].map((part) => part.toString(16).padStart(2));
    const counts = [
      `OO: ${wide(disk['oo-requests'])}`,
      `RD: ${wide(disk['read-requests'])}`,
      `WR: ${wide(disk['write-requests'])}`,
      `RSECT: ${String(disk['read-sectors']).padStart(10)}`,
      `WSECT: ${String(disk['write-sectors']).padStart(10)}`,
    ];
    return `VBD BlkBack ${String(disk.devid).padStart(4)} [${major}:${minor}]  ${counts.join('   ')}`;
  });
}

/** The host, for the lines at the top. Memory in bytes. */
export interface TopHost {
  readonly now: Date;
  readonly xenVersion: string;
  readonly totalMemory: number;
  readonly freeMemory: number;
  readonly cpus: number;
  readonly mhz: number;
}

export function topSummary(usages: readonly Usage[], host: TopHost): readonly string[] {
  const count = (letter: string): number => usages.filter(({ state }) => topState(state).includes(letter)).length;
  const kib = (bytes: number): string => `${Math.floor(bytes / 1024)}k`;
  const { totalMemory, freeMemory } = host;
  return [
    `dom1 top - ${host.now.toTimeString().slice(0, 8)}   Xen ${host.xenVersion}`,
    `${usages.length} domains: ${count('r')} running, ${count('b')} blocked, ${count('p')} paused, ` +
      `${count('c')} crashed, ${count('d')} dying, ${count('s')} shutdown`,
    `Mem: ${kib(totalMemory)} total, ${kib(totalMemory - freeMemory)} used, ${kib(freeMemory)} free    CPUs: ${host.cpus} @ ${host.mhz}MHz`,
  ];
}

const REVERSE = (text: string): string => `\x1b[7m${text}\x1b[0m`;
const MENU = 'Delay  Networks  vBds  VCPUs  Repeat header  Full name  Sort order  Quit';

/** Everything on the screen, to be written over what is there: no more lines than it has, and none too long. */
export function topScreen(
  usages: readonly Usage[],
  view: TopView,
  host: TopHost,
  size: { readonly columns: number; readonly rows: number },
): string {
  const columns = Math.max(1, size.columns);
  const heading = `${(TOP_COLUMNS[view.sort] as TopColumn).heading}`;
  const lines = [...topSummary(usages, host), ...topTable(usages, view)].slice(0, Math.max(0, size.rows - 1));
  const cut = lines.map((line) => line.slice(0, columns)).map((line) => (isHeader(line) ? REVERSE(line.padEnd(columns)) : line));
  const bottom = view.prompt === undefined ? `${MENU}  (by ${heading})` : `Delay(sec): ${view.prompt}`;
  const body = cut.map((line) => `${line}\x1b[K\r\n`).join('');
  return `\x1b[H${body}\x1b[J\x1b[${size.rows};1H  ${bottom.slice(0, Math.max(0, columns - 3))}`;
}

const isHeader = (line: string): boolean => /^ +NAME\b/.test(line);
