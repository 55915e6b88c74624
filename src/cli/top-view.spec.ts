import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TOP_COLUMNS } from './top-columns.ts';
import { inPlace } from './top-command.ts';
import { type Sample, usagesOf } from './top-sample.ts';
import type { TopTerminal } from './top-terminal.ts';
import { afterKey, TOP_VIEW, type TopView, topKeys, topScreen, topSummary, topTable } from './top-view.ts';

const KIB = 1024;
const disk = {
  vdev: 'xvda',
  devid: 51712,
  'oo-requests': 0,
  'read-requests': 3,
  'write-requests': 4,
  'read-sectors': 24,
  'write-sectors': 32,
  errors: 0,
};
const vif = {
  devid: 0,
  mac: '00:16:3e:00:00:01',
  'rx-bytes': 10 * KIB,
  'rx-packets': 5,
  'rx-errors': 0,
  'rx-dropped': 1,
  'tx-bytes': 3 * KIB + 7,
  'tx-packets': 2,
  'tx-errors': 0,
  'tx-dropped': 0,
};
const sample = (more: Partial<Sample> = {}): Sample => ({
  id: 1,
  name: 'web',
  state: '-b----',
  atMs: 1000,
  cpuSeconds: 2,
  vcpuSeconds: [{ vcpu: 0, seconds: 2 }],
  instructions: 1e6,
  memoryKib: 262144,
  maxMemoryKib: 524288,
  vcpus: 1,
  disks: [],
  vifs: [],
  ...more,
});
const usages = (...samples: readonly Sample[]) => usagesOf(samples, [], 2 ** 30);
const HOST = {
  now: new Date(2026, 0, 2, 3, 4, 5),
  xenVersion: '4.20',
  totalMemory: 2 ** 30,
  freeMemory: 2 ** 29,
  cpus: 2,
  mhz: 2500,
};
/** What a terminal does not print. */
const CONTROL = new RegExp(`${'\x1b'}\\[[\\d;]*[A-Za-z]`, 'g');
const press = (keys: string, from: TopView = TOP_VIEW): TopView | undefined =>
  topKeys(keys).reduce<TopView | undefined>((view, key) => (view === undefined ? undefined : afterKey(view, key)), from);

describe('the table', () => {
  it("has xentop's columns and widths, and what dom1 knows beside", () => {
    const [header, row] = topTable(usages(sample({ disks: [disk], vifs: [vif] })), TOP_VIEW);
    expect(header).toBe(
      '      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) VCPUS NETS NETTX(k) NETRX(k) VBDS   VBD_OO   VBD_RD   VBD_WR  VBD_RSECT  VBD_WSECT SSID    MIPS    ID',
    );
    expect(row).toBe(
      '       web --b---          2    0.0     262144   25.0     524288      50.0     1    1        3       10    1        0        3        4         24         32    0     0.0     1',
    );
  });

  it('has lines for virtual CPUs, networks and disks', () => {
    const view = { ...TOP_VIEW, vcpus: true, networks: true, disks: true };
    expect(topTable(usages(sample({ disks: [disk], vifs: [vif] })), view).slice(2)).toEqual([
      'VCPUs(sec):   0:          2s',
      'Net0 RX:    10240bytes        5pkts        0err        1drop  TX:     3079bytes        2pkts        0err        0drop',
      'VBD BlkBack 51712 [ca: 0]  OO:        0   RD:        3   WR:        4   RSECT:         24   WSECT:         32',
    ]);
  });

  it('cuts long names unless they are wanted', () => {
    const long = usages(sample({ name: 'a-very-long-name' }));
    expect(topTable(long, TOP_VIEW)[1]).toMatch(/^a-very-lon --b---/);
    expect(topTable(long, { ...TOP_VIEW, fullName: true })[1]).toMatch(/^a-very-long-name --b---/);
  });

  it('is sorted by any column', () => {
    const all = usages(
      sample({ id: 1, name: 'b', memoryKib: 5, state: 'r-----' }),
      sample({ id: 2, name: 'A', memoryKib: 7 }),
      sample({ id: 3, name: 'c', memoryKib: 6, state: '-----d' }),
    );
    const order = (heading: string): string =>
      topTable(all, { ...TOP_VIEW, sort: TOP_COLUMNS.findIndex((column) => column.heading === heading) })
        .slice(1)
        .map((line) => line.trim()[0])
        .join('');
    expect([order('NAME'), order('MEM(k)'), order('STATE'), order('ID'), order('SSID')]).toEqual([
      'Abc',
      'Acb',
      'cAb',
      'bAc',
      'bAc',
    ]);
  });

  it('counts per second from one look to the next, and a restarted guest from 0', () => {
    const first = sample();
    const [later] = usagesOf([sample({ atMs: 3000, cpuSeconds: 3, instructions: 5e6 })], [first]);
    expect(later).toMatchObject({ cpuPercent: 50, mips: 2 });
    expect(usagesOf([sample({ atMs: 3000, cpuSeconds: 0 })], [first])[0]).toMatchObject({ cpuPercent: 0 });
    expect(usagesOf([sample({ id: 2 })], [first])[0]).toMatchObject({ cpuPercent: null, mips: null });
  });
});

