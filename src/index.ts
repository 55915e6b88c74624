// dom1 as a library, on Node.

export type { MonitorTarget } from './control/monitor-target.ts';
export { ImageError, type ImageErrorCode } from './image/image-error.ts';
export { type Domain, DomainStateError } from './machine/domain.ts';
export type { BuildOptions, BuildProgress, DomainEnd, DomainState } from './machine/domain-config.ts';
export { type CommandOptions, type CommandResult, ConsoleError, type GuestConsole } from './machine/guest-console.ts';
export { MachineError, type MachineErrorCode } from './machine/pvh/machine-error.ts';
export type { TraceLine } from './machine/trace-batch.ts';
export { TracepointError, tracepointNames } from './machine/tracepoints.ts';
export { connectControl } from './node/connect-control.ts';

export { type ControlClient, ControlCommandError } from './node/control-client.ts';
export { ControlConnectionError } from './node/control-error.ts';
export { type CreateDomainConfig, createDomain, DEFAULT_MEMORY } from './node/create-domain.ts';
export { claimDomain, listDomains } from './node/domain-registry.ts';
export { GuestFileError } from './node/guest-file.ts';
export { type ServedControl, serveControl } from './node/serve-control.ts';
