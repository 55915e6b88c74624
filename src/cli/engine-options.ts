// Options that say how the guest's code is run.
import type { OptionRow } from './command-row.ts';

export const INTERPRET: OptionRow = { name: 'interpret', help: 'translate no code: slower, to tell where a fault comes from' };

export const CHECK_JIT: OptionRow = {
  name: 'check-jit',
  help: 'run all translated code on the interpreter too, and stop the guest where they differ: some ten times slower',
};

export const PROFILE: OptionRow = {
  name: 'profile',
  value: 'file',
  valueOptional: true,
  help: 'measure where the time goes and print it at the end; with a file, write a trace for Perfetto or chrome://tracing too',
};

export const SYSTEM_MAP: OptionRow = {
  name: 'system-map',
  value: 'file',
  help: "the kernel's System.map: names for the functions that --profile shows",
};
