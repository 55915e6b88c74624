// Every command of the monitor.
import { CONSOLE_COMMANDS } from './commands/console-commands.ts';
import { DEVICE_COMMANDS } from './commands/device-commands.ts';
import { DISPLAY_COMMANDS } from './commands/display-commands.ts';
import { DOMAIN_COMMANDS } from './commands/domain-commands.ts';
import { MONITOR_COMMANDS } from './commands/monitor-commands.ts';
import { STATE_COMMANDS } from './commands/state-commands.ts';
import { STORE_COMMANDS } from './commands/store-commands.ts';
import { TOOLSTACK_COMMANDS } from './commands/toolstack-commands.ts';
import type { ControlCommand } from './control-command.ts';

export const CONTROL_COMMANDS: readonly ControlCommand[] = [
  ...MONITOR_COMMANDS,
  ...DOMAIN_COMMANDS,
  ...STATE_COMMANDS,
  ...STORE_COMMANDS,
  ...CONSOLE_COMMANDS,
  ...DISPLAY_COMMANDS,
  ...TOOLSTACK_COMMANDS,
  ...DEVICE_COMMANDS,
];
