// The columns of `dom1 top`: those of xentop with their widths, and then what dom1 knows beside.
import type { DiskStatistics, VifStatistics } from '../control/device-statistics.ts';
import type { Usage } from './top-sample.ts';

export interface TopColumn {
  readonly heading: string;
  readonly width: number;
  readonly cell: (usage: Usage) => string;
  /** Smaller ones come first; default: by what `order` gives, the largest first. */
  readonly compare?: (a: Usage, b: Usage) => number;
  readonly order?: (usage: Usage) => number;
}

const disks = (usage: Usage, counter: Exclude<keyof DiskStatistics, 'vdev'>): number =>
  usage.disks.reduce((sum, disk) => sum + disk[counter], 0);
const vifs = (usage: Usage, counter: Exclude<keyof VifStatistics, 'mac'>): number =>
  usage.vifs.reduce((sum, vif) => sum + vif[counter], 0);

/** The letters of a state in xentop's order, which is not xl's. */
export const topState = (state: string): string =>
  [...'dsbcpr'].map((letter) => (state.includes(letter) ? letter : '-')).join('');

const number = (heading: string, width: number, order: (usage: Usage) => number): TopColumn => ({
  heading,
  width,
  order,
  cell: (usage) => String(Math.floor(order(usage))),
});
const fixed = (heading: string, width: number, value: (usage: Usage) => number | null): TopColumn => ({
  heading,
  width,
  order: (usage) => value(usage) ?? 0,
  cell: (usage) => (value(usage) ?? 0).toFixed(1),
});

export const TOP_COLUMNS: readonly TopColumn[] = [
  {
    heading: 'NAME',
    width: 10,
    cell: ({ name }) => name,
    compare: (a, b) => a.name.toLowerCase().localeCompare(b.name.toLowerCase(), 'en'),
  },
  {
    heading: 'STATE',
    width: 6,
    cell: ({ state }) => topState(state),
    // The first letter of those that a state has decides.
    compare: (a, b) => topState(b.state).localeCompare(topState(a.state), 'en'),
  },
  number('CPU(sec)', 10, ({ cpuSeconds }) => cpuSeconds),
  fixed('CPU(%)', 6, ({ cpuPercent }) => cpuPercent),
  number('MEM(k)', 10, ({ memoryKib }) => memoryKib),
  fixed('MEM(%)', 6, ({ memoryPercent }) => memoryPercent),
  number('MAXMEM(k)', 10, ({ maxMemoryKib }) => maxMemoryKib),
  fixed('MAXMEM(%)', 9, ({ maxMemoryPercent }) => maxMemoryPercent),
  number('VCPUS', 5, ({ vcpus }) => vcpus),
  number('NETS', 4, (usage) => usage.vifs.length),
  number('NETTX(k)', 8, (usage) => vifs(usage, 'tx-bytes') / 1024),
  number('NETRX(k)', 8, (usage) => vifs(usage, 'rx-bytes') / 1024),
  number('VBDS', 4, (usage) => usage.disks.length),
  number('VBD_OO', 8, (usage) => disks(usage, 'oo-requests')),
  number('VBD_RD', 8, (usage) => disks(usage, 'read-requests')),
  number('VBD_WR', 8, (usage) => disks(usage, 'write-requests')),
  number('VBD_RSECT', 10, (usage) => disks(usage, 'read-sectors')),
  number('VBD_WSECT', 10, (usage) => disks(usage, 'write-sectors')),
  // Security labels are nothing that dom1 has.
  number('SSID', 4, () => 0),
  fixed('MIPS', 7, ({ mips }) => mips),
  { ...number('ID', 5, ({ id }) => id), compare: (a, b) => a.id - b.id },
];

/** In the order of one column; what is alike there stays in the order of the ids. */
export function sortedUsages(usages: readonly Usage[], column: number): readonly Usage[] {
  const { compare, order = () => 0 } = TOP_COLUMNS[column] as TopColumn;
  return [...usages].sort(compare ?? ((a, b) => order(b) - order(a)));
}
