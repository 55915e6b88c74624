// The 2-level ABI with threads that raise events while the guest binds, closes, moves, masks and unmasks ports.
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { rolldown } from 'rolldown';
import { expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { PAGE_SIZE } from '../../abi/types.ts';
import { DOMID_SELF } from '../../abi/xen/domid.ts';
import { EVTCHNOP } from '../../abi/xen/event-channel.ts';
import { SHARED_INFO, VCPU_INFO } from '../../abi/xen/shared-info.ts';
import type { RaiserJob } from '../fixtures/fifo-raiser.ts';
import { TestGuest } from '../fixtures/test-guest.ts';

const ARG = 0x2000;
const PORTS = 900;
const THREADS = 2;

it('loses no event of a port that is moved or unmasked meanwhile, nor to one that is closed and bound beside it', async () => {
  const g = new TestGuest({ vcpus: 2 });
  const { memory, domain } = g;
  const { i32, u8 } = memory;
  const op = (cmd: number, ...words: number[]) => g.call('event_channel_op', cmd, g.poke(ARG, ...words));
  // Unbound ports may move between vCPUs; that nobody is at the other end does not matter to what raises them here.
  for (let i = 0; i < PORTS; i++) expect(op(EVTCHNOP.alloc_unbound, (DOMID_SELF << 16) | DOMID_SELF, 0)).toBe(0);

  const bundle = await rolldown({
    input: fileURLToPath(new URL('../fixtures/fifo-raiser.ts', import.meta.url)),
    platform: 'node',
  });
  const { output } = await bundle.generate({ format: 'cjs' });
  const countsAt = memory.host((0x1a * PAGE_SIZE) as Gpa);
  const startAt = memory.host((0x1b * PAGE_SIZE) as Gpa);
  const shared = { buffer: memory.buffer, p2mAt: PAGE_SIZE, region: g.region, countsAt, startAt };
  const workers = Array.from({ length: THREADS }, (_, i) => {
    const workerData: RaiserJob = { ...shared, ports: PORTS, rounds: 300, seed: 4711 + i };
    return new Worker(output[0].code, { eval: true, workerData });
  });
  const message = (worker: Worker, wanted: string) =>
    new Promise<void>((resolve, reject) => {
      worker.once('error', reject);
      worker.on('message', (text) => text === wanted && resolve());
    });
  await Promise.all(workers.map((worker) => message(worker, 'ready')));
  let running = THREADS;
  const ends = workers.map((worker) => message(worker, 'done').then(() => running--));

  const outstanding = countsAt >>> 2;
  let taken = 0;
  let own = 0;
  const take = (port: number) => {
    if (port > PORTS) own++;
    else if (Atomics.exchange(i32, outstanding + port, 0) > 0) taken++;
  };
  const pendingAt = (domain.sharedInfoAt + SHARED_INFO.evtchn_pending) >>> 2;
  const maskAt = (domain.sharedInfoAt + SHARED_INFO.evtchn_mask.wide) >>> 2;
  /** As a guest does: only when told, from the flag to the selector to the bits. */
  const consume = () => {
    for (const { infoAt } of domain.vcpus) {
      if (Atomics.exchange(u8, infoAt + VCPU_INFO.evtchn_upcall_pending, 0) === 0) continue;
      for (const half of [0, 1]) {
        const selected = Atomics.exchange(i32, ((infoAt + VCPU_INFO.evtchn_pending_sel.wide) >>> 2) + half, 0);
        for (let bit = 0; bit < 32; bit++) {
          if ((selected & (1 << bit)) === 0) continue;
          for (const word of [(half * 32 + bit) * 2, (half * 32 + bit) * 2 + 1]) {
            const events = Atomics.load(i32, pendingAt + word) & ~Atomics.load(i32, maskAt + word);
            Atomics.and(i32, pendingAt + word, ~events);
            for (let n = 0; n < 32; n++) if (events & (1 << n)) take(word * 32 + n);
          }
        }
      }
    }
  };
  let random = 1;
  const next = (n: number) => {
    random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
    return Math.floor((random / 2 ** 32) * n);
  };
  let bound = 0;
  const churn = () => {
    const port = 1 + next(PORTS);
    expect(op(EVTCHNOP.bind_vcpu, port, next(2))).toBe(0);
    Atomics.or(i32, maskAt + (port >>> 5), 1 << (port & 31));
    expect(op(EVTCHNOP.bind_ipi, next(2), 0)).toBe(0);
    const other = g.peek(ARG + 4);
    expect(other).toBeGreaterThan(PORTS);
    expect(op(EVTCHNOP.send, other)).toBe(0);
    consume();
    bound++;
    expect(op(EVTCHNOP.close, other)).toBe(0);
    expect(op(EVTCHNOP.unmask, port)).toBe(0);
  };
  Atomics.store(i32, startAt >>> 2, 1);
  Atomics.notify(i32, startAt >>> 2);
  while (running > 0) {
    for (let i = 0; i < 20; i++) churn();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(ends);
  consume();
  await Promise.all(workers.map((worker) => worker.terminate()));
  const lost = Array.from({ length: PORTS }, (_, i) => i + 1).filter((port) => Atomics.load(i32, outstanding + port) !== 0);
  expect(lost).toEqual([]);
  expect(own).toBe(bound);
  expect(taken).toBeGreaterThan(PORTS);
  expect(domain.events.isPending(0)).toBe(false);
});
