import type { LinuxErrno } from '../abi/linux-errno.ts';

/** A file tree does not do what it was asked, for a reason that a guest is told: a value of errno(3) as Linux numbers them. */
export class FileTreeError extends Error {
  override readonly name = 'FileTreeError';
  readonly errno: LinuxErrno;

  constructor(errno: LinuxErrno, problem: string, options?: ErrorOptions) {
    super(problem, options);
    this.errno = errno;
  }
}
