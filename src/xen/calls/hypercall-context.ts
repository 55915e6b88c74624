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
  /** Serves the call that `args` holds; for multicall. */
  readonly dispatch: (nr: number) => number;
  /** A multicall is being served: there is no other within. */
  inMulticall: boolean;
}

/**
 * The result of a call that is not over: `args` says what is left. The machine writes them back to the caller's registers and
 * leaves RIP at the instruction, so that the vCPU makes the call again once it may run (Xen's hypercall_create_continuation).
 */
export const CONTINUE = -0x1_0000_0000;

/**
 * Serves one hypercall. Returns the result, 0 or above, a negated errno, or CONTINUE.
 * Never throws for what a guest may do.
 */
export type Hypercall = (context: HypercallContext) => number;
