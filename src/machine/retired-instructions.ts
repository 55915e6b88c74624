// How many instructions a domain's vCPUs have run, read while they run.
import { STATE } from '../cpu/state.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { MachinePlan } from './machine-plan.ts';

/** Of all vCPUs together, each as of the last time that it left the engine. */
export function retiredInstructions({ i32 }: GuestMemory, { vcpus }: MachinePlan): number {
  return vcpus.reduce((sum, { cpu }) => sum + load64(i32, (cpu.at + STATE.retired) >>> 2), 0);
}

/** Two words that another thread writes, low one first: the high one is the same before and after only if they belong together. */
function load64(i32: Int32Array, at: number): number {
  for (;;) {
    const high = Atomics.load(i32, at + 1);
    const low = Atomics.load(i32, at);
    if (Atomics.load(i32, at + 1) === high) return (high >>> 0) * 0x1_0000_0000 + (low >>> 0);
  }
}
