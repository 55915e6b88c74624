// The worker that a vCPU runs in. What can be made without knowing the domain is made before that comes.
import { parentPort, workerData } from 'node:worker_threads';
import { prepareInterpreter } from '../cpu/interpreter/prepared.ts';
import type { VcpuRegions } from '../machine/machine-plan.ts';
import type { VcpuThreadData } from '../machine/vcpu-parts.ts';
import { runVcpu } from '../machine/vcpu-thread.ts';
import { allocateRegistersWell } from './register-allocation.ts';

const port = parentPort;
if (port === null) throw new Error('this file is started as a worker, by node-host');
allocateRegistersWell();
const { cpu, code } = workerData as VcpuRegions;
prepareInterpreter(cpu, code);
port.once('message', (data: VcpuThreadData) => runVcpu(data, (message) => port.postMessage(message)));
