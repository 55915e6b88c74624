// What a command on a running domain reads and writes; specs have their own.
import type { Readable } from 'node:stream';

export interface CommandIo {
  /** To stdout. */
  readonly out: (data: string | Uint8Array) => void;
  readonly input: Readable;
  /** Width of the terminal that stdout is; undefined when it is none. */
  readonly columns: number | undefined;
  /** Where domains are found; undefined for the usual place. */
  readonly directory?: string;
}

export const standardIo = (): CommandIo => ({
  out: (data) => void process.stdout.write(data),
  input: process.stdin,
  columns: process.stdout.isTTY === true ? process.stdout.columns : undefined,
});

/** JSON for people and programs alike. */
export const printJson = (io: CommandIo, value: unknown): void => io.out(`${JSON.stringify(value, undefined, 2)}\n`);
