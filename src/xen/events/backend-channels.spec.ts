// Domain 0's end of event channels: whom an event wakes, and whom it does not.
import { describe, expect, it } from 'vitest';
import { TestGuest } from '../fixtures/test-guest.ts';
import type { BackendChannel } from './backend-channels.ts';

function setUp() {
  const g = new TestGuest();
  const bind = () => {
    const port = g.domain.events.allocUnbound(0);
    let heard = -1; // the bind itself is one
    const channel = g.channels.bind(port, () => heard++) as BackendChannel;
    return { channel, heard: () => heard, send: () => g.call('event_channel_op', 4, g.poke(0x2000, port)) };
  };
  /** How often the guest's thread woke the I/O thread. */
  const doorbells = (): number => {
    const { words, index } = g.channels.doorbell;
    return words[index] as number;
  };
  return { channels: g.channels, bind, doorbells };
}

describe('a channel that is held', () => {
  it('wakes nobody and hears nothing; those beside it do', () => {
    const { channels, bind, doorbells } = setUp();
    const [held, other] = [bind(), bind()];
    held.channel.hold();
    for (let i = 0; i < 3; i++) held.send();
    expect([doorbells(), channels.dispatch()]).toEqual([0, 0]);
    other.send();
    expect([doorbells(), channels.dispatch(), other.heard()]).toEqual([1, 1, 1]);
    held.send();
    expect([doorbells(), channels.dispatch(), held.heard()]).toEqual([1, 0, 0]);
  });

  it('hears events again after its release, and not those of before', () => {
    const { channels, bind, doorbells } = setUp();
    const { channel, heard, send } = bind();
    channel.hold();
    send();
    channel.release();
    expect([channels.dispatch(), heard()]).toEqual([0, 0]);
    send();
    expect([doorbells(), channels.dispatch(), heard()]).toEqual([1, 1, 1]);
  });

  it('leaves a port behind that its next owner hears', () => {
    const { channels, bind } = setUp();
    const first = bind();
    first.channel.hold();
    first.channel.close();
    first.channel.hold();
    const next = bind();
    expect(next.channel.port).toBe(first.channel.port);
    next.send();
    expect([channels.dispatch(), next.heard()]).toEqual([1, 1]);
  });
});
