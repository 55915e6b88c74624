// A key of xl.cfg(5) as a row of data.

/**
 * - `strings`: a list of strings; `strings-or-string`, `strings-or-boolean`: one value is accepted too.
 * - `lists`: a list of lists of strings.
 * - `any`: not looked at.
 */
export type ConfigType =
  | 'string'
  | 'integer'
  | 'boolean'
  | 'strings'
  | 'strings-or-string'
  | 'strings-or-boolean'
  | 'boolean-or-string'
  | 'integers'
  | 'lists'
  | 'any';

export interface ConfigKey {
  readonly name: string;
  readonly type: ConfigType;
  readonly meaning: string;
  /**
   * - `yes`: taken into account.
   * - `ignored`: means something on a Xen host, and nothing here; that is no loss to the guest.
   * - `no`: not yet; a warning says so.
   */
  readonly support: 'yes' | 'ignored' | 'no';
  /** What it is when it is left out, as text. */
  readonly default?: string;
  /** The only strings there are. */
  readonly values?: readonly string[];
  /** Of an integer, both included. */
  readonly min?: number;
  readonly max?: number;
  /** What to write instead of a deprecated key. */
  readonly instead?: string;
}
