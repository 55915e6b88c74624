// `dom1 explain`: what a name or a number of the platform means.
import { closest } from '../util/closest.ts';
import { type Invocation, UsageError } from './arguments.ts';
import { type CommandIo, printJson } from './command-io.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { explainPort } from './explain-port.ts';
import { numberText, TOPIC_KINDS, type Topic } from './explain-topics.ts';
import { wrap } from './help.ts';

const WIDTH = 100;
const INDENT = '  ';

export async function explainCommand({ positionals, options }: Invocation, io: CommandIo): Promise<number> {
  const port = /^(?:evtchn|port|event channel) (\d+) (?:of|in) (\S+)$/.exec(positionals.join(' '));
  const topics = port === null ? topicsOf(positionals) : [await explainPort(Number(port[1]), port[2] as string, io)];
  if (options.has('json')) printJson(io, topics);
  else io.out(`${topics.map(topicText).join('\n\n')}\n`);
  return EXIT_CODE.ok;
}

const topicText = (topic: Topic): string =>
  [
    `${topic.kind} ${topic.name}${numberText(topic)}`,
    ...topic.text.flatMap((text) => wrap(text, WIDTH - 2).map((line) => INDENT + line)),
  ].join('\n');

/** @throws UsageError, with what there is */
function topicsOf(words: readonly string[]): readonly Topic[] {
  const [first = '', ...rest] = words;
  const kind = TOPIC_KINDS[first.toLowerCase()];
  if (kind !== undefined) return rest.length === 0 ? kind.topics() : found(rest.join(' '), kind.topics(), first);
  const all = Object.values(TOPIC_KINDS).flatMap(({ topics }) => topics());
  return found(words.join(' '), all, undefined);
}

function found(wanted: string, topics: readonly Topic[], kind: string | undefined): readonly Topic[] {
  const number = /^(?:\d+|0x[0-9a-f]+)$/i.test(wanted) ? Number(wanted) : undefined;
  const matches = topics.filter(
    (topic) => (number !== undefined && topic.number === number) || namesOf(topic).includes(wanted.toLowerCase()),
  );
  if (matches.length > 0) return matches;
  const near = number === undefined ? closest(wanted.toLowerCase(), topics.flatMap(namesOf)) : undefined;
  const kinds = Object.entries(TOPIC_KINDS).map(([name, { what }]) => `${name} (${what})`);
  const hint =
    near !== undefined
      ? `did you mean ${near}?`
      : kind === undefined
        ? `there are ${kinds.join(', ')}, and evtchn <port> of <domain>`
        : `\`dom1 explain ${kind}\` lists what there is`;
  throw new UsageError(`nothing is known of ${kind === undefined ? '' : `${kind} `}'${wanted}'; ${hint}`);
}

const namesOf = ({ name, aliases = [] }: Topic): readonly string[] => [name, ...aliases].map((text) => text.toLowerCase());
