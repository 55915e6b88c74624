// dom1 as a library, on Node.
export { ImageError, type ImageErrorCode } from './image/image-error.ts';
export { type Domain, DomainStateError } from './machine/domain.ts';
export type { BuildOptions, BuildProgress, DomainEnd, DomainState } from './machine/domain-config.ts';
export { type CommandOptions, type CommandResult, ConsoleError, type GuestConsole } from './machine/guest-console.ts';
export { MachineError, type MachineErrorCode } from './machine/pvh/machine-error.ts';
export type { TraceLine } from './machine/trace-batch.ts';
export { TracepointError, tracepointNames } from './machine/tracepoints.ts';
export { type CreateDomainConfig, createDomain, DEFAULT_MEMORY } from './node/create-domain.ts';
export { GuestFileError } from './node/guest-file.ts';
