// Bytes of each protocol, written out from the documents.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ARP, arpFrame, parseArp } from './arp.ts';
import { addSum, checksumHolds, complement, putChecksum } from './checksum.ts';
import { serverFailure } from './dns-message.ts';
import { formatIp, inPrefix, parseIp } from './ip-address.ts';
import { IP_PROTOCOL } from './ip-packet.ts';
import { parseIpv4Packet, writeIpv4 } from './ipv4.ts';
import { parseIpv6Packet, writeIpv6, writeIpv6Fragment } from './ipv6.ts';
import { formatMac, parseMac } from './mac-address.ts';
import { multicastMac, neighbourAdvertisement, parseNeighbour, routerAdvertisement, solicitedNode } from './ndp.ts';
import { parseTcp, TCP_FLAG, writeTcp } from './tcp/segment.ts';
import { parseUdp, writeUdp } from './udp.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const bytes = (text: string) => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const ip = (text: string) => parseIp(text)!;
const mac = parseMac('52:55:0a:00:02:02')!;

describe('the Internet checksum', () => {
  it('of the example in RFC 1071, section 3', () => {
    expect(complement(addSum(bytes('0001 f203 f4f5 f6f7'), 0, 8))).toBe(~0xddf2 & 0xffff);
  });

  it('is the one that a plain loop finds, at any offset and length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), (data, from) => {
        let sum = 0;
        for (let i = from; i < data.length; i += 2) {
          sum += (data[i]! << 8) | (data[i + 1] ?? 0);
          sum = (sum & 0xffff) + (sum >> 16);
        }
        expect(complement(addSum(data, Math.min(from, data.length), data.length))).toBe(~sum & 0xffff);
      }),
    );
  });

  it('holds once filled in, and does not with one bit changed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 4, maxLength: 100 }), fc.nat(799), (data, bit) => {
        putChecksum(data, 2, 0, data.length);
        expect(checksumHolds(data, 0, data.length)).toBe(true);
        data[(bit >> 3) % data.length]! ^= 1 << (bit & 7);
        expect(checksumHolds(data, 0, data.length)).toBe(false);
      }),
    );
  });
});

describe('addresses', () => {
  it('of IPv6 are written as RFC 5952, section 4, says', () => {
    for (const [text, canonical] of [
      ['2001:0DB8:0:0:0:0:0:1', '2001:db8::1'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
      ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['::', '::'],
      ['::ffff:192.0.2.1', '::ffff:c000:201'],
      ['fe80::', 'fe80::'],
    ]) {
      expect(formatIp(ip(text!))).toBe(canonical);
    }
  });

  it('survive being written and read', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.uint8Array({ minLength: 16, maxLength: 16 })),
        (address) => {
          expect(parseIp(formatIp(address))).toEqual(address);
        },
      ),
    );
  });

  it('are refused when they are none', () => {
    for (const text of [
      '',
      '1.2.3',
      '1.2.3.256',
      '1.2.3.4.5',
      '01.2.3.4444',
      ':::',
      '1::2::3',
      '12345::',
      '1:2:3:4:5:6:7',
      'fe80::1%eth0',
      '1:2:3:4:5:6:7:8::',
    ]) {
      expect(parseIp(text), text).toBeUndefined();
    }
    expect(parseMac('00:16:3e:00:00')).toBeUndefined();
    expect(formatMac(parseMac('0:16:3E:1:2:3')!)).toBe('00:16:3e:01:02:03');
  });

  it('are in a prefix bit by bit', () => {
    expect(inPrefix(ip('172.31.255.1'), ip('172.16.0.0'), 12)).toBe(true);
    expect(inPrefix(ip('172.32.0.1'), ip('172.16.0.0'), 12)).toBe(false);
    expect(inPrefix(ip('febf::1'), ip('fe80::'), 10)).toBe(true);
    expect(inPrefix(ip('fec0::1'), ip('fe80::'), 10)).toBe(false);
    expect(inPrefix(ip('10.0.0.1'), ip('fe80::'), 0)).toBe(false);
  });
});

