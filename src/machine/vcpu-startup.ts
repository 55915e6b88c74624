// How a vCPU other than the first begins to run: VCPUOP_initialise and VCPUOP_up, or INIT and STARTUP through the local APIC.
import { STATE } from '../cpu/state.ts';
import { applyVcpuContext } from '../xen/calls/apply-vcpu-context.ts';
import type { VcpuParts } from './vcpu-parts.ts';

const ACCESSED_CODE = 0x009b;
const REAL_MODE_LIMIT = 0xffff;

/**
 * Takes what the local APIC or another vCPU has for the start of this one. Cheap when there is nothing.
 * Returns whether the vCPU begins anew: a HLT of before is over.
 */
export function takeStartup(parts: VcpuParts): boolean {
  const { domain, engine, lapic, vcpu } = parts;
  if (lapic.takeInit() && domain.resetVcpu(vcpu.id)) {
    lapic.init();
    resetEngine(parts);
  }
  const vector = lapic.takeStartup();
  if (vector >= 0 && !vcpu.state.initialised) {
    engine.setSegment('cs', {
      selector: vector << 8,
      base: BigInt(vector << 12),
      limit: REAL_MODE_LIMIT,
      attributes: ACCESSED_CODE,
    });
    engine.rip = 0n;
    domain.bringUp(vcpu.id);
    return true;
  }
  const context = vcpu.state.takeInitialContext();
  if (context === undefined) return false;
  resetEngine(parts);
  // A combination of control registers that no processor takes ends the domain, as a failed VM entry does in Xen.
  if (!applyVcpuContext(engine, context)) domain.crash();
  return true;
}

/** Power-up state, but for the time stamp counter, which INIT leaves alone (SDM vol. 3A, table 10-1). */
function resetEngine({ engine }: VcpuParts): void {
  const { cpu } = engine;
  const [offset, adjust] = [cpu.get64(STATE.tscOffset), cpu.get64(STATE.tscAdjust)];
  engine.reset();
  cpu.set64(STATE.tscOffset, offset);
  cpu.set64(STATE.tscAdjust, adjust);
}
