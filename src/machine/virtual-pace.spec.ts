// The I/O side of a domain in virtual time: when it is settled, and in which order work ends.
import { afterEach, expect, it } from 'vitest';
import { STATE } from '../cpu/state.ts';
import type { MachinePlan } from './machine-plan.ts';
import { CLOCK } from './machine-plan.ts';
import { VirtualGuestClock } from './virtual-guest-clock.ts';
import { VirtualPace } from './virtual-pace.ts';

const CLOCK_AT = 0x1000;
/** The parts of a plan that time is made of. */
const PLAN = { clock: { at: CLOCK_AT, size: CLOCK.sizeof }, vcpus: [{ cpu: { at: 0, size: 0x1000 } }] } as unknown as MachinePlan;

let open: VirtualPace | undefined;
afterEach(() => open?.close());

function setUp() {
  const buffer = new SharedArrayBuffer(0x2000);
  const time = new VirtualGuestClock(buffer, PLAN);
  let kicks = 0;
  const pace = new VirtualPace(time, () => kicks++);
  open = pace;
  const retire = (count: number): void => {
    new DataView(buffer).setBigUint64(STATE.retired, BigInt(count), true);
  };
  return { time, pace, retire, kicks: () => kicks };
}

const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Whether a promise has settled by the time that the event loop has turned a few times. */
async function hasSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => {
    settled = true;
  });
  await later(5);
  return settled;
}

it('is a nanosecond for each instruction, and what was skipped', () => {
  const { time, retire } = setUp();
  expect(time.nowNs()).toBe(0);
  retire(0x1_2345_6789);
  expect(time.nowNs()).toBe(0x1_2345_6789);
  time.skipTo(0x1_2345_6789 + 999.5);
  expect(time.nowNs()).toBe(0x1_2345_6789 + 1000);
  time.skipTo(5);
  expect(time.nowNs()).toBe(0x1_2345_6789 + 1000);
});

it('is settled when nothing is under way', async () => {
  const { pace } = setUp();
  await pace.settled();
});

it('is settled only when work is done, and what came of it', async () => {
  const { pace } = setUp();
  const done: string[] = [];
  let finish = (): void => {};
  void pace
    .during(
      new Promise<void>((resolve) => {
        finish = resolve;
      }),
    )
    .then(async () => {
      for (let i = 0; i < 20; i++) await undefined;
      done.push('first');
      await pace.during(later(10));
      done.push('second');
    });
  const settled = pace.settled().then(() => done.push('settled'));
  expect(await hasSettled(settled)).toBe(false);
  finish();
  await settled;
  expect(done).toEqual(['first', 'second', 'settled']);
});

it('ends works in the order in which they began', async () => {
  const { pace } = setUp();
  const ended: number[] = [];
  const waits = [20, 0, 10, 5];
  for (const [i, ms] of waits.entries()) void pace.during(later(ms)).then(() => ended.push(i));
  await pace.settled();
  expect(ended).toEqual([0, 1, 2, 3]);
});

it('passes failures on, and goes on behind them', async () => {
  const { pace } = setUp();
  const failed = pace.during(Promise.reject(new Error('no disk')));
  const next = pace.during(Promise.resolve(5));
  await expect(failed).rejects.toThrow('no disk');
  expect(await next).toBe(5);
  await pace.settled();
});

it('does what was put off for a moment before it is settled', async () => {
  const { pace } = setUp();
  const ran: string[] = [];
  pace.after(0, () => {
    ran.push('one');
    pace.after(0, () => ran.push('two'));
  });
  pace.after(0, () => ran.push('never'))[Symbol.dispose]();
  await pace.settled();
  expect(ran).toEqual(['one', 'two']);
});

it('has what is put off wait for guest time, not for the host\u2019s', async () => {
  const { time, pace, retire, kicks } = setUp();
  let ran = 0;
  pace.after(2, () => ran++);
  expect(time.ioDeadlineNs).toBe(2e6);
  expect(kicks()).toBe(1);
  await later(10);
  await pace.settled();
  expect(ran).toBe(0);
  retire(1_999_999);
  await pace.settled();
  expect(ran).toBe(0);
  retire(2_000_000);
  await pace.settled();
  expect(ran).toBe(1);
  expect(time.ioDeadlineNs).toBe(Number.POSITIVE_INFINITY);
});

it('forgets what is not to happen any more', async () => {
  const { time, pace, retire } = setUp();
  let ran = 0;
  const [early, late] = [pace.after(1, () => ran++), pace.after(3, () => ran++)];
  early[Symbol.dispose]();
  expect(time.ioDeadlineNs).toBe(3e6);
  late[Symbol.dispose]();
  expect(time.ioDeadlineNs).toBe(Number.POSITIVE_INFINITY);
  retire(9e6);
  await pace.settled();
  expect(ran).toBe(0);
});

it('keeps nobody waiting once it is closed', async () => {
  const { pace } = setUp();
  void pace.during(new Promise(() => {}));
  const settled = pace.settled();
  expect(await hasSettled(settled)).toBe(false);
  pace.close();
  await settled;
});
