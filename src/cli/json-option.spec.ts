// JSON everywhere: whatever prints something a program may want has --json, and says what it prints then.
import { expect, it } from 'vitest';
import { COMMANDS } from './commands.ts';

const PRINTS_NOTHING = 'it does something, and prints nothing';
/** Why there is no --json. */
const REASONS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      ...[
        'pause',
        'unpause',
        'resume',
        'reset',
        'shutdown',
        'reboot',
        'destroy',
        'trigger',
        'event-inject',
        'sysrq',
        'mem-max',
        'mem-set',
      ],
      ...['rename', 'cd-insert', 'cd-eject', 'sendkey', 'mouse', 'xenstore-write', 'xenstore-rm', 'xenstore-chmod'],
      ...['image create', 'image convert', 'image commit'],
    ].map((name) => [name, PRINTS_NOTHING]),
  ),
  demo: 'it is a console',
  run: 'it is a console',
  qemu: 'it is a console',
  console: 'it is a console',
  monitor: 'it speaks JSON and nothing else',
  'xenstore-exists': 'its answer is how it exits',
  screenshot: 'it writes a picture',
  completion: 'it prints a program for a shell',
  'man-page': 'it prints a page for man',
  help: 'it prints help for people',
};

it.each(COMMANDS.map((row) => [row.name, row] as const))('%s has --json, or a reason not to', (name, { options, notes }) => {
  const has = options.some((option) => option.name === 'json');
  expect(has, `${name}: give it --json, or a reason in this file`).toBe(REASONS[name] === undefined);
  // The manual page is made of the notes.
  if (has) expect(notes.join(' '), `${name}: say in a note what --json prints`).toMatch(/--json prints/);
});

it('there are no reasons for what there is not', () => {
  const names = COMMANDS.map(({ name }) => name);
  expect(Object.keys(REASONS).filter((name) => !names.includes(name))).toEqual([]);
});
