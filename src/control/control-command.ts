// A command of the monitor: a row of its table.
import type { ArgumentSpecs, ArgumentsOf } from './argument-spec.ts';
import type { SessionConsoles } from './console/session-consoles.ts';
import type { MonitorHost } from './monitor-host.ts';
import type { MonitorTarget } from './monitor-target.ts';
import type { SessionWatches } from './session-watches.ts';

/** What a handler works on. */
export interface CommandContext {
  readonly target: MonitorTarget;
  readonly host: MonitorHost;
  /** The guest's consoles on the connection that asks. */
  readonly consoles: SessionConsoles;
  /** dom1's version, such as "0.1.0". */
  readonly version: string;
  /** XenStore watches of the connection that asks. */
  readonly watches: SessionWatches;
  /** Every command there is. */
  readonly commands: readonly ControlCommand[];
}

export interface ControlCommand {
  readonly name: string;
  readonly help: string;
  readonly arguments: ArgumentSpecs;
  /** The arguments have been checked. Whatever it throws becomes an error reply; nothing becomes {}. */
  readonly run: (context: CommandContext, given: Readonly<Record<string, unknown>>) => unknown;
}

/** A row whose handler is given its arguments with their types. */
export function controlCommand<const T extends ArgumentSpecs>(row: {
  readonly name: string;
  readonly help: string;
  readonly arguments: T;
  readonly run: (context: CommandContext, given: ArgumentsOf<T>) => unknown;
}): ControlCommand {
  // checkArguments has made sure of what the type says.
  return { ...row, run: (context, given) => row.run(context, given as ArgumentsOf<T>) };
}
