// From an event to the vCPU that is to look: evtchn_upcall_pending, the request for an upcall, and the end of a wait.
import { VCPU_INFO } from '../../abi/xen/shared-info.ts';
import type { XenDomain } from '../domain.ts';
import { POLL_ANY, VCPU_WAIT } from '../domain-layout.ts';
import type { VcpuState } from '../vcpu-state.ts';

export class UpcallDelivery {
  readonly #domain: XenDomain;

  constructor(domain: XenDomain) {
    this.#domain = domain;
  }

  /** Sets a vCPU's evtchn_upcall_pending and, if it was clear, has the vCPU raise its upcall. */
  markEventsPending(vcpu: VcpuState): void {
    const { memory } = this.#domain;
    if (Atomics.or(memory.u8, vcpu.infoAt + VCPU_INFO.evtchn_upcall_pending, 1) & 1) return;
    this.requestUpcall(vcpu);
  }

  /** Has a vCPU raise its upcall, whatever its flags say. */
  requestUpcall(vcpu: VcpuState): void {
    vcpu.requestUpcall();
    this.wake(vcpu);
  }

  /** Ends a SCHEDOP_block or SCHEDOP_poll and has the vCPU look. */
  wake(vcpu: VcpuState): void {
    vcpu.clearWait(VCPU_WAIT.blocked);
    this.#domain.kick(vcpu.id);
  }

  /** Wakes the vCPUs that poll for a port that has become pending, masked or not. */
  wakePollers(port: number): void {
    for (const vcpu of this.#domain.vcpus) {
      const polled = vcpu.pollPort;
      if (polled === port || polled === POLL_ANY) this.wake(vcpu);
    }
  }
}