describe('ARP (RFC 826)', () => {
  const frame = bytes('ffffffffffff 52550a000202 0806  0001 0800 06 04 0001  52550a000202 0a000202  000000000000 0a00020f');
  const packet = {
    operation: ARP.request,
    senderMac: mac,
    senderIp: ip('10.0.2.2'),
    targetMac: new Uint8Array(6),
    targetIp: ip('10.0.2.15'),
  };
  it('is written', () => expect(hex(arpFrame(new Uint8Array(6).fill(255), packet))).toBe(hex(frame)));
  it('is read', () => expect(parseArp(frame)).toEqual(packet));
  it('of another hardware, or cut short, is not', () => {
    expect(parseArp(frame.subarray(0, 41))).toBeUndefined();
    expect(parseArp(frame.with(15, 6))).toBeUndefined();
  });
});

describe('IPv4 (RFC 791, section 3.1)', () => {
  // The header that Wikipedia and many lectures take as their example.
  const header = bytes('4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7');
  it('is written with its checksum', () => {
    const out = new Uint8Array(20);
    writeIpv4(out, 0, { source: ip('192.168.0.1'), destination: ip('192.168.0.199'), protocol: 17, payloadBytes: 95 });
    expect(hex(out)).toBe(hex(header));
  });
  it('is read, padding left out', () => {
    const packet = parseIpv4Packet(Uint8Array.of(...header, ...new Uint8Array(120)), 0)!;
    expect(packet).toMatchObject({ protocol: 17, payloadAt: 20, end: 115, hopLimit: 64, fragment: undefined });
    expect(formatIp(packet.destination)).toBe('192.168.0.199');
  });
  it('with a wrong checksum, version or length is not', () => {
    const whole = Uint8Array.of(...header, ...new Uint8Array(95));
    expect(parseIpv4Packet(whole.with(11, 0x60), 0)).toBeUndefined();
    expect(parseIpv4Packet(whole.subarray(0, 114), 0)).toBeUndefined();
    expect(parseIpv4Packet(whole.with(0, 0x44), 0)).toBeUndefined();
  });
});

describe('IPv6 (RFC 8200)', () => {
  it('is written and read (section 3)', () => {
    const out = new Uint8Array(48);
    writeIpv6(out, 0, { source: ip('fe80::2'), destination: ip('ff02::1'), protocol: 58, payloadBytes: 8, hopLimit: 255 });
    expect(hex(out)).toBe(hex(bytes(`60000000 0008 3a ff fe80${'00'.repeat(13)}02 ff02${'00'.repeat(13)}01 ${'00'.repeat(8)}`)));
    expect(parseIpv6Packet(out, 0)).toMatchObject({ protocol: 58, payloadAt: 40, end: 48, hopLimit: 255 });
  });
  it('is read behind its extension headers (section 4.1)', () => {
    const out = new Uint8Array(40 + 8 + 8 + 4);
    writeIpv6(out, 0, { source: ip('::1'), destination: ip('::2'), protocol: IP_PROTOCOL.hopByHop, payloadBytes: 20 });
    out[40] = IP_PROTOCOL.fragment;
    writeIpv6Fragment(out, 48, IP_PROTOCOL.udp, { id: 7, offset: 1480, more: true });
    expect(hex(out.subarray(48, 56))).toBe('110005c900000007');
    expect(parseIpv6Packet(out, 0)).toMatchObject({ protocol: 17, payloadAt: 56, fragment: { id: 7, offset: 1480, more: true } });
  });
  it('with an extension header that leads outside is not', () => {
    const out = new Uint8Array(48);
    writeIpv6(out, 0, { source: ip('::1'), destination: ip('::2'), protocol: IP_PROTOCOL.options, payloadBytes: 8 });
    out[41] = 1;
    expect(parseIpv6Packet(out, 0)).toBeUndefined();
  });
});

