// Files that a guest is made of: its kernel and its initrd.
import { open, readFile, stat } from 'node:fs/promises';
import { DISK_SIGNATURE_BYTES, isDiskImage } from '../image/disk-signature.ts';

/** A file cannot be read. `message` is one line that names the file, the reason and the next step; `hint` is the next step alone. */
export class GuestFileError extends Error {
  override readonly name = 'GuestFileError';
  readonly code: 'missing' | 'not-a-file' | 'unreadable' | 'empty';
  readonly hint: string;

  constructor(code: GuestFileError['code'], problem: string, hint: string, options?: ErrorOptions) {
    super(`${problem}; ${hint}`, options);
    this.code = code;
    this.hint = hint;
  }
}

/** @param role what the file is for: "kernel" or "initrd" @throws GuestFileError */
export async function readGuestFile(path: string, role: string, signal?: AbortSignal): Promise<Uint8Array> {
  const fail = (code: GuestFileError['code'], reason: string, hint: string, cause?: unknown): GuestFileError =>
    new GuestFileError(code, `${path}: ${reason}`, hint, cause === undefined ? undefined : { cause });
  try {
    const status = await stat(path);
    if (status.isDirectory()) throw fail('not-a-file', `the ${role} is a directory`, `give the path of the ${role} file in it`);
    if (!status.isFile() && !status.isFIFO())
      throw fail('not-a-file', `the ${role} is no regular file`, `give the path of a ${role} file`);
    const bytes = await readFile(path, signal === undefined ? {} : { signal });
    if (bytes.length === 0) throw fail('empty', `the ${role} is empty`, 'fetch or copy the file again');
    return bytes;
  } catch (cause) {
    if (cause instanceof GuestFileError || signal?.aborted === true) throw cause;
    switch ((cause as NodeJS.ErrnoException).code) {
      case 'ENOENT':
      case 'ENOTDIR':
        throw fail('missing', `there is no such ${role} file`, 'check the path', cause);
      case 'EACCES':
      case 'EPERM':
        throw fail('unreadable', `the ${role} may not be read`, 'check its permissions', cause);
      default:
        throw fail(
          'unreadable',
          `the ${role} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`,
          'check the file',
          cause,
        );
    }
  }
}

/** Whether a file is a disk image. False for what cannot be read: whoever opens it says why. */
export async function isDiskFile(path: string): Promise<boolean> {
  try {
    await using file = await open(path);
    const { bytesRead, buffer } = await file.read(new Uint8Array(DISK_SIGNATURE_BYTES), 0, DISK_SIGNATURE_BYTES, 0);
    return isDiskImage(buffer.subarray(0, bytesRead));
  } catch {
    return false;
  }
}
