// What a hypercall's code is given. One object a vCPU; `caller` and `args` are those of the call being served.
import type { GuestCaller } from '../../vcpu/contract.ts';
import type { XenDomain } from '../domain.ts';
import type { XenVcpu } from '../vcpu.ts';
import type { ArgumentBuffer, HypercallArgs } from './hypercall-args.ts';

export interface HypercallHooks {
  /** HVMOP_flush_tlbs: drop the cached translations of all vCPUs. */
  readonly flushTlbs: () => void;
  /** CONSOLEIO_write: bytes for the host's log. Only called when the domain's configuration allows it. */
  readonly consoleWrite: (bytes: Uint8Array) => void;
}

export interface HypercallContext {
  readonly domain: XenDomain;
  readonly vcpu: XenVcpu;
  readonly args: HypercallArgs;
  readonly buffer: ArgumentBuffer;
  readonly hooks: HypercallHooks;
  caller: GuestCaller;
}

/**
 * Serves one hypercall. Returns the result, 0 or above, or a negated errno.
 * Never throws for what a guest may do.
 */
export type Hypercall = (context: HypercallContext) => number;
