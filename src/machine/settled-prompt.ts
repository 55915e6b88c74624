// Waiting until a console shows a prompt and nothing more.
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
  unless?: RegExp,
): Promise<PromptKind | undefined> {
  return boundedWait<PromptKind | undefined>(
    limits,
    (timeout) => new ConsoleError('timeout', `the guest did not show ${what} within ${timeout} ms; ${text.whatIsSeen}`),
    (settle) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const look = (): void => {
        clearTimeout(timer);
        const output = text.since(from);
        if (unless?.test(output)) settle.resolve(undefined);
        const kind = promptAtEnd(output);
        if (kind === undefined || !kinds.includes(kind)) return;
        timer = setTimeout(() => settle.resolve(kind), PROMPT_SETTLES);
      };
      const listening = text.onText(look);
      look();
      const closing = text.onClose(() => settle.reject(new ConsoleError('closed', `${text.closed} before it showed ${what}`)));
      return () => {
        clearTimeout(timer);
        listening[Symbol.dispose]();
        closing[Symbol.dispose]();
      };
    },
  );
}
