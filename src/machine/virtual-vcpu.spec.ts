// A vCPU in virtual time stops where the I/O side has told it to, and not where it happens to be.
import { expect, it } from 'vitest';
import { REQUEST, STATE } from '../cpu/state.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import { CLOCK, CONTROL, type MachinePlan } from './machine-plan.ts';
import type { VcpuMessage } from './vcpu-parts.ts';
import { VirtualVcpu } from './virtual-vcpu.ts';

const PLAN = {
  control: { at: 0x2000, size: CONTROL.sizeof },
  clock: { at: 0x1000, size: CLOCK.sizeof },
  vcpus: [{ cpu: { at: 0, size: 0x1000 } }],
} as unknown as MachinePlan;
const PAUSE = (0x2000 + CONTROL.pause) >>> 2;

/** @param onSettle the I/O side, which answers before the vCPU sleeps */
function make(onSettle: (i32: Int32Array, answer: () => void) => void) {
  const buffer = new SharedArrayBuffer(0x3000);
  const i32 = new Int32Array(buffer);
  const vcpu = new VirtualVcpu({ buffer, i32 } as GuestMemory, PLAN, (message: VcpuMessage) => {
    if (message.type !== 'settle') return;
    onSettle(i32, () => {
      i32[(0x2000 + CONTROL.settled) >>> 2] = message.ticket;
      Atomics.or(i32, STATE.request >>> 2, REQUEST.settled);
    });
  });
  return { vcpu, i32 };
}

it('goes on once the I/O side has settled', () => {
  const { vcpu } = make((_, answer) => answer());
  expect([vcpu.owes, vcpu.settle(), vcpu.owes]).toEqual([true, true, false]);
});

it('parks when it was held before that, though it sees both at once', () => {
  const { vcpu, i32 } = make((words, answer) => {
    words[PAUSE] = 1;
    answer();
  });
  expect([vcpu.settle(), vcpu.owes]).toEqual([false, false]);
  i32[PAUSE] = 0;
  vcpu.owe();
  expect(vcpu.owes).toBe(true);
});

it('parks when it is held and the I/O side has not settled, and owes it still', () => {
  const { vcpu } = make((words) => {
    words[PAUSE] = 1;
  });
  expect([vcpu.settle(), vcpu.owes]).toEqual([false, true]);
});
