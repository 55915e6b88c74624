// MIPS of the interpreter on small loops: tsc -p bench && node bench/dist/bench/interpreter-loops.js [--ms n] [--runs n] [name…]
import { parseArgs } from 'node:util';
import { LongModeEngine } from '../src/cpu/translator/fixtures/long-mode-engine.ts';
import { allocateRegistersWell } from '../src/node/register-allocation.ts';
import { EXIT } from '../src/vcpu/contract.ts';
import { LOOPS, type Loop } from './loops.ts';
import { table } from './report.ts';
import { median } from './statistics.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { ms: { type: 'string', default: '150' }, runs: { type: 'string', default: '3' } },
});
const [ms, runs] = [Number(values.ms), Number(values.runs)];
const SLICE = 2_000_000;

allocateRegistersWell();
const machine = new LongModeEngine();

/** Millions of instructions a second, over about `ms`. */
function mips({ name, code }: Loop): number {
  const { engine } = machine;
  machine.load(code);
  engine.run(SLICE); // decode, and let V8 compile
  const start = performance.now();
  const before = engine.retired;
  let now = start;
  do {
    if (engine.run(SLICE) !== EXIT.budget) throw new Error(`${name} left at ${engine.rip.toString(16)}`);
    now = performance.now();
  } while (now - start < ms);
  return (engine.retired - before) / (now - start) / 1000;
}

const chosen = LOOPS.filter(({ name }) => positionals.length === 0 || positionals.some((p) => name.includes(p)));
const samples = new Map<Loop, number[]>(chosen.map((loop) => [loop, []]));
mips(chosen[0] as Loop); // the run function tiers up
for (let run = 0; run < runs; run++) for (const loop of chosen) samples.get(loop)?.push(mips(loop));
const figures = chosen.map((loop) => median(samples.get(loop) as number[]));
const mean = Math.exp(figures.reduce((sum, x) => sum + Math.log(x), 0) / figures.length);
console.log(
  table(
    ['loop', 'MIPS'],
    [...chosen.map(({ name }, i) => [name, (figures[i] as number).toFixed(0)]), ['geometric mean', mean.toFixed(0)]],
  ),
);
