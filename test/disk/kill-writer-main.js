// Works on a disk until somebody kills it: image, sectors, seed, and the first step's number. Says which steps are flushed.
import { writeSync } from 'node:fs';
import { openDisk } from '../../dist/node/open-disk.js';
import { workOf } from './kill-work.js';

const [path, sectors, seed, first] = process.argv.slice(2);
const disk = await openDisk({ path, format: 'qcow2' });
const { store } = disk;
let flushing = Promise.resolve();
writeSync(1, 'open\n');
const steps = workOf(Number(seed), Number(sectors), 6000);
for (let i = 0; i < steps.length; i++) {
  const step = steps[i];
  const number = Number(first) + i;
  const [offset, length] = [step.at * 512, step.length * 512];
  if (step.do === 'write') await store.write(offset, new Uint8Array(new Uint32Array(length / 4).fill(number).buffer));
  else if (step.do === 'zero') await store.writeZeroes(offset, length);
  else if (step.do === 'discard') await store.discard(offset, length);
  else {
    // The next steps run while it flushes.
    await flushing;
    flushing = store.flush().then(() => void writeSync(1, `flushed ${i}\n`));
  }
}
// It is killed, not done.
setInterval(() => {}, 1000);
