// Commands about the monitor itself.
import { controlCommand } from '../control-command.ts';

export const MONITOR_COMMANDS = [
  controlCommand({
    name: 'qmp_capabilities',
    help: 'nothing: clients of QEMU send it first',
    arguments: { enable: { type: 'strings', optional: true, help: 'ignored' } },
    run: () => {},
  }),
  controlCommand({
    name: 'query-version',
    help: 'the version of dom1',
    arguments: {},
    run: ({ version }) => ({ dom1: versionJson(version), package: version }),
  }),
  controlCommand({
    name: 'query-commands',
    help: 'every command with its arguments',
    arguments: {},
    run: ({ commands }) => commands.map(({ name, help, arguments: given }) => ({ name, help, arguments: given })),
  }),
];

/** Numbers of a version such as "0.1.0-rc.1". */
export function versionJson(version: string): { readonly major: number; readonly minor: number; readonly micro: number } {
  const [major = 0, minor = 0, micro = 0] = version.split(/[.+-]/, 3).map((part) => Number.parseInt(part, 10) || 0);
  return { major, minor, micro };
}
