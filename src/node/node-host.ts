// vCPU threads as Node workers.
import { Worker } from 'node:worker_threads';
import type { VcpuHost } from '../machine/domain-config.ts';
import { planVcpus, type VcpuRegions } from '../machine/machine-plan.ts';
import { ArenaPlanner } from '../memory/arena.ts';

/**
 * MiB of the vCPU thread's heap for what is new. V8's own 48 are committed soon, by what translating leaves, and save no time that could be
 * measured.
 */
const YOUNG_MIB = 12;

const newWorker = (regions: VcpuRegions): Worker =>
  new Worker(new URL('./vcpu-worker.js', import.meta.url), {
    workerData: regions,
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
  });

/** Starts the threads of one domain, the boot vCPU's at once: it makes ready what it can while the domain is built. */
export class NodeHost implements VcpuHost, Disposable {
  #prepared: Worker | undefined;

  /** @param vcpus how many the domain will have */
  constructor(vcpus: number) {
    const [boot] = planVcpus(new ArenaPlanner(), vcpus).vcpus;
    if (boot === undefined) return;
    this.#prepared = newWorker(boot);
    // The process may end before the domain is run. What goes wrong now goes wrong again with the worker that is started then.
    this.#prepared.unref();
    this.#prepared.once('error', () => {
      this.#prepared = undefined;
    });
  }

  start: VcpuHost['start'] = (data, onMessage, onFailure) => {
    const prepared = data.vcpuId === 0 ? this.#prepared : undefined;
    if (prepared !== undefined) this.#prepared = undefined;
    const worker = prepared ?? newWorker(data.plan.vcpus[data.vcpuId] as VcpuRegions);
    worker.ref();
    worker.removeAllListeners('error');
    worker.on('message', onMessage);
    worker.on('error', onFailure);
    worker.postMessage(data);
    return {
      async end() {
        await worker.terminate();
      },
    };
  };

  /** Ends what was made ready and not used. */
  [Symbol.dispose](): void {
    void this.#prepared?.terminate();
    this.#prepared = undefined;
  }
}
