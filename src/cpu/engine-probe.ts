// What an engine tells somebody who measures it. Where nobody does, none of this is called and nothing is emitted for it.

/** Kinds of TypeScript that generated code calls. */
export type CallKind = 'memory' | 'code' | 'helper' | 'compute';

export interface EngineProbe {
  /** The function, measured: what is called in its place. */
  timed<A extends readonly unknown[], R>(kind: CallKind, name: string, call: (...args: A) => R): (...args: A) => R;
  /** The guest is at RIP, some thousand instructions after the last time; `translated`: it came there in translated code. */
  sample(translated: boolean): void;
  /** Delivers an exception or an interrupt: does the work. */
  delivering<R>(kind: string, vector: number, work: () => R): R;
  /** A region was made at this address. */
  translated(at: bigint, instructions: number, beganMs: number, ms: number): void;
  /** Address of a u64 that counts something that translated code does, such as leaving at some instruction. */
  counter(what: string): number;
}

/** What a function of the interpreter's imports is for, by its name. */
const KINDS: Readonly<Record<string, CallKind>> = {
  readMiss: 'memory',
  writeMiss: 'memory',
  commit: 'memory',
  segmentCheck: 'memory',
  plainRead: 'memory',
  plainWrite: 'memory',
  fetchMiss: 'code',
  decodeMiss: 'code',
  crossPage: 'code',
  ticks: 'compute',
};

/** Functions that generated code imports, measured where somebody wants that. */
export function measured<T extends object>(probe: EngineProbe | undefined, imports: T): T {
  if (probe === undefined) return imports;
  return Object.fromEntries(
    Object.entries(imports).map(([name, value]) => {
      const kind = KINDS[name];
      return [name, kind === undefined ? value : probe.timed(kind, name, value as (...args: unknown[]) => unknown)];
    }),
  ) as T;
}