describe('neighbour discovery (RFC 4861)', () => {
  it('advertises router, prefix, MTU and DNS server (sections 4.2 and 4.6; RFC 8106, section 5.1)', () => {
    const out = routerAdvertisement({ mac, prefix: ip('fec0::'), prefixBits: 64, dns: ip('fec0::3'), mtu: 1500 });
    expect(hex(out)).toBe(
      hex(
        bytes(
          `86 00 0000 40 00 0708 00000000 00000000
           01 01 52550a000202
           03 04 40 c0 00278d00 00093a80 00000000 fec0${'00'.repeat(14)}
           05 01 0000 000005dc
           19 03 0000 00000708 fec0${'00'.repeat(13)}03`,
        ),
      ),
    );
  });
  it('advertises an address (section 4.4), and reads it back', () => {
    const out = neighbourAdvertisement(ip('fec0::2'), mac, true);
    expect(hex(out)).toBe(hex(bytes(`88 00 0000 e0000000 fec0${'00'.repeat(13)}02 02 01 52550a000202`)));
    expect(parseNeighbour(out)).toEqual({ target: ip('fec0::2'), mac });
  });
  it('refuses an option without length (section 7.1.1)', () => {
    expect(parseNeighbour(neighbourAdvertisement(ip('fec0::2'), mac, true).with(25, 0))).toBeUndefined();
  });
  it('knows multicast addresses (RFC 4291, section 2.7.1; RFC 2464, section 7)', () => {
    expect(formatIp(solicitedNode(ip('4037::1:800:200e:8c6c')))).toBe('ff02::1:ff0e:8c6c');
    expect(formatMac(multicastMac(ip('ff02::1:ff0e:8c6c')))).toBe('33:33:ff:0e:8c:6c');
  });
});

describe('UDP (RFC 768)', () => {
  it('is written and read', () => {
    const out = new Uint8Array(12);
    writeUdp(out, 0, 68, 67, 3);
    expect(hex(out)).toBe('00440043000b000000000000');
    expect(parseUdp(out, 0, 12)).toMatchObject({ sourcePort: 68, destinationPort: 67, end: 11 });
    expect(parseUdp(out, 0, 10)).toBeUndefined();
    expect(parseUdp(out.with(5, 7), 0, 12)).toBeUndefined();
  });
});

describe('TCP (RFC 9293, section 3.1; RFC 7323, section 2.2)', () => {
  it('writes a SYN with MSS and window scale, and reads it back', () => {
    const out = new Uint8Array(28);
    const header = {
      sourcePort: 80,
      destinationPort: 40_000,
      seq: 0xdead_beef,
      ack: 1,
      flags: TCP_FLAG.syn | TCP_FLAG.ack,
      window: 0xffff,
      mss: 1460,
      windowScale: 5,
    };
    expect(writeTcp(out, 0, header)).toBe(28);
    expect(hex(out)).toBe(hex(bytes('0050 9c40 deadbeef 00000001 70 12 ffff 0000 0000 020405b4 01030305')));
    expect(parseTcp(out, 0, 28)).toMatchObject(header);
  });
  it('takes a shift above 14 as 14, and stops at malformed options', () => {
    const syn = bytes('0050 9c40 00000000 00000000 70 02 0000 0000 0000 0103030f 0200ffff');
    expect(parseTcp(syn, 0, 28)).toMatchObject({ windowScale: 14, mss: undefined });
  });
  it('refuses a header longer than the segment', () => {
    expect(parseTcp(bytes(`0050 9c40 00000000 00000000 f0 02 0000 0000 0000`), 0, 20)).toBeUndefined();
  });
});

it('a DNS failure repeats identifier and question (RFC 1035, section 4.1.1)', () => {
  const query = bytes('beef 0100 0001 0000 0000 0001 0161 0162 00 0001 0001 0000 2910 0000 0000 0000 00');
  expect(hex(serverFailure(query))).toBe(hex(bytes('beef 8182 0001 0000 0000 0000 0161 0162 00 0001 0001')));
});
