import { describe, expect, it } from 'vitest';
import { parseQemuOptions } from './qemu-options.ts';
import { UsageError } from './usage-error.ts';

const parse = (...words: string[]) => parseQemuOptions(words);

describe("qemu's command line", () => {
  it('is 128 MiB, one CPU and nothing else when nothing is said', () => {
    expect(parse()).toEqual({ modules: [], append: '', memoryMiB: 128, vcpus: 1, disks: [], vifs: [] });
  });

  it('of the PV shim, as QEMU documents it', () => {
    const machine = parse(
      ...[
        '-M',
        'pc',
        '--accel',
        'kvm,xen-version=0x40011,kernel-irqchip=split',
        '-cpu',
        'host',
        '-nographic',
        '-display',
        'none',
      ],
      ...['-kernel', 'xen', '-initrd', 'vmlinuz a=1,,2,initrd', '-append', 'loglvl=all -- console=hvc0 root=/dev/xvda1'],
      ...['-m', '1G', '-smp', 'cpus=2,sockets=1', '-name', 'guest=web,process=q'],
    );
    expect(machine).toMatchObject({
      kernel: 'xen',
      modules: ['vmlinuz a=1,2', 'initrd'],
      append: 'loglvl=all -- console=hvc0 root=/dev/xvda1',
      memoryMiB: 1024,
      vcpus: 2,
      name: 'web',
    });
  });

  it('has PV disks, named as QEMU names them', () => {
    const { disks } = parse(
      ...['-drive', 'file=a.img,if=xen', '-device', 'xen-disk,drive=d,vdev=xvda', '-device', 'xen-cdrom,drive=c'],
      ...['-drive', 'if=none,id=d,file=b,,c.qcow2,format=qcow2,readonly=on', '-drive', 'if=none,id=c,media=cdrom'],
    );
    expect(disks).toMatchObject([
      { vdev: 'xvdb', path: 'a.img', readOnly: false, cdrom: false, snapshot: false },
      { vdev: 'xvda', path: 'b,c.qcow2', format: 'qcow2', readOnly: true },
      { vdev: 'xvdc', cdrom: true, readOnly: true },
    ]);
  });

  it('has PV network cards', () => {
    const { vifs } = parse(
      ...['-netdev', 'user,id=n,hostfwd=tcp::2222-:22,hostfwd=udp::53-:53,hostname=web'],
      ...['-device', 'xen-net-device,netdev=n,mac=00:16:3e:00:00:01', '-nic', 'user,model=xen-net-device', '-nic', 'none'],
    );
    expect(vifs).toEqual([
      { forwards: [] },
      { forwards: ['tcp::2222-:22', 'udp::53-:53'], hostname: 'web', mac: '00:16:3e:00:00:01' },
    ]);
  });

  it.each<[string[], string]>([
    [['-hda', 'x'], 'dom1 has no option -hda of qemu; write -drive file=…,if=xen'],
    [['-kernl', 'x'], 'dom1 has no option -kernl of qemu; did you mean -kernel?'],
    [['-constructor', 'x'], 'dom1 has no option -constructor of qemu; '],
    [['disk.img'], "'disk.img' is no option of qemu; write a disk as -drive file=disk.img,if=xen"],
    [['-m'], '-m needs a value'],
    [['-m', 'much'], "'much' is no size for -m"],
    [['-smp', '0'], "'0' is no number of CPUs"],
    [['-display', 'sdl'], '-display sdl is not supported; write -display none'],
    [['-drive', 'file=x'], '-drive if=ide is an emulated disk'],
    [['-drive', 'if=xen'], 'a -drive has no file'],
    [['-drive', 'file=x,if=xen,format=vmdk'], '-drive format=vmdk cannot be opened'],
    [['-drive', 'file=x,if=xen,werror=stop'], '-drive has no werror here'],
    [['-drive', 'file=x,if=none'], '-drive if=none needs an id'],
    [['-drive', 'file=x,if=none,id=d'], 'no device uses the drive d; add -device xen-disk,drive=d'],
    [['-device', 'xen-disk,drive=d'], '-device xen-disk names no drive; add -drive …,id=d'],
    [['-device', 'e1000'], 'there is no device e1000; use xen-disk'],
    [['-netdev', 'tap,id=n'], '-netdev tap is not supported'],
    [['-netdev', 'user,id=n,dns=1.1.1.1'], '-netdev user has no dns here'],
    [['-nic', 'user'], '-nic model=e1000 is emulated hardware'],
  ])('%j is refused', (words, message) => {
    expect(() => parse(...words)).toThrow(UsageError);
    expect(() => parse(...words)).toThrow(message);
  });
});
