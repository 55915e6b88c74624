// The domains that run on this host under this user: who has which id and which name. There is no server; the file system
// decides who was first.
import { randomBytes } from 'node:crypto';
import { unlinkSync } from 'node:fs';
import { link, readdir, rename, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ControlConnectionError, nodeErrorCode } from './control-error.ts';
import { type DomainRecord, isDomainName, readRecord, recordId, recordPath, socketPath } from './domain-record.ts';
import { processAlive, processStart } from './process-alive.ts';
import { checkRuntimeDirectory, defaultRuntimeDirectory, openRuntimeDirectory, requireUnixSockets } from './runtime-directory.ts';

export interface RegistryOptions {
  /** Default: $XDG_RUNTIME_DIR/dom1, or dom1-<uid> in the directory for temporary files. */
  readonly directory?: string;
}

/** Highest number a domain can have: DOMID_FIRST_RESERVED - 1. */
const MAX_ID = 0x7fef;
/** Longest pause before a name is tried again that two want at the same moment, in milliseconds. */
const MAX_PAUSE = 30;

/** An id and a name that nobody else has while this lasts. */
export class DomainClaim implements AsyncDisposable {
  readonly directory: string;
  #record: DomainRecord;
  readonly #onExit: () => void;

  constructor(directory: string, record: DomainRecord) {
    this.directory = directory;
    this.#record = record;
    // The last chance of a process that ends without disposing.
    this.#onExit = () => {
      for (const path of [socketPath(directory, record.id), recordPath(directory, record.id)]) {
        try {
          unlinkSync(path);
        } catch {
          // It is gone already.
        }
      }
    };
    process.once('exit', this.#onExit);
  }

  get record(): DomainRecord {
    return this.#record;
  }

  /** Takes another name. @throws ControlConnectionError when it is no name, or somebody else has it */
  async rename(name: string): Promise<void> {
    checkDomainName(name);
    const before = this.#record;
    if (name === before.name) return;
    const other = async (): Promise<DomainRecord | undefined> =>
      (await runningIn(this.directory)).find((one) => one.name === name && one.key !== before.key);
    const taken = await other();
    if (taken !== undefined) throw nameTaken(taken);
    await this.#write({ ...before, name });
    // As with a claim: whoever sees another of its name gives way.
    const twin = await other();
    if (twin === undefined) return;
    await this.#write(before);
    throw nameTaken(twin);
  }

  async #write(record: DomainRecord): Promise<void> {
    const temporary = join(this.directory, `.new-${process.pid}-${randomBytes(8).toString('hex')}`);
    await writeFile(temporary, `${JSON.stringify(record)}\n`, { mode: 0o600 });
    await rename(temporary, recordPath(this.directory, record.id));
    this.#record = record;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#onExit);
    await removeIfThere(socketPath(this.directory, this.record.id));
    await removeIfThere(recordPath(this.directory, this.record.id));
  }
}

/**
 * Claims the lowest id that is free, and the name; without a name it is guest-<id>.
 * @throws ControlConnectionError
 */
export async function claimDomain(options: RegistryOptions & { readonly name?: string } = {}): Promise<DomainClaim> {
  requireUnixSockets();
  const { name } = options;
  if (name !== undefined) checkDomainName(name);
  const directory = options.directory ?? (await defaultRuntimeDirectory());
  await openRuntimeDirectory(directory);
  const start = await processStart(process.pid);
  for (;;) {
    const running = await runningIn(directory);
    const taken = running.find((other) => other.name === name);
    if (taken !== undefined) throw nameTaken(taken);
    const key = randomBytes(8).toString('hex');
    const defaultName = (id: number): string =>
      running.some((other) => other.name === `guest-${id}`) ? `guest-${id}-${key}` : `guest-${id}`;
    const record = await createRecord(directory, (id) => ({
      id,
      name: name ?? defaultName(id),
      pid: process.pid,
      ...(start !== undefined && { processStart: start }),
      started: new Date().toISOString(),
      key,
    }));
    // Somebody may have taken the name since: whoever sees another of its name gives way, so at most one of them stays.
    const twin = (await runningIn(directory)).find((other) => other.name === record.name && other.key !== record.key);
    if (twin === undefined) return new DomainClaim(directory, record);
    await removeIfThere(recordPath(directory, record.id));
    await sleep(Math.random() * MAX_PAUSE);
  }
}

/** The domains that run, by id. Records whose process is gone are cleaned away. @throws ControlConnectionError */
export async function listDomains(options: RegistryOptions = {}): Promise<DomainRecord[]> {
  requireUnixSockets();
  const directory = options.directory ?? (await defaultRuntimeDirectory());
  return (await checkRuntimeDirectory(directory)) ? await runningIn(directory) : [];
}

/** @throws ControlConnectionError 'bad-name' */
export function checkDomainName(name: string): void {
  if (isDomainName(name)) return;
  throw new ControlConnectionError(
    'bad-name',
    `'${name}' is no name for a domain`,
    'use up to 64 letters, digits and _.:+-, not only digits, not a dash first',
  );
}

const nameTaken = ({ name, id, pid }: DomainRecord): ControlConnectionError =>
  new ControlConnectionError(
    'name-taken',
    `a domain named ${name} runs already (id ${id}, process ${pid})`,
    'give this one another name',
  );

/** Writes the record under the lowest id that is free: a link is made whole or not at all. */
async function createRecord(directory: string, make: (id: number) => DomainRecord): Promise<DomainRecord> {
  const temporary = join(directory, `.new-${process.pid}-${randomBytes(8).toString('hex')}`);
  try {
    for (let id = 1; id <= MAX_ID; id++) {
      const record = make(id);
      await writeFile(temporary, `${JSON.stringify(record)}\n`, { mode: 0o600 });
      try {
        await link(temporary, recordPath(directory, id));
        return record;
      } catch (error) {
        if (nodeErrorCode(error) !== 'EEXIST') throw error;
      }
    }
  } finally {
    await removeIfThere(temporary);
  }
  throw new ControlConnectionError('busy', `all ${MAX_ID} domain ids are in use`, 'end a domain first');
}

async function runningIn(directory: string): Promise<DomainRecord[]> {
  const running: DomainRecord[] = [];
  for (const file of await readdir(directory)) {
    const id = recordId(file);
    if (id === undefined) continue;
    const record = await readRecord(recordPath(directory, id));
    if (record !== undefined && record.id === id && (await processAlive(record.pid, record.processStart))) running.push(record);
    else await removeStale(directory, id, record);
  }
  return running.sort((a, b) => a.id - b.id);
}

/** Takes a dead record away, unless a living one has come in its place meanwhile. */
async function removeStale(directory: string, id: number, seen: DomainRecord | undefined): Promise<void> {
  const path = recordPath(directory, id);
  // Before the record: as long as that is there, nobody else has the id.
  if (seen !== undefined && (await readRecord(path))?.key === seen.key) await removeIfThere(socketPath(directory, id));
  const aside = join(directory, `.old-${process.pid}-${randomBytes(8).toString('hex')}`);
  try {
    await rename(path, aside);
  } catch (error) {
    if (nodeErrorCode(error) === 'ENOENT') return; // somebody else was faster
    throw error;
  }
  const moved = await readRecord(aside);
  if (moved !== undefined && moved.key !== seen?.key) await link(aside, path).catch(() => {});
  await removeIfThere(aside);
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (nodeErrorCode(error) !== 'ENOENT') throw error;
  }
}
