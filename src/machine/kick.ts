// Getting a vCPU's attention from any thread.
import { REQUEST, STATE } from '../cpu/state.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import { CONTROL, FLUSH, type MachinePlan } from './machine-plan.ts';

/** Makes vCPU `id` leave the guest, or wake from its sleep, and look at its state again. */
export function kickVcpu(memory: GuestMemory, plan: MachinePlan, id: number, why: number = REQUEST.kick): void {
  const regions = plan.vcpus[id];
  if (regions === undefined) return;
  const word = (regions.cpu.at + STATE.request) >>> 2;
  Atomics.or(memory.i32, word, why);
  Atomics.notify(memory.i32, word);
}

export function kickAll(memory: GuestMemory, plan: MachinePlan): void {
  for (let id = 0; id < plan.vcpus.length; id++) kickVcpu(memory, plan, id);
}

/** Asks every vCPU thread to end. */
export function stopVcpus(memory: GuestMemory, plan: MachinePlan): void {
  Atomics.store(memory.i32, (plan.control.at + CONTROL.stop) >>> 2, 1);
  kickAll(memory, plan);
}

/** Has all vCPUs but `except` drop their cached translations; each does so when it next leaves the guest, soon. */
export function flushTlbs(memory: GuestMemory, plan: MachinePlan, except = -1): void {
  for (let id = 0; id < plan.vcpus.length; id++) {
    if (id === except) continue;
    Atomics.or(memory.i32, ((plan.control.at + CONTROL.flush) >>> 2) + id, FLUSH.tlb);
    kickVcpu(memory, plan, id);
  }
}
