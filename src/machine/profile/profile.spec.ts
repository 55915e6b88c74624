// A profile of a made-up vCPU whose times are known: the sums, the text, the trace.
import { describe, expect, it } from 'vitest';
import { COUNTERS, type EngineCounts } from '../../cpu/engine-counters.ts';
import { readSystemMap } from '../../image/system-map.ts';
import { chromeTrace } from './chrome-trace.ts';
import { brokenRules } from './fixtures/trace-event-rules.ts';
import { profileReport } from './profile-report.ts';
import { SymbolTable } from './symbol-table.ts';
import { type GuestPlace, VcpuProfile } from './vcpu-profile.ts';

const SYMBOLS = new SymbolTable(
  readSystemMap(
    'ffffffff81000000 T _text\nffffffff81000100 t copy_page\nffffffff82000000 D jiffies\nffffffff81000200 W memset\n',
  ),
);
const KERNEL: GuestPlace = { space: 'kernel', address: 0xffff_ffff_8100_0140n };
const USER: GuestPlace = { space: 'user 1f3', address: 0x55_5540_0000n };

/** A vCPU whose clock and instructions are moved by hand. */
class Pretended {
  nowMs = 1000;
  retired = 0;
  place = KERNEL;
  readonly counters = new BigUint64Array(2);
  readonly counts = Object.fromEntries(COUNTERS.map((name) => [name, 0])) as Record<keyof EngineCounts, number>;
  readonly profile = new VcpuProfile({
    counters: this.counters,
    countersAt: 4096,
    place: () => this.place,
    whyInterpreted: () => 'not hot yet',
    counts: () => ({ ...this.counts }),
    retired: () => this.retired,
    now: () => this.nowMs,
  });

  /** Runs code of the guest for some time, up to a sample. */
  code(place: GuestPlace, ms: number, translated: boolean): void {
    this.nowMs += ms;
    this.retired += ms * 100_000;
    if (translated) this.counts.region_instructions += ms * 100_000;
    this.place = place;
    this.profile.sample(translated);
  }
  wait(ms: number): void {
    this.profile.idle(() => {
      this.nowMs += ms;
    });
  }
  helper = this.profile.timed('helper', 'iret', (ms: number) => {
    this.nowMs += ms;
    return ms;
  });
}

function example(): Pretended {
  const vcpu = new Pretended();
  vcpu.code(KERNEL, 30, true);
  vcpu.code(USER, 10, false);
  vcpu.wait(500);
  vcpu.profile.exit('hypercall vcpu_op', () => vcpu.helper(4));
  expect(vcpu.helper(6)).toBe(6);
  vcpu.code(KERNEL, 20, false);
  vcpu.profile.translated(0xffff_ffff_8100_0140n, 12, vcpu.nowMs - 5, 5);
  return vcpu;
}

