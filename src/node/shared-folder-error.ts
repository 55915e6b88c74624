/** Why a folder cannot be shared. */
export type SharedFolderErrorCode = 'missing' | 'not-a-folder' | 'permission' | 'tag' | 'io';

/** `message` is one line that names the folder, the reason and the next step; `hint` is the next step alone. */
export class SharedFolderError extends Error {
  override readonly name = 'SharedFolderError';
  readonly code: SharedFolderErrorCode;
  readonly hint: string;

  /** @param problem the folder and what is wrong with it, without a full stop */
  constructor(code: SharedFolderErrorCode, problem: string, hint: string, options?: ErrorOptions) {
    super(`${problem}; ${hint}`, options);
    this.code = code;
    this.hint = hint;
  }
}
