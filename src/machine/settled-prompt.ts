// Waiting until a console shows a prompt and nothing more.
import type { IoPace } from '../io/io-pace.ts';
import { boundedWait, type WaitLimits } from '../util/bounded-wait.ts';
import { ConsoleError } from './console-error.ts';
import { type PromptKind, promptAtEnd } from './console-prompt.ts';
import type { ConsoleText } from './console-text.ts';

/** How long nothing may follow a prompt for it to be one, in milliseconds: output comes in pieces. */
const PROMPT_SETTLES = 60;

/**
 * The first of these prompts that stays at the end of the output since `from`; undefined when `unless` comes before.
 * @param what what it is called in a message: "a login prompt"
 * @throws ConsoleError 'timeout' or 'closed', the signal's reason
 */
export function settledPrompt(
  text: ConsoleText,
  kinds: readonly PromptKind[],
  from: number,
  limits: WaitLimits,
  what: string,
  pace: IoPace,
  unless?: RegExp,
): Promise<PromptKind | undefined> {
  return boundedWait<PromptKind | undefined>(
    limits,
    (timeout) => new ConsoleError('timeout', `the guest did not show ${what} within ${timeout} ms; ${text.whatIsSeen}`),
    (settle) => {
      let timer: Disposable | undefined;
      const look = (): void => {
        timer?.[Symbol.dispose]();
        const output = text.since(from);
        if (unless?.test(output)) settle.resolve(undefined);
        const kind = promptAtEnd(output);
        if (kind === undefined || !kinds.includes(kind)) return;
        timer = pace.after(PROMPT_SETTLES, () => settle.resolve(kind));
      };
      const listening = text.onText(look);
      look();
      const closing = text.onClose(() => settle.reject(new ConsoleError('closed', `${text.closed} before it showed ${what}`)));
      return () => {
        timer?.[Symbol.dispose]();
        listening[Symbol.dispose]();
        closing[Symbol.dispose]();
      };
    },
  );
}
