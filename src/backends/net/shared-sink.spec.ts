// The emulated and the PV card of one vif: who has the cable.
import { expect, it } from 'vitest';
import { type FrameReceiver, NO_OFFLOADS, plainFrame } from '../../io/frame-sink.ts';
import { TestSink } from '../fixtures/test-sink.ts';
import { SharedSink } from './shared-sink.ts';

const card = (): FrameReceiver => ({ offloads: NO_OFFLOADS, receive: () => true, writable: () => {}, linkChanged: () => {} });
const frame = plainFrame(new Uint8Array(60));

it('gives the cable to the PV card while it is there, and back to the emulated one', () => {
  const sink = new TestSink();
  const { emulated, pv } = new SharedSink(sink);
  const [first, second] = [card(), card()];
  emulated.attach(first);
  expect(sink.receiver).toBe(first);
  expect(emulated.send(frame)).toBe(true);
  expect(sink.sent).toHaveLength(1);
  pv.attach(second);
  expect(sink.receiver).toBe(second);
  // What an emulated card sends then is lost, as on a cable that is pulled out.
  expect(emulated.send(frame)).toBe(true);
  expect(sink.sent).toHaveLength(1);
  emulated.attach(undefined);
  expect(sink.receiver).toBe(second);
  emulated.attach(first);
  pv.attach(undefined);
  expect(sink.receiver).toBe(first);
});
