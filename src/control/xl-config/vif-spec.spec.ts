import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { XlConfigError } from './config-error.ts';
import { parseChannelSpec, parseP9Spec, parseVfbSpec, parseVkbSpec } from './device-specs.ts';
import { parseVifSpec } from './vif-spec.ts';

const placed = (text: string) => ({ text, position: { file: 'a.cfg', line: 2, column: 9 } });
const vif = (text: string, index = 0): Record<string, unknown> => ({ ...parseVifSpec(placed(text), index) });

describe('a vif', () => {
  it.each([
    ['', { devid: 0, type: 'vif', trusted: true, hostfwd: [] }],
    ['mac=00:16:3E:74:3d:76,model=rtl8139,bridge=xenbr0', { mac: '00:16:3e:74:3d:76', model: 'rtl8139', bridge: 'xenbr0' }],
    [' mac = 00:16:3e:00:00:01 , devid = 5 ', { mac: '00:16:3e:00:00:01', devid: 5 }],
    ['rate=10Mb/s', { rate: { bytesPerSecond: 1_250_000, intervalUs: 50_000 } }],
    ['rate=1MB/s@20ms', { rate: { bytesPerSecond: 1_000_000, intervalUs: 20_000 } }],
    ['netdev=eth0,mtu=9000,untrusted', { gatewaydev: 'eth0', mtu: 9000, trusted: false }],
    ['link=socket:listen=:77', { link: { kind: 'socket', role: 'listen', address: { host: '127.0.0.1', port: 77 } } }],
    [
      'link=user,hostfwd=tcp::2222-:22,hostfwd=tcp::8080-:80',
      { link: { kind: 'user' }, hostfwd: ['tcp::2222-:22', 'tcp::8080-:80'] },
    ],
  ])('%s', (text, wanted) => {
    expect(vif(text)).toMatchObject(wanted);
  });

  it.each([
    ['mac=1:2', "a.cfg:2:10: vif: '1:2' is no MAC address; write six pairs"],
    ['mac=01:00:00:00:00:00', 'vif: 01:00:00:00:00:00 is a multicast address'],
    ['type=vif,brige=x', "a.cfg:2:19: vif: there is no 'brige'; did you mean bridge?"],
    ['bridge=a,bridge=b', 'vif: bridge is given twice'],
    ['type=virtio', "vif: 'virtio' is no type; use vif or ioemu"],
    ['rate=fast', "vif: 'fast' is no rate; write it as 10Mb/s"],
    ['mtu=x', "vif: 'x' is no number for mtu"],
    ['mtu=10', 'vif: mtu cannot be 10; give 68 to 65535'],
    ['link=bridge', "a.cfg:2:10: vif: there is no link 'bridge'; use user, switch:NAME"],
    ['link=switch:lan,hostfwd=tcp::1-:1', 'a.cfg:2:26: vif: link=switch:lan has no ports to forward; hostfwd needs link=user'],
    ['bridge', 'vif: bridge needs a value; write bridge=…'],
  ])('%s is refused', (text, message) => {
    expect(() => vif(text)).toThrow(message);
  });
});

describe('other devices', () => {
  it('are read', () => {
    expect(parseP9Spec(placed('tag=share,security_model=none,path=/srv/share'))).toMatchObject({
      tag: 'share',
      path: '/srv/share',
    });
    expect(parseChannelSpec(placed('connection=socket,path=/tmp/a,name=org.x.agent'))).toMatchObject({
      name: 'org.x.agent',
      connection: 'socket',
      path: '/tmp/a',
    });
    expect(parseChannelSpec(placed('name=a,connection=PTY'))).toMatchObject({ connection: 'pty' });
    expect(parseVfbSpec(placed('vnc=1,vnclisten=0.0.0.0:1')).options).toEqual({ vnc: '1', vnclisten: '0.0.0.0:1' });
    expect(parseVkbSpec(placed('feature-abs-pointer=1,width=800,height=600'))).toMatchObject({
      absPointer: true,
      rawPointer: false,
      width: 800,
    });
  });

  it.each([
    [parseP9Spec, 'path=/x', 'tag is missing; write tag=…'],
    [parseP9Spec, 'tag=a,path=/x,security_model=mapped', "p9: 'mapped' is no security model; use none"],
    [parseChannelSpec, 'connection=socket,name=a', 'path is missing'],
    [parseChannelSpec, 'connection=tty,name=a', "channel: 'tty' is no connection"],
    [parseVkbSpec, 'feature-multi-touch=1', 'multi-touch-width is missing'],
  ])('%o of %s is refused', (parse, text, message) => {
    expect(() => parse(placed(text))).toThrow(message);
  });

  it('throw nothing but their own error, whatever the text', () => {
    const part = fc.constantFrom(
      'mac=',
      'tag',
      'name=',
      '=',
      ',',
      ' ',
      '00:16:3e:00:00:01',
      '1',
      'trusted',
      'feature-abs-pointer=',
      'é',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(part).map((parts) => parts.join('')),
        ),
        (text) => {
          for (const parse of [
            (s: ReturnType<typeof placed>) => parseVifSpec(s, 0),
            parseP9Spec,
            parseChannelSpec,
            parseVfbSpec,
            parseVkbSpec,
          ]) {
            try {
              parse(placed(text));
            } catch (error) {
              expect(error).toBeInstanceOf(XlConfigError);
            }
          }
        },
      ),
    );
  });
});
