// vCPU threads as Node workers.
import { Worker } from 'node:worker_threads';
import type { VcpuHost } from '../machine/domain-config.ts';

/**
 * MiB of the vCPU thread's heap for what is new. V8's own 48 are committed soon, by what translating leaves, and save no time that could be
 * measured.
 */
const YOUNG_MIB = 12;

export const nodeHost: VcpuHost = {
  start(data, onMessage, onFailure) {
    const worker = new Worker(new URL('./vcpu-worker.js', import.meta.url), {
      workerData: data,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MIB },
    });
    worker.on('message', onMessage);
    worker.on('error', onFailure);
    return {
      async end() {
        await worker.terminate();
      },
    };
  },
};
