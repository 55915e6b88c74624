// dom1/testing: guests in tests. Nothing here needs Vitest to be installed but `domainTest`, which is given its `test`.

export { type BootLinuxOptions, bootLinux, linuxConfig } from './boot-linux.ts';
export { type DomainFixtures, type DomainTestOptions, domainTest } from './domain-test.ts';
export { GuestCommandError, type GuestShell, guestShell } from './guest-shell.ts';
export { waitForNode } from './wait-for-node.ts';
