// What the runtime directory says about one running domain: a file of JSON named after its id.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface DomainRecord {
  /** On this host, from 1. */
  readonly id: number;
  readonly name: string;
  readonly pid: number;
  /** Tells the process from a later one with the same pid; not on every system. */
  readonly processStart?: string;
  /** When the domain was registered: ISO 8601, UTC. */
  readonly started: string;
  /** Tells this registration from every other one. */
  readonly key: string;
}

/** Names are used in commands beside ids, so they are not numbers. */
const NAME = /^(?!\d+$)[A-Za-z0-9_.:+-]{1,64}$/;
export const isDomainName = (text: string): boolean => NAME.test(text) && !text.startsWith('-');

export const recordPath = (directory: string, id: number): string => join(directory, `${id}.json`);
export const socketPath = (directory: string, id: number): string => join(directory, `${id}.sock`);

/** The id in the name of a record's file, or undefined for another file. */
export function recordId(file: string): number | undefined {
  const [, digits] = /^([1-9]\d{0,4})\.json$/.exec(file) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** undefined when there is none, or what there is is no record. */
export async function readRecord(path: string): Promise<DomainRecord | undefined> {
  let value: unknown;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch {
    return undefined;
  }
  return isRecord(value) ? value : undefined;
}

function isRecord(value: unknown): value is DomainRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { id, name, pid, processStart, started, key } = value as Partial<Record<keyof DomainRecord, unknown>>;
  return (
    Number.isSafeInteger(id) &&
    typeof name === 'string' &&
    isDomainName(name) &&
    Number.isSafeInteger(pid) &&
    (pid as number) > 0 &&
    (processStart === undefined || typeof processStart === 'string') &&
    typeof started === 'string' &&
    typeof key === 'string'
  );
}
