import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { HostAddress } from '../../abi/types.ts';
import { GuestMemory, P2M_BYTES } from '../../memory/guest-memory.ts';
import { Mailbox } from './mailbox.ts';

function make(size = 1024) {
  const memory = new GuestMemory(new SharedArrayBuffer(P2M_BYTES + 0x1_0000), 0x1_0000 as HostAddress);
  const region = { at: 0x1000 as HostAddress, size };
  return [new Mailbox(memory, region), new Mailbox(memory, region)] as const;
}

it('carries messages in order, whole or not at all', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.boolean()), { maxLength: 60 }), (steps) => {
      const [writer, reader] = make();
      const sent: string[] = [];
      const got: string[] = [];
      for (const [i, [bytes, take]] of steps.entries()) {
        if (writer.post(i % 7, bytes)) sent.push(`${i % 7} ${bytes}`);
        if (take) reader.take((kind, taken) => got.push(`${kind} ${taken}`));
      }
      reader.take((kind, taken) => got.push(`${kind} ${taken}`));
      expect(got).toEqual(sent);
    }),
  );
});

it('refuses what does not fit', () => {
  const [writer, reader] = make();
  let posted = 0;
  while (writer.post(1, new Uint8Array(100))) posted++;
  expect(posted).toBe(4);
  reader.take(() => {});
  expect([writer.post(1, new Uint8Array(100)), writer.post(1, new Uint8Array(5000))]).toEqual([true, false]);
});
