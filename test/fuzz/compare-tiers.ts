// One random program on the interpreter, and several times translated, each time driven another way.
import { Random } from '../native/random.ts';
import { type Drive, type Outcome, TierMachine } from './tier-machine.ts';
import { randomProgram, type TierProgram } from './tier-program.ts';

/** How often a program is run translated; regions of one run are there from the start in the next. */
const RUNS = 3;

export interface Tally {
  programs: number;
  instructions: number;
  /** Programs by how they ended. */
  readonly ended: Map<string, number>;
}
export const newTally = (): Tally => ({ programs: 0, instructions: 0, ended: new Map() });

export class TierFuzz {
  readonly interpreter = new TierMachine(false);
  readonly translator: TierMachine;
  readonly tally = newTally();

  /** `lockstep`: the translator's regions are also run on its own interpreter, each by itself. */
  constructor(lockstep = false) {
    this.translator = new TierMachine(true, lockstep);
  }

  /** What differs for a seed, in words; undefined if nothing does. `scenes`: see randomProgram. */
  findProblem(seed: number, scenes = true): string | undefined {
    const random = new Random(seed);
    const program = randomProgram(random, scenes);
    const start = random.u32();
    const expected = this.interpreter.run(program, start);
    const { tally } = this;
    tally.programs++;
    tally.instructions += Number(expected.state.retired);
    tally.ended.set(expected.ended, (tally.ended.get(expected.ended) ?? 0) + 1);
    // Where it is cut off depends on the tier.
    if (expected.ended === 'endless') return undefined;
    for (let nth = 0; nth < RUNS; nth++) {
      const drive: Drive = {
        random,
        budget: random.pick([3, 20, 200, 60_000]),
        requests: random.oneIn(2),
        interrupts: random.oneIn(2),
        translateOneIn: random.pick([1, 1, 3, 10]),
        againOneIn: scenes ? random.pick([2, 10, 50]) : 1,
        looks: scenes ? random.pick([1, 16, 48]) : 1,
      };
      const found = this.translator.run(program, start, drive);
      const problem = difference(expected, found);
      if (problem !== undefined) return `run ${nth} (budget ${drive.budget}): ${problem}\n${describe(program)}`;
    }
    return undefined;
  }
}

function difference(expected: Outcome, found: Outcome): string | undefined {
  for (let i = 0; i < Math.max(expected.log.length, found.log.length); i++)
    if (expected.log[i] !== found.log[i])
      return `stop ${i} of ${expected.log.length} differs:\n  interpreted ${expected.log[i]}\n  translated  ${found.log[i]}\n  before      ${expected.log[i - 1]}`;
  if (expected.ended !== found.ended) return `ended by ${found.ended}, not ${expected.ended}`;
  const lines = Object.entries(expected.state).flatMap(([name, value]) =>
    found.state[name] === value ? [] : [`  ${name}: interpreted ${value}, translated ${found.state[name]}`],
  );
  return lines.length === 0 ? undefined : `the end (${expected.ended}) differs:\n${lines.join('\n')}`;
}

const describe = ({ bits, user, entry, fuel, heads }: TierProgram): string =>
  `${bits}-bit ${user ? 'user' : 'supervisor'} code from ${entry.toString(16)}, fuel ${fuel}, loops at ${heads.map((at) => at.toString(16)).join(' ')}`;
