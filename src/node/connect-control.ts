// Finds a running domain by its name or its number, and connects to its monitor.
import { connect, type Socket } from 'node:net';
import { ControlClient } from './control-client.ts';
import { ControlConnectionError, nodeErrorCode } from './control-error.ts';
import { type DomainRecord, socketPath } from './domain-record.ts';
import { listDomains, type RegistryOptions } from './domain-registry.ts';
import { defaultRuntimeDirectory } from './runtime-directory.ts';

export interface ConnectOptions extends RegistryOptions {
  /** How long the domain may take to answer, in milliseconds; default 10 000. */
  readonly timeout?: number;
}

const DEFAULT_TIMEOUT = 10_000;

/**
 * Connects to the domain with this id (digits only) or this name, and waits for its greeting.
 * @throws ControlConnectionError
 */
export async function connectControl(nameOrId: string | number, options: ConnectOptions = {}): Promise<ControlClient> {
  const directory = options.directory ?? (await defaultRuntimeDirectory());
  return await connectRecord(await findDomain(String(nameOrId), directory), directory, options.timeout);
}

/** The bare connection: its greeting has not been read. @throws ControlConnectionError */
export async function openControl(nameOrId: string | number, options: RegistryOptions = {}): Promise<Socket> {
  const directory = options.directory ?? (await defaultRuntimeDirectory());
  const { id, name } = await findDomain(String(nameOrId), directory);
  return await open(socketPath(directory, id), name);
}

async function findDomain(wanted: string, directory: string): Promise<DomainRecord> {
  const domains = await listDomains({ directory });
  const record = domains.find(({ id, name }) => (/^\d+$/.test(wanted) ? id === Number(wanted) : name === wanted));
  if (record === undefined) throw noSuchDomain(wanted, domains);
  return record;
}

/** Connects to a domain that `listDomains` has found. @throws ControlConnectionError */
export async function connectRecord(record: DomainRecord, directory: string, timeout = DEFAULT_TIMEOUT): Promise<ControlClient> {
  const client = new ControlClient(await open(socketPath(directory, record.id), record.name), record.name);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(notAnswering(record, timeout)), timeout);
  });
  try {
    await Promise.race([client.greeting, late]);
    return client;
  } catch (error) {
    client[Symbol.dispose]();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function open(path: string, name: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const fail = (cause: Error): void => reject(cannotConnect(name, path, cause));
    socket.once('error', fail);
    socket.once('connect', () => {
      socket.off('error', fail);
      resolve(socket);
    });
  });
}

function cannotConnect(name: string, path: string, cause: Error): ControlConnectionError {
  const code = nodeErrorCode(cause);
  switch (code) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return new ControlConnectionError(
        'ended',
        `the domain ${name} is starting or has just ended: nobody answers for it`,
        'see `dom1 list`, or try again',
        { cause },
      );
    case 'EACCES':
    case 'EPERM':
      return new ControlConnectionError(
        'permission',
        `${path}: you may not connect to the domain ${name}`,
        'run dom1 as its user',
        {
          cause,
        },
      );
    default:
      return new ControlConnectionError(
        'ended',
        `${path}: cannot connect to the domain ${name} (${code ?? cause.message})`,
        'try again',
        {
          cause,
        },
      );
  }
}

const notAnswering = ({ name, pid }: DomainRecord, timeout: number): ControlConnectionError =>
  new ControlConnectionError(
    'timeout',
    `the domain ${name} does not answer within ${timeout / 1000} s`,
    `see whether its process ${pid} is stopped`,
  );

function noSuchDomain(wanted: string, domains: readonly DomainRecord[]): ControlConnectionError {
  const names = domains.map(({ name }) => name);
  const what = /^\d+$/.test(wanted) ? `no domain with the id ${wanted} runs` : `no domain named '${wanted}' runs`;
  const hint = names.length === 0 ? 'start one with `dom1 run <kernel> --name <name>`' : `running: ${shortList(names)}`;
  return new ControlConnectionError('no-such-domain', what, hint, { known: names });
}

const SHOWN = 8;
const shortList = (names: readonly string[]): string =>
  names.length <= SHOWN ? names.join(', ') : `${names.slice(0, SHOWN).join(', ')} and ${names.length - SHOWN} more`;
