// One probe for the tests of a `describe`.
import { afterAll, beforeAll } from 'vitest';
import type { Width } from './guest-code.ts';
import { Probe, type ProbeOptions } from './probe.ts';

export const WIDTHS = [64, 32] as const;

export interface Started {
  readonly probe: Probe;
}

/** Starts a guest before the tests and ends it after them. `prepare` runs in between, before the first. */
export function useProbe(width: Width, prepare?: (probe: Probe) => void, options?: ProbeOptions): Started {
  let started: Probe | undefined;
  beforeAll(async () => {
    started = await Probe.start(width, options);
    prepare?.(started);
  });
  afterAll(() => started?.[Symbol.asyncDispose]());
  return {
    get probe(): Probe {
      if (started === undefined) throw new Error('the guest has not started');
      return started;
    },
  };
}
