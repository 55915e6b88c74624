// What is wrong with a machine that was asked for: its memory does not hold what has to go into it.

/** Why a machine cannot be built. */
export type MachineErrorCode =
  | 'memory-size'
  | 'memory-too-small'
  | 'memory-too-large'
  | 'memory-unaligned'
  | 'kernel-does-not-fit'
  | 'kernel-entry-outside'
  | 'initrd-too-large'
  | 'command-line-too-long'
  | 'bios-size'
  | 'no-bios'
  | 'no-kernel'
  | 'too-many-vcpus'
  | 'virtual-clock-vcpus';

/**
 * A domain cannot be built. `message` is one line that names the thing, the reason and the next step; `hint` is the
 * next step alone.
 */
export class MachineError extends Error {
  override readonly name = 'MachineError';
  readonly code: MachineErrorCode;
  readonly hint: string;

  /** @param problem the thing and what is wrong with it, without a full stop */
  constructor(code: MachineErrorCode, problem: string, hint: string) {
    super(`${problem}; ${hint}`);
    this.code = code;
    this.hint = hint;
  }
}
