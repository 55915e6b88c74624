import { describe, expect, it } from 'vitest';
import { plainText, promptAtEnd } from './console-prompt.ts';

describe('a prompt', () => {
  it.each([
    ['guest:~# ', 'shell'],
    ['root@debian:~# ', 'shell'],
    ['\x1b[?2004hroot@debian:~# ', 'shell'],
    ['/ # \x1b[6n', 'shell'],
    ['(initramfs) ', 'shell'],
    ['user@host:~$ ', 'shell'],
    ['Debian GNU/Linux 12 debian hvc0\r\n\r\ndebian login: ', 'login'],
    ['guest login:', 'login'],
    ['debian login: root\r\nPassword: ', 'password'],
    ['guest:~# [   12.345678] eth0: link is up\r\n[   12.400000] more\r\n', 'shell'],
    ['guest:~# \x1b[6n(XEN) d1v0 failed to allocate 512 extents\r\n\r(XEN) d1v0 failed again\r\n\r', 'shell'],
    ['debian login: (XEN) a line\r\n\r[   12.345678] another\r\n\r', 'login'],
    ['debian login: [  100.000001] random: crng init done\r\n', 'login'],
  ])('is seen at the end of %j', (text, kind) => {
    expect(promptAtEnd(text)).toBe(kind);
  });

  it.each([
    '',
    'Booting…\r\n',
    'guest:~# uname',
    'guest:~# uname\r\n',
    'guest:~# [   12.345678] eth0: lin',
    'guest:~# (XEN) d1v0 fai',
    'Freed 2048kB\r\n(XEN) ',
    'Last login: ',
    'debian login: root\r\nLast login: ',
    'see #',
    'the password is wrong\r\n',
  ])('is not seen at the end of %j', (text) => {
    expect(promptAtEnd(text)).toBeUndefined();
  });
});

describe('plain text', () => {
  it('has no colours, no cursor movements and no carriage returns', () => {
    expect(plainText('\x1b[1;32mok\x1b[0m\r\n\x1b[2J\x1b[?25lx')).toBe('ok\nx');
  });
});
