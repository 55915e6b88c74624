// Frames whose content or place changed under a vCPU's feet: on another thread. Each vCPU has a short list; it drops what it
// knows of them before it runs on. A list that overflows stands for all frames.
import type { Gfn } from '../abi/types.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import { SpinLock } from '../xen/spin-lock.ts';
import { kickVcpu } from './kick.ts';
import { CONTROL, FLUSH, FRAME_LIST, type MachinePlan } from './machine-plan.ts';

export class FrameChanges {
  readonly #memory: GuestMemory;
  readonly #plan: MachinePlan;

  constructor(memory: GuestMemory, plan: MachinePlan) {
    this.#memory = memory;
    this.#plan = plan;
  }

  /** Tells all vCPUs but `except` of a changed frame. What they are told later, by an event, they see with the new content. */
  tell(gfn: Gfn, except = -1): void {
    const { i32 } = this.#memory;
    for (let id = 0; id < this.#plan.vcpus.length; id++) {
      if (id === except) continue;
      const list = this.#list(id);
      const lock = new SpinLock(i32, list + FRAME_LIST.lock);
      lock.acquire();
      const count = i32[(list + FRAME_LIST.count) >>> 2] as number;
      if (count < FRAME_LIST.limit) i32[(list + FRAME_LIST.frames) / 4 + count] = gfn;
      if (count <= FRAME_LIST.limit) i32[(list + FRAME_LIST.count) >>> 2] = count + 1;
      lock.release();
      Atomics.or(i32, this.#flush(id), FLUSH.frames);
      kickVcpu(this.#memory, this.#plan, id);
    }
  }

  /** A vCPU's own thread: calls `changed` for each frame of its list, or `all` when there were too many. */
  take(vcpuId: number, changed: (gfn: Gfn) => void, all: () => void): void {
    const { i32 } = this.#memory;
    const list = this.#list(vcpuId);
    const lock = new SpinLock(i32, list + FRAME_LIST.lock);
    lock.acquire();
    const count = i32[(list + FRAME_LIST.count) >>> 2] as number;
    const first = (list + FRAME_LIST.frames) / 4;
    const frames = i32.slice(first, first + Math.min(count, FRAME_LIST.limit));
    i32[(list + FRAME_LIST.count) >>> 2] = 0;
    lock.release();
    if (count > FRAME_LIST.limit) all();
    else for (const gfn of frames) changed(gfn as Gfn);
  }

  #list(id: number): number {
    return this.#plan.frameLists.at + id * FRAME_LIST.sizeof;
  }

  #flush(id: number): number {
    return ((this.#plan.control.at + CONTROL.flush) >>> 2) + id;
  }
}
