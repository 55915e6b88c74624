// A request of the monitor's protocol, out of a line.
import { ControlError } from './control-error.ts';

/** Comes back in the reply. */
export type RequestId = string | number | boolean | null;

export interface ControlRequest {
  readonly execute: string;
  /** Not checked yet. */
  readonly arguments: unknown;
  /** undefined when there was none. */
  readonly id: RequestId | undefined;
}

const KEYS: readonly string[] = ['execute', 'arguments', 'id'];

/** A line that is no request; `id` is the request's all the same, if it had one. */
export class BadRequest extends ControlError {
  readonly id: RequestId | undefined;
  constructor(message: string, id?: RequestId) {
    super('BadRequest', message);
    this.id = id;
  }
}

/** @throws BadRequest */
export function parseRequest(line: string): ControlRequest {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new BadRequest(`a request is one line of JSON: ${oneLine((error as Error).message)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new BadRequest('a request is an object, such as {"execute": "query-status"}');
  const fields = new Map(Object.entries(value));
  const id = fields.get('id') as unknown;
  if (id !== undefined && typeof id === 'object' && id !== null)
    throw new BadRequest('the id of a request is a string, a number, a boolean or null');
  const known = id as RequestId | undefined;
  const extra = [...fields.keys()].find((key) => !KEYS.includes(key));
  if (extra !== undefined)
    throw new BadRequest(`a request has execute, arguments and id, but not ${JSON.stringify(extra.slice(0, 100))}`, known);
  const execute = fields.get('execute') as unknown;
  if (typeof execute !== 'string') throw new BadRequest('a request names its command: {"execute": "query-status"}', known);
  return { execute, arguments: fields.get('arguments'), id: known };
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').slice(0, 200);
