import { expect, it } from 'vitest';
import { NETRXF, NETTXF } from '../../abi/xen/netif.ts';
import { ARP, arpFrame, parseArp } from '../../net/arp.ts';
import { put16 } from '../../net/big-endian.ts';
import { putChecksum } from '../../net/checksum.ts';
import { BROADCAST_MAC } from '../../net/mac-address.ts';
import { UserNetwork } from '../../net/user/user-network.ts';
import { VirtualClock } from '../../time/clock.ts';
import { BackendGuest, settle } from '../fixtures/backend-guest.ts';
import { NetFrontend } from '../fixtures/net-frontend.ts';
import { holds, MAC } from '../fixtures/net-setup.ts';
import { attachVif } from './attach-vif.ts';

const ME = Uint8Array.of(0x00, 0x16, 0x3e, 1, 2, 3);
const MY_IP = Uint8Array.of(10, 0, 2, 15);
const GATEWAY = Uint8Array.of(10, 0, 2, 2);

/** A DHCPDISCOVER, its checksum left to the backend. */
function discover(): Uint8Array {
  const bytes = new Uint8Array(14 + 20 + 8 + 244);
  bytes.set(BROADCAST_MAC);
  bytes.set(ME, 6);
  put16(bytes, 12, 0x800);
  bytes.set([0x45, 0], 14);
  put16(bytes, 16, bytes.length - 14);
  bytes.set([64, 17], 22);
  bytes.fill(255, 30, 34);
  putChecksum(bytes, 24, 14, 34);
  put16(bytes, 34, 68);
  put16(bytes, 36, 67);
  put16(bytes, 38, bytes.length - 34);
  bytes.set([1, 1, 6, 0, 9, 9, 9, 9], 42);
  bytes.set(ME, 42 + 28);
  bytes.set([99, 130, 83, 99, 53, 1, 1, 255], 42 + 236);
  return bytes;
}

it('connects a card to a user mode network: an address is offered, and the gateway answers for its own', async () => {
  const guest = new BackendGuest();
  const sockets = new Proxy({}, { get: () => () => undefined }) as never;
  const sink = new UserNetwork({ sockets, clock: new VirtualClock(), random: () => 1 });
  const { backend } = attachVif(guest.bus, { sink, mac: MAC });
  const front = new NetFrontend(guest);
  await front.connect();
  front.post(8);
  front.send({
    bytes: arpFrame(BROADCAST_MAC, {
      operation: ARP.request,
      senderMac: ME,
      senderIp: MY_IP,
      targetMac: new Uint8Array(6),
      targetIp: GATEWAY,
    }),
  });
  front.send({ bytes: discover(), flags: NETTXF.csum_blank | NETTXF.data_validated });
  await settle();
  const frames = front.received();
  const reply = frames.map(({ bytes }) => (bytes[13] === 6 ? parseArp(bytes) : undefined)).find((packet) => packet !== undefined);
  expect([reply?.operation, reply?.senderIp, reply?.targetMac]).toEqual([ARP.reply, GATEWAY, ME]);
  const offer = frames.find(({ bytes }) => bytes[12] === 8 && bytes[13] === 0 && bytes[37] === 68);
  expect(offer?.bytes.slice(42 + 16, 42 + 20)).toEqual(MY_IP);
  expect(offer !== undefined && ((offer.flags & NETRXF.csum_blank) !== 0 || holds(offer.bytes))).toBe(true);
  expect([backend.counters.txErrors, backend.counters.rxDropped]).toEqual([0, 0]);
  await front.disconnect();
  await sink.close();
});
