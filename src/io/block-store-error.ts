// Why a store cannot do what it was asked.

export type BlockStoreErrorCode =
  /** There is no such file, image or snapshot. */
  | 'missing'
  /** It is no file, no block device, or in no format that can be opened. */
  | 'not-a-disk'
  | 'permission'
  /** Somebody else has it open for writing. */
  | 'in-use'
  | 'read-only'
  /** An offset, a length or a size that the disk does not have. */
  | 'out-of-range'
  | 'no-space'
  /** The host could not read or write. */
  | 'io'
  | 'network'
  /** What lies on the server is not what it was. */
  | 'changed'
  | 'unsupported'
  | 'closed';

/** A disk does not do what it was asked. `message` is one line that names the thing, the reason and the next step; `hint` is the next step alone. */
export class BlockStoreError extends Error {
  override readonly name = 'BlockStoreError';
  readonly code: BlockStoreErrorCode;
  readonly hint: string;

  /** @param problem the thing and what is wrong with it, without a full stop */
  constructor(code: BlockStoreErrorCode, problem: string, hint: string, options?: ErrorOptions) {
    super(`${problem}; ${hint}`, options);
    this.code = code;
    this.hint = hint;
  }
}

export const isReadOnly = (what: string): BlockStoreError =>
  new BlockStoreError('read-only', `${what} is read-only`, 'open it for writing, or put an overlay over it');

/** Checks that a range lies on the disk. @throws BlockStoreError 'out-of-range' */
export function checkRange(what: string, sizeBytes: number, offset: number, length: number): void {
  if (offset >= 0 && length >= 0 && Number.isSafeInteger(offset) && offset + length <= sizeBytes) return;
  throw new BlockStoreError(
    'out-of-range',
    `${what} has ${sizeBytes} bytes, and not ${length} more at offset ${offset}`,
    'resize the disk, or check the partition table',
  );
}
