// An option of `createDomain` that makes no sense.

/** An option of `createDomain` makes no sense. `message` is one line that names the option, what is wrong with it and the next step; `hint` is the next step alone. */
export class DomainConfigError extends Error {
  override readonly name = 'DomainConfigError';
  /** The option: "vcpus". */
  readonly key: string;
  readonly hint: string;

  constructor(key: string, problem: string, hint: string) {
    super(`${key}: ${problem}; ${hint}`);
    this.key = key;
    this.hint = hint;
  }
}
