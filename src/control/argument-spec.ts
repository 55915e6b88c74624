// The arguments of the monitor's commands: what they may be, as data that checks requests, types handlers and is shown to
// clients by query-commands.
import { ControlError } from './control-error.ts';

export interface ArgumentSpec {
  readonly type: 'string' | 'integer' | 'boolean' | 'strings';
  readonly help: string;
  readonly optional?: true;
  /** Of an integer, both included. */
  readonly min?: number;
  readonly max?: number;
  /** The only strings there are. */
  readonly values?: readonly string[];
}

export type ArgumentSpecs = Readonly<Record<string, ArgumentSpec>>;

interface ArgumentTypes {
  readonly string: string;
  readonly integer: number;
  readonly boolean: boolean;
  readonly strings: readonly string[];
}
type ValueOf<S extends ArgumentSpec> = S extends { values: readonly (infer V)[] } ? V : ArgumentTypes[S['type']];
/** What a handler is given for arguments so described. */
export type ArgumentsOf<T extends ArgumentSpecs> = {
  readonly [K in keyof T as T[K]['optional'] extends true ? never : K]: ValueOf<T[K]>;
} & { readonly [K in keyof T as T[K]['optional'] extends true ? K : never]?: ValueOf<T[K]> };

/** Checks arguments as they came. @throws ControlError `InvalidArgument`, which names what was wanted */
export function checkArguments(command: string, specs: ArgumentSpecs, given: unknown): Readonly<Record<string, unknown>> {
  if (given !== undefined && (typeof given !== 'object' || given === null || Array.isArray(given)))
    throw new ControlError('InvalidArgument', `the arguments of ${command} must be an object`);
  const values = new Map(Object.entries((given ?? {}) as Record<string, unknown>));
  for (const name of values.keys()) {
    if (!Object.hasOwn(specs, name)) {
      const names = Object.keys(specs);
      const known = names.length === 0 ? 'none' : names.join(', ');
      throw new ControlError(
        'InvalidArgument',
        `${command} has no argument ${JSON.stringify(name.slice(0, 100))}; it takes ${known}`,
      );
    }
  }
  for (const [name, spec] of Object.entries(specs)) {
    const value = values.get(name);
    if (value === undefined ? spec.optional !== true : !fits(spec, value))
      throw new ControlError('InvalidArgument', `${command} needs ${name}: ${describe(spec)}`);
  }
  return Object.fromEntries(values);
}

function fits(spec: ArgumentSpec, value: unknown): boolean {
  switch (spec.type) {
    case 'string':
      return typeof value === 'string' && (spec.values === undefined || spec.values.includes(value));
    case 'boolean':
      return typeof value === 'boolean';
    case 'strings':
      return Array.isArray(value) && value.every((one) => typeof one === 'string');
    case 'integer':
      return Number.isSafeInteger(value) && (value as number) >= least(spec) && (value as number) <= most(spec);
  }
}

const least = (spec: ArgumentSpec): number => spec.min ?? Number.MIN_SAFE_INTEGER;
const most = (spec: ArgumentSpec): number => spec.max ?? Number.MAX_SAFE_INTEGER;

function describe(spec: ArgumentSpec): string {
  switch (spec.type) {
    case 'string':
      return spec.values === undefined ? 'a string' : `one of ${spec.values.join(', ')}`;
    case 'boolean':
      return 'true or false';
    case 'strings':
      return 'a list of strings';
    case 'integer':
      return `an integer from ${least(spec)} to ${most(spec)}`;
  }
}
