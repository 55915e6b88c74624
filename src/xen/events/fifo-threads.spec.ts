// FIFO queues with several threads that raise events while the guest takes them off.
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { rolldown } from 'rolldown';
import { expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { PAGE_SIZE } from '../../abi/types.ts';
import { EVTCHNOP } from '../../abi/xen/event-channel.ts';
import { FifoConsumer } from '../fixtures/fifo-consumer.ts';
import type { RaiserJob } from '../fixtures/fifo-raiser.ts';
import { TestGuest } from '../fixtures/test-guest.ts';

const ARG = 0x2000;
const PORTS = 1000;
const THREADS = 3;

/** The worker's source as one script. */
async function raiserScript(): Promise<string> {
  const bundle = await rolldown({
    input: fileURLToPath(new URL('../fixtures/fifo-raiser.ts', import.meta.url)),
    platform: 'node',
  });
  const { output } = await bundle.generate({ format: 'cjs' });
  return output[0].code;
}

it('loses no event that three threads raise, and finds no port on two queues', async () => {
  const g = new TestGuest();
  const { memory } = g;
  const op = (cmd: number, ...words: number[]) => g.call('event_channel_op', cmd, g.poke(ARG, ...words));
  const host = (gfn: number) => memory.host((gfn * PAGE_SIZE) as Gpa);
  op(EVTCHNOP.init_control, 0x18, 0, 0, 0, 0, 0);
  op(EVTCHNOP.expand_array, 0x19, 0);
  for (let i = 0; i < PORTS; i++) op(EVTCHNOP.bind_ipi, 0, 0);
  const countsAt = host(0x1a);
  const startAt = host(0x1b);
  const script = await raiserScript();
  const workers = Array.from({ length: THREADS }, (_, i) => {
    const workerData: RaiserJob = {
      buffer: memory.buffer,
      p2mAt: PAGE_SIZE,
      region: g.region,
      ports: PORTS,
      rounds: 200,
      seed: 12345 + i,
      countsAt,
      startAt,
    };
    return new Worker(script, { eval: true, workerData });
  });
  const message = (worker: Worker, wanted: string) =>
    new Promise<void>((resolve, reject) => {
      worker.once('error', reject);
      worker.on('message', (text) => text === wanted && resolve());
    });
  await Promise.all(workers.map((worker) => message(worker, 'ready')));
  let running = THREADS;
  const ends = workers.map((worker) => message(worker, 'done').then(() => running--));
  const consumer = new FifoConsumer(memory.i32, host(0x18), [host(0x19)]);
  const upcallAt = g.domain.vcpus[0]?.infoAt ?? 0;
  let taken = 0;
  const outstanding = countsAt >>> 2;
  const take = (port: number) => {
    // Several raises may have become one event; an event without a raise is a mistake.
    if (Atomics.exchange(memory.i32, outstanding + port, 0) > 0) taken++;
  };
  Atomics.store(memory.i32, startAt >>> 2, 1);
  Atomics.notify(memory.i32, startAt >>> 2);
  // As Linux: only when told, and upcall_pending is cleared before the queues are looked at.
  while (running > 0) {
    if (Atomics.exchange(memory.u8, upcallAt, 0) !== 0) consumer.consume(take);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(ends);
  if (Atomics.exchange(memory.u8, upcallAt, 0) !== 0) consumer.consume(take);
  await Promise.all(workers.map((worker) => worker.terminate()));
  const lost = Array.from({ length: PORTS }, (_, i) => i + 1).filter(
    (port) => Atomics.load(memory.i32, outstanding + port) !== 0,
  );
  expect(lost).toEqual([]);
  expect(taken).toBeGreaterThan(PORTS);
  expect(consumer.ready).toBe(0);
  for (let port = 1; port <= PORTS; port++) expect(consumer.word(port)).toBe(0);
});
