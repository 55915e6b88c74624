// The worker that a vCPU runs in.
import { parentPort, workerData } from 'node:worker_threads';
import type { VcpuThreadData } from '../machine/vcpu-parts.ts';
import { runVcpu } from '../machine/vcpu-thread.ts';
import { allocateRegistersWell } from './register-allocation.ts';

const port = parentPort;
if (port === null) throw new Error('this file is started as a worker, by node-host');
allocateRegistersWell();
runVcpu(workerData as VcpuThreadData, (message) => port.postMessage(message));
