/** Why a backend does not serve a frontend. A value, not an exception: the frontend is the guest's, and may say anything. */
export class Refusal {
  /** Of `abi/xen/errno.ts`, positive. */
  readonly errno: number;
  /** For people: a clause without a full stop, such as "reading …/ring-ref". */
  readonly reason: string;

  constructor(errno: number, reason: string) {
    this.errno = errno;
    this.reason = reason;
  }
}