describe('the screen', () => {
  it('begins with the host', () => {
    expect(topSummary(usages(sample(), sample({ id: 2, state: 'r-----' })), HOST)).toEqual([
      'dom1 top - 03:04:05   Xen 4.20',
      '2 domains: 1 running, 1 blocked, 0 paused, 0 crashed, 0 dying, 0 shutdown',
      'Mem: 1048576k total, 524288k used, 524288k free    CPUs: 2 @ 2500MHz',
    ]);
  });

  it('is as large as the terminal, whatever there is to show', () => {
    const size = fc.record({ columns: fc.integer({ min: 1, max: 250 }), rows: fc.integer({ min: 1, max: 60 }) });
    fc.assert(
      fc.property(size, fc.nat({ max: 80 }), fc.boolean(), (terminal, domains, more) => {
        const all = usages(...Array.from({ length: domains }, (_, id) => sample({ id, disks: [disk], vifs: [vif] })));
        const view = { ...TOP_VIEW, networks: more, disks: more, vcpus: more, repeatHeader: more, prompt: '12' };
        const text = topScreen(all, view, HOST, terminal);
        expect(text.startsWith('\x1b[H')).toBe(true);
        const lines = text.split('\r\n').map((line) => line.replaceAll(CONTROL, ''));
        expect(lines.length).toBeLessThanOrEqual(terminal.rows);
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(Math.max(2, terminal.columns));
      }),
      { numRuns: 200 },
    );
  });
});

describe('keys', () => {
  it('show more or less, sort and scroll', () => {
    expect(press('nbvrfs')).toEqual({
      ...TOP_VIEW,
      networks: true,
      disks: true,
      vcpus: true,
      repeatHeader: true,
      fullName: true,
      sort: 1,
    });
    expect(press('NBVRFS', press('nbvrfs'))).toEqual(TOP_VIEW);
    expect(press('S')?.sort).toBe(TOP_COLUMNS.length - 1);
    expect(press('\x1b[B\x1bOB\x1b[A')?.first).toBe(1);
    expect(press('\x1b[A')?.first).toBe(0);
    expect(press('\x1b[15~xyz ')).toEqual(TOP_VIEW);
  });

  it.each(['q', 'Q', '\x1b', '\x03', 'd1\x03'])('%j ends it', (keys) => {
    expect(press(keys)).toBeUndefined();
  });

  it('another delay is asked for, and typed', () => {
    expect(press('d')?.prompt).toBe('');
    expect(press('d1x\x7f2.5\r')).toEqual({ ...TOP_VIEW, delay: 2.5 });
    expect(press('d0\r')).toEqual(TOP_VIEW);
    expect(press('d9q\x1b')).toEqual(TOP_VIEW);
  });
});

describe('on a terminal', () => {
  class Terminal implements TopTerminal {
    written: string[] = [];
    columns = 200;
    press: (keys: string) => void = () => {};
    resize: () => void = () => {};
    write(text: string): void {
      this.written.push(text);
    }
    size() {
      return { columns: this.columns, rows: 24 };
    }
    onKeys(listener: (keys: string) => void): void {
      this.press = listener;
    }
    onResize(listener: () => void): void {
      this.resize = listener;
    }
  }

  it('draws at once for a key and another size, and looks again after the delay', async () => {
    const terminal = new Terminal();
    let looks = 0;
    const options = { view: { ...TOP_VIEW, delay: 0.3 }, iterations: Number.POSITIVE_INFINITY };
    const running = inPlace(
      { ...options, sample: async () => [sample({ id: ++looks })] },
      terminal,
      new AbortController().signal,
    );
    await sleep(20);
    expect(terminal.written).toHaveLength(1);
    terminal.press('n');
    terminal.columns = 30;
    terminal.resize();
    expect(terminal.written).toHaveLength(3);
    expect(looks).toBe(1);
    await expect.poll(() => looks).toBeGreaterThanOrEqual(3);
    terminal.press('q');
    expect(await running).toBe(0);
  });

  it('ends after the looks that were asked for', async () => {
    const terminal = new Terminal();
    const options = { view: { ...TOP_VIEW, delay: 0.01 }, iterations: 3, sample: async () => [sample()] };
    expect(await inPlace(options, terminal, new AbortController().signal)).toBe(0);
    expect(terminal.written).toHaveLength(3);
  });
});
