// Exits a second: tsc -p bench && node bench/dist/bench/dispatch.js [--count n] [--runs n] [name…]
import { parseArgs } from 'node:util';
import { createDomain } from '../src/node/create-domain.ts';
import { dispatchGuest, EXITS } from './dispatch-guest.ts';
import { table } from './report.ts';
import { median } from './statistics.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { count: { type: 'string', default: '4000000' }, runs: { type: 'string', default: '3' } },
});
const [count, runs] = [Number(values.count), Number(values.runs)];

/** Nanoseconds an exit takes. */
async function cost(exit: Uint8Array): Promise<number> {
  const marks: number[] = [];
  await using domain = await createDomain({
    kernel: dispatchGuest(exit, count),
    memory: '8MiB',
  });
  domain.on('log', () => void marks.push(performance.now()));
  domain.run();
  await domain.ended;
  const [start, end] = marks;
  if (start === undefined || end === undefined) throw new Error('the guest did not log its marks');
  return ((end - start) * 1e6) / count;
}

const chosen = Object.entries(EXITS).filter(([name]) => positionals.length === 0 || positionals.includes(name));
const samples = new Map<string, number[]>(chosen.map(([name]) => [name, []]));
for (let run = 0; run < runs; run++) for (const [name, exit] of chosen) samples.get(name)?.push(await cost(exit));
console.log(
  table(
    ['exit', 'ns', 'exits/s'],
    chosen.map(([name]) => {
      const ns = median(samples.get(name) as number[]);
      return [name, ns.toFixed(0), `${(1000 / ns).toFixed(2)} M`];
    }),
  ),
);
