import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { XlConfigError } from './config-error.ts';
import { linkText, parseLink } from './link-spec.ts';

const AT = { file: 'a.cfg', line: 3, column: 14 };

describe('a link', () => {
  it.each([
    ['user', { kind: 'user' }],
    ['switch:lan', { kind: 'switch', name: 'lan' }],
    ['tap:tap0', { kind: 'tap', ifname: 'tap0' }],
    ['socket:listen=/run/cable.sock', { kind: 'socket', role: 'listen', address: { path: '/run/cable.sock' } }],
    ['socket:connect=./cable', { kind: 'socket', role: 'connect', address: { path: './cable' } }],
    ['socket:listen=:1234', { kind: 'socket', role: 'listen', address: { host: '127.0.0.1', port: 1234 } }],
    ['socket:connect=lab.example:1', { kind: 'socket', role: 'connect', address: { host: 'lab.example', port: 1 } }],
    ['socket:connect=[2001:db8::1]:99', { kind: 'socket', role: 'connect', address: { host: '2001:db8::1', port: 99 } }],
  ])('%s', (text, wanted) => {
    expect(parseLink(text, AT)).toEqual(wanted);
    expect(parseLink(linkText(parseLink(text, AT)), AT)).toEqual(wanted);
  });

  it.each([
    ['bridge', "a.cfg:3:14: vif: there is no link 'bridge'; use user, switch:NAME, tap:IFNAME"],
    ['user:x', "vif: there is no link 'user:x'"],
    ['switch', "vif: '' is no name for a switch; write link=switch:NAME"],
    ['switch:../x', "vif: '../x' is no name for a switch"],
    ['tap:a/b', "vif: 'a/b' is no name for a tap device; write link=tap:IFNAME"],
    ['tap:sixteen-letters0', "vif: 'sixteen-letters0' is no name"],
    ['socket', "vif: '' is no socket link; write link=socket:listen=ADDRESS"],
    ['socket:listen=1234', "vif: '1234' is no address"],
    ['socket:listen=:0', "vif: ':0' is no address"],
    ['socket:listen=:65536', "vif: ':65536' is no address"],
    ['socket:accept=:1', "vif: 'accept=:1' is no socket link"],
  ])('%s is refused', (text, message) => {
    expect(() => parseLink(text, AT)).toThrow(message);
  });

  it('is one, or is refused with its place, whatever it says', () => {
    const words = fc.constantFrom(
      'user',
      'switch',
      'tap',
      'socket',
      'listen',
      'connect',
      ':',
      '=',
      '/',
      '.',
      '[',
      ']',
      '::1',
      '12',
      'lan',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(words, { maxLength: 7 }).map((all) => all.join('')),
          fc.string(),
        ),
        (text) => {
          try {
            const link = parseLink(text, AT);
            expect(parseLink(linkText(link), AT)).toEqual(link);
          } catch (error) {
            expect(error).toBeInstanceOf(XlConfigError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
