// The commands on the XenStore of a domain, with the options of Xen's own tools.
import type { CommandRow } from './command-row.ts';
import { JSON_OPTION } from './control-rows.ts';

const ROW = { options: [], guestCommandLine: false, on: 'store' } as const;
const PATHS = "A path that does not begin with a slash is relative to the guest's own directory, /local/domain/<domid>.";
const ESCAPES = 'Bytes that are not printable are written \\t, \\n, \\r, \\xHH or in octal, and a backslash \\\\.';
const HEX = '; a value that is no text is "hex" instead.';
const RAW = { name: 'raw', short: 'R', help: 'take bytes as they are, without escapes' };

export const STORE_ROWS: readonly CommandRow[] = [
  {
    ...ROW,
    name: 'xenstore-ls',
    arguments: ['domain', '[path...]'],
    summary: 'show everything below a node of XenStore, or below the root',
    options: [
      { name: 'flat', short: 'f', help: 'a whole path on each line, and whole values' },
      { name: 'permissions', short: 'p', help: 'show permissions too' },
      JSON_OPTION,
    ],
    notes: [
      PATHS,
      'Without -f a value is cut where the line would be wider than the terminal, or than 80 columns.',
      ESCAPES,
      `--json prints a list of {"path", "value", "permissions"}${HEX}`,
    ],
  },
  {
    ...ROW,
    name: 'xenstore-read',
    arguments: ['domain', 'path...'],
    summary: 'print the values of nodes',
    options: [{ name: 'prefix', short: 'p', help: 'the path before each value' }, RAW, JSON_OPTION],
    notes: [PATHS, ESCAPES, `--json prints a list of {"path", "value"}${HEX}`],
  },
  {
    ...ROW,
    name: 'xenstore-write',
    arguments: ['domain', 'path', 'value', '[more...]'],
    summary: 'set the value of a node, and of more of them: path value path value',
    options: [RAW],
    notes: [PATHS, ESCAPES, 'Values that begin with a dash stand behind --.'],
  },
  {
    ...ROW,
    name: 'xenstore-list',
    arguments: ['domain', 'path...'],
    summary: 'list the children of nodes',
    options: [{ name: 'prefix', short: 'p', help: 'the path before each name' }, JSON_OPTION],
    notes: [PATHS, '--json prints a list of names.'],
  },
  {
    ...ROW,
    name: 'xenstore-rm',
    arguments: ['domain', 'path...'],
    summary: 'remove nodes and everything below them',
    options: [{ name: 'tidy', short: 't', help: 'remove parents that are left empty, too' }],
    notes: [PATHS],
  },
  {
    ...ROW,
    name: 'xenstore-exists',
    arguments: ['domain', 'path...'],
    summary: 'exit with 0 if all the nodes exist, with 1 if not',
    notes: [PATHS],
  },
  {
    ...ROW,
    name: 'xenstore-watch',
    arguments: ['domain', 'path...'],
    summary: 'print the path of each node that changes at or below these',
    options: [
      { name: 'number', short: 'n', value: 'count', help: 'end after so many events' },
      { name: 'json', help: 'print a line of JSON for each' },
    ],
    notes: [PATHS, 'Each watch tells once at once, as every XenStore watch does. --json prints {"path"}.'],
  },
  {
    ...ROW,
    name: 'xenstore-chmod',
    arguments: ['domain', 'path', 'permission...'],
    summary: 'set the permissions of a node',
    options: [
      { name: 'upto', short: 'u', help: 'of all its parents, too' },
      { name: 'recurse', short: 'r', help: 'of everything below it, too' },
    ],
    notes: [
      PATHS,
      'A permission is n (none), r (read), w (write) or b (both) and a domid. The first one names the owner, and what all domains may do that are not named.',
    ],
  },
];
