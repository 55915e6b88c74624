// dom1 as a library, on Node.
import { buildDomain, type Domain, type DomainConfig } from './machine/domain.ts';
import { nodeHost } from './node/node-host.ts';

/** Builds a domain from a kernel and its configuration; `run()` starts it. @throws ImageError, MachineError. */
export const createDomain = (config: DomainConfig): Promise<Domain> => buildDomain(config, nodeHost);

export { ImageError } from './image/image-error.ts';
export { type Domain, type DomainConfig, type DomainEnd, type DomainState } from './machine/domain.ts';
export { type CommandResult, ConsoleError, type GuestConsole } from './machine/guest-console.ts';
export { MachineError } from './machine/pvh/machine-error.ts';
