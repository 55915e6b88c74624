// vCPU threads as Node workers.
import { Worker } from 'node:worker_threads';
import type { VcpuHost } from '../machine/domain-config.ts';

export const nodeHost: VcpuHost = {
  start(data, onMessage, onFailure) {
    const worker = new Worker(new URL('./vcpu-worker.js', import.meta.url), { workerData: data });
    worker.on('message', onMessage);
    worker.on('error', onFailure);
    return {
      async end() {
        await worker.terminate();
      },
    };
  },
};
