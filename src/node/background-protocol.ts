// What `dom1 create` and the process that runs its domain say to each other until the domain runs.
import type { DomainSpec } from '../control/xl-config/domain-spec.ts';
import type { BuildProgress } from '../machine/domain-config.ts';

/** That a domain is measured. Paths are absolute. */
export interface ProfileOrder {
  /** File of the trace. */
  readonly file?: string;
  /** The kernel's System.map. */
  readonly systemMap?: string;
}

/** The first and only message to the background process. */
export interface BackgroundOrder {
  /** Its paths are absolute. */
  readonly spec: DomainSpec;
  readonly paused: boolean;
  /** Whether the console is at a pty too. */
  readonly pty: boolean;
  readonly trace: readonly string[];
  readonly checkJit: boolean;
  readonly profile?: ProfileOrder;
  /** Where domains are found. */
  readonly directory: string;
  /** Files: what happens, and what the guest prints. */
  readonly log: string;
  readonly consoleLog: string;
}

export interface BackgroundDomain {
  readonly id: number;
  readonly name: string;
  readonly uuid: string;
  readonly domid: number;
  readonly pid: number;
  /** The pty that the console is at, if it is. */
  readonly tty?: string;
}

/** From the background process. Nothing comes after `running` or `failed`. */
export type BackgroundMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'progress'; readonly progress: BuildProgress }
  | { readonly type: 'failed'; readonly line: string; readonly code: number }
  | { readonly type: 'running'; readonly domain: BackgroundDomain };
