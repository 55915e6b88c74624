import type { XsdError } from '../../abi/xen/xenstore.ts';

/** The store refused something that the monitor itself asked for. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: XsdError;
  readonly path: string;

  constructor(code: XsdError, operation: string, path: string) {
    super(`${operation} ${path}: ${code}`);
    this.code = code;
    this.path = path;
  }
}
