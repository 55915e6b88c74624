// What the commands on a guest's screen, keyboard and mouse do.
import { writeFile } from 'node:fs/promises';
import type { ControlClient } from '../node/control-client.ts';
import { type Invocation, optionValue, UsageError } from './arguments.ts';
import type { CommandIo } from './command-io.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { InputError } from './failure.ts';
import { numberArgument } from './number-argument.ts';
import { openDomain } from './open-domain.ts';

type Implementation = (invocation: Invocation, io: CommandIo) => Promise<number>;

const screenshot: Implementation = async ({ positionals: [name = '', file = ''] }, io) => {
  using client = await openDomain(name, io);
  const { data } = (await client.execute('screendump')) as { readonly data: string };
  const png = Buffer.from(data, 'base64');
  if (file === '-') io.out(png);
  else
    await writeFile(file, png).catch((error: unknown) => {
      throw new InputError(`the picture cannot be written: ${(error as Error).message}`, { cause: error });
    });
  return EXIT_CODE.ok;
};

const sendkey: Implementation = async (invocation, io) => {
  const [name = '', ...keys] = invocation.positionals;
  const { options } = invocation;
  const hold = optionValue(invocation, 'hold');
  const held = hold === undefined ? {} : { 'hold-time': numberArgument(hold, 'time in milliseconds', { max: 10_000 }) };
  using client = await openDomain(name, io);
  if (options.has('text')) await client.execute('send-text', { text: keys.join(' '), ...held });
  else await client.execute('send-key', { keys, ...held });
  if (options.has('enter')) await client.execute('send-key', { keys: ['ret'], ...held });
  return EXIT_CODE.ok;
};

const BUTTON_WORDS = ['left', 'middle', 'right', 'side', 'extra'];

/** What `send-pointer` is given for the words of the command line, one call after the other. */
function pointerCalls(action: string, values: readonly string[]): readonly Readonly<Record<string, unknown>>[] {
  const numbers = (...names: string[]) => {
    if (values.length !== names.length)
      throw new UsageError(
        `mouse ${action} takes ${names.length} numbers; write \`dom1 mouse <domain> ${action} <${names.join('> <')}>\``,
      );
    return [Object.fromEntries(names.map((name, i) => [name, signed(values[i] as string)]))];
  };
  const button = (...presses: boolean[]) => {
    const [which = 'left', more] = values;
    if (more !== undefined || !BUTTON_WORDS.includes(which))
      throw new UsageError(`'${more ?? which}' is no button of a mouse; use one of ${BUTTON_WORDS.join(', ')}`);
    return presses.map((pressed) => ({ button: which, pressed }));
  };
  switch (action) {
    case 'move':
      return numbers('x', 'y');
    case 'by':
      return numbers('dx', 'dy');
    case 'wheel':
      return numbers('wheel');
    case 'down':
      return button(true);
    case 'up':
      return button(false);
    case 'click':
      return button(true, false);
    default:
      throw new UsageError(`a mouse does not '${action}'; use move, by, wheel, down, up or click`);
  }
}

function signed(text: string): number {
  const value = /^-?\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if ((value | 0) !== value) throw new UsageError(`'${text}' is no number of pixels or steps; give an integer`);
  return value;
}

const mouse: Implementation = async ({ positionals: [name = '', action = '', ...values] }, io) => {
  const calls = pointerCalls(action, values);
  using client: ControlClient = await openDomain(name, io);
  for (const call of calls) await client.execute('send-pointer', call);
  return EXIT_CODE.ok;
};

export const DISPLAY_IMPLEMENTATIONS: Readonly<Record<string, Implementation>> = { screenshot, sendkey, mouse };
