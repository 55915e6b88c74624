import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { XlConfigError } from './config-error.ts';
import { parseDiskSpec } from './disk-spec.ts';

const at = { file: 'a.cfg', line: 3, column: 10 };
const disk = (text: string): Record<string, unknown> => ({ ...parseDiskSpec({ text, position: at }) });

describe('the same disk, as xl-disk-configuration(5) writes it', () => {
  it.each([
    '/dev/vg/guest-volume,,hda',
    '/dev/vg/guest-volume,raw,hda,rw',
    'format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume',
    'raw:/dev/vg/guest-volume,hda,w',
    'phy:/dev/vg/guest-volume,hda,w',
    'tap:aio:/dev/vg/guest-volume,hda,w',
    'vdev=hda,/dev/vg/guest-volume',
  ])('%s', (text) => {
    expect(disk(text)).toMatchObject({
      target: '/dev/vg/guest-volume',
      format: 'raw',
      vdev: 'hda',
      vdevNumber: 0x300,
      readonly: false,
      cdrom: false,
    });
  });

  it.each([
    '/root/image.iso,,hdc,cdrom',
    '/root/image.iso,,hdc,,cdrom',
    '/root/image.iso,raw,hdc,devtype=cdrom',
    'format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/root/image.iso',
    'raw:/root/image.iso,hdc:cdrom,ro',
    'file:/root/image.iso,hdc:cdrom,r',
  ])('%s', (text) => {
    expect(disk(text)).toMatchObject({
      target: '/root/image.iso',
      format: 'raw',
      vdev: 'hdc',
      vdevNumber: 0x1600,
      readonly: true,
      cdrom: true,
    });
  });
});

describe('a disk', () => {
  it.each([
    [',hdc:cdrom,r', { format: 'empty', cdrom: true, vdev: 'hdc' }],
    ['cdrom,vdev=hdc', { format: 'empty', cdrom: true }],
    ['debian.qcow2,qcow2,xvda,rw', { target: 'debian.qcow2', format: 'qcow2', vdevNumber: 0xca00, discard: true, trusted: true }],
    ['qcow2:/a/b.qcow2,xvdb,w', { target: '/a/b.qcow2', format: 'qcow2', vdevNumber: 0xca10 }],
    ['/a,raw,xvda1,r', { vdevNumber: 0xca01, readonly: true }],
    ['/a,raw,xvda,no-discard,untrusted,direct-io-safe', { discard: false, trusted: false, directIoSafe: true }],
    ['vdev=xvda,target=/a,b:c=d ', { target: '/a,b:c=d ' }],
    ['https://example.org/disk.raw,raw,xvda,r', { target: 'https://example.org/disk.raw' }],
    ['iscsi:iqn.x,xvda,w', { script: 'block-iscsi', target: 'iqn.x' }],
    [
      '/a,,xvda,backendtype=qdisk,specification=xen,backend=driver',
      { backendtype: 'qdisk', specification: 'xen', backend: 'driver' },
    ],
  ])('%s', (text, wanted) => {
    expect(disk(text)).toMatchObject(wanted);
  });

  it.each([
    ['/a,raw', 'it has no vdev; say what the guest sees it as, such as vdev=xvda'],
    ['/a,raw,foo', "there is no vdev 'foo'; use xvda, xvdb1, hdc, sda and the like"],
    [',,xvda', 'it has no target; give the path of a file, such as target=disk.img'],
    ['/a,qcow3,xvda', "'qcow3' is no format; did you mean qcow?"],
    ['/a,raw,xvda,rx', "'rx' is no access; did you mean ro?"],
    ['/a,raw,xvda,rw,more', "'more' is one too many; there are target"],
    ['/a,raw,xvda,format=qcow2', "format is given twice, as 'raw' and as 'qcow2'; give it once"],
    ['/a,raw,xvda,formt=raw', "there is no 'formt'; did you mean format?"],
    ['foo:/a,xvda,w', "there is no prefix 'foo:'; leave it out"],
    ['/a,,hdc:floppy,r', "'floppy' is no devtype; use cdrom, disk"],
    ['/a=b,raw,xvda', "there is no '/a'; write target=… for a path with an equals sign"],
  ])('%s is refused', (text, message) => {
    expect(() => disk(text)).toThrow(`disk '${text}': ${message}`);
    expect(() => disk(text)).toThrow(/^a\.cfg:3:\d+: /);
  });

  it('throws nothing but its own error, whatever the text', () => {
    const part = fc.constantFrom(
      'raw',
      'xvda',
      'hdc:cdrom',
      'target=',
      'vdev=',
      ',',
      ':',
      '=',
      'file:',
      'cdrom',
      ' ',
      '/a',
      'rw',
      'é',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(part).map((parts) => parts.join('')),
        ),
        (text) => {
          try {
            expect(disk(text)['vdevNumber']).toBeGreaterThanOrEqual(0);
          } catch (error) {
            expect(error).toBeInstanceOf(XlConfigError);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