describe('a profile', () => {
  it('adds up: what is measured is not the code that is sampled after it', () => {
    const data = example().profile.data(0);
    expect(data).toMatchObject({ wallMs: 570, idleMs: 500, translatedMs: 30, interpretedMs: 30, compileMs: 5, samples: 3 });
    expect(data.timed).toEqual([
      { kind: 'helper', name: 'iret', calls: 2, ms: 6 },
      { kind: 'exit', name: 'hypercall vcpu_op', calls: 1, ms: 4 },
    ]);
    // The time of a place is all but waiting, so that what TypeScript did for it counts.
    expect(data.places).toEqual([
      { ...KERNEL, samples: 2, translatedMs: 30, interpretedMs: 30 },
      { ...USER, samples: 1, translatedMs: 0, interpretedMs: 10 },
    ]);
    expect(data.whyInterpreted).toEqual([{ name: 'not hot yet', count: 2 }]);
  });

  it('gives generated code words to count in, and the last word to what has none', () => {
    const vcpu = new Pretended();
    const [ret, other, third] = ['ret', 'edge', 'third'].map((what) => vcpu.profile.counter(what));
    expect([ret, other, third, vcpu.profile.counter('ret')]).toEqual([4096, 4104, 4104, 4096]);
    vcpu.counters[0] = 7n;
    expect(vcpu.profile.data(0).regionEvents).toEqual([{ name: 'ret', count: 7 }]);
  });

  it('is bounded whatever a guest does', () => {
    const vcpu = new Pretended();
    for (let i = 0; i < 3000; i++) vcpu.profile.exit(`port ${i}`, () => {});
    for (let i = 0; i < 60_000; i++) vcpu.code({ space: 'low', address: BigInt(i) }, 1, false);
    const { places, timed } = vcpu.profile.data(0);
    expect(timed.length).toBeLessThan(1100);
    expect(timed.reduce((sum, { calls }) => sum + calls, 0)).toBe(3000);
    expect(places.length).toBeLessThan(50_100);
    expect(places.reduce((sum, { samples }) => sum + samples, 0)).toBe(60_000);
  });

  it('is a text of aligned tables with the functions by name', () => {
    const lines = profileReport(example().profile.data(0), SYMBOLS);
    expect(lines[0]).toBe(
      'profile of vCPU 0: 0.57 s, of it 0.07 s busy, 6 million instructions, 86 million a second of those, 3 samples',
    );
    const text = lines.join('\n');
    expect(text).toMatch(/translated code +30\.0 +42\.9\n/);
    expect(text).toMatch(/60\.0 +85\.7 +50\.0 +2 {2}copy_page\n/);
    expect(text).toMatch(/user, cr3 0x1f3000, 0x5555400000/);
    expect(text).toMatch(/1 +4\.0 +5\.7 +4000\.00 {2}hypercall vcpu_op/);
    expect(text).toContain('50.0 % of the instructions were run in translated code');
    expect(text).not.toContain('--system-map');
  });

  it('is a trace that keeps to the rules of the format', () => {
    const trace = JSON.parse(JSON.stringify(chromeTrace([example().profile.data(0)], 'web', SYMBOLS)));
    expect(brokenRules(trace)).toEqual([]);
    const spans = trace.traceEvents.filter(({ ph }: { ph: string }) => ph === 'X');
    expect(spans).toContainEqual({ name: 'copy_page', cat: 'translated', ph: 'X', pid: 1, tid: 1, ts: 0, dur: 30_000 });
    expect(spans).toContainEqual({ name: 'idle', cat: 'idle', ph: 'X', pid: 1, tid: 2, ts: 40_000, dur: 500_000 });
    const counter = trace.traceEvents.find(({ ph }: { ph: string }) => ph === 'C');
    expect(counter).toMatchObject({ args: { translated: 0, interpreted: 100 } });
  });

  it('has rules that a broken trace breaks', () => {
    const event = { name: 'a', ph: 'X', pid: 1, tid: 1, ts: 0, dur: 5 };
    const broken = (...events: object[]) => brokenRules({ traceEvents: events }).length;
    expect(broken(event, { ...event, ts: 5 })).toBe(0);
    expect(broken(event, { ...event, ts: 4 })).toBe(1);
    expect(broken({ ...event, dur: -1 })).toBe(1);
    expect(broken({ ...event, ph: 'C', args: { n: 'x' } })).toBe(1);
    expect(brokenRules([event])).toEqual(['no object with traceEvents']);
  });
});

describe('names of places', () => {
  it('are those of the functions, and of what has none', () => {
    expect(SYMBOLS.name(0xffff_ffff_8100_01ffn)).toBe('copy_page');
    expect(SYMBOLS.name(0xffff_ffff_8100_0200n)).toBe('memset');
    expect(SYMBOLS.name(0xffff_ffff_8000_0000n)).toBe('0xffffffff80000000');
    expect(SYMBOLS.name(0xffff_ffff_c012_3456n)).toBe('module 0xffffffffc0123400');
  });
});
