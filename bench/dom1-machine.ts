// Runs one guest until it ends: node dom1-machine.js <kernel> <initrd> <MiB> <command line> [devices]; without a kernel ('')
// the disks boot. The console goes to standard output, each piece of it after @@R, the instructions run so far, and @. Each message
// of the parent's is answered with the process's memory usage.
import { createDomain } from '../src/index.ts';
import type { MachineDevices } from './machine.ts';

const [kernel = '', initrd = '', mib = '', commandLine = '', devices = '{}'] = process.argv.slice(2);
const domain = await createDomain({
  ...(kernel !== '' && { kernel, initrd, commandLine }),
  memory: Number(mib) * 2 ** 20,
  ...(JSON.parse(devices) as Partial<MachineDevices>),
});
domain.console.onOutput((bytes) => {
  process.stdout.write(`@@R${domain.retired}@`);
  process.stdout.write(bytes);
});
process.on('message', () => process.send?.(process.memoryUsage()));
process.channel?.unref();
domain.run();
const end = await domain.ended;
if (end.reason !== 'poweroff') {
  console.error(`the guest ended with ${end.reason}\n${end.report ?? ''}`);
  process.exitCode = 1;
}
