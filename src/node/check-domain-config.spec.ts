import { describe, expect, it } from 'vitest';
import { checkDomainConfig } from './check-domain-config.ts';
import { type CreateDomainConfig, createDomain } from './create-domain.ts';
import { DomainConfigError } from './domain-config-error.ts';

/** As a caller without a compiler gives it. */
const check = (config: object): void => checkDomainConfig({ kernel: 'vmlinuz', ...config } as CreateDomainConfig);

describe("a domain's configuration", () => {
  it.each<object>([
    {},
    { type: 'pvh', initrd: new Uint8Array(1), commandLine: '', name: 'a.b:c+d-e_9', id: 32751, vcpus: 128 },
    { memory: '1GiB', maxMemoryBytes: 2 ** 31, uuid: new Uint8Array(16), trace: ['xen.*'], disks: [], vifs: [] },
    { memory: 4096, id: 1, initrd: undefined, name: undefined },
    { type: 'pv', shim: { file: 'xen-shim', commandLine: 'console=pv' }, bootProtocol: 'multiboot' },
    { kernel: undefined, disks: [{ vdev: 'xvda', path: 'disk.qcow2' }] },
    { type: 'hvm', kernel: undefined, boot: ['d', 'c'], bios: new Uint8Array(1), consoleType: 'serial' },
    { clock: { kind: 'real' }, vcpus: 2 },
    { clock: { kind: 'virtual', epochMs: 0 }, vcpus: 1 },
    { bootModules: [{ file: 'vmlinuz', commandLine: 'quiet' }, { file: new Uint8Array(1) }] },
  ])('may be %j', (config) => {
    check(config);
  });

  it.each<[object, string]>([
    [{ type: 'hvm', boot: ['x'] }, "boot: x is no order of devices; give letters such as ['d', 'c']"],
    [{ type: 'hvm', diskController: 'scsi' }, `diskController: "scsi" is no controller of disks; use 'ide' or 'ahci'`],
    [{ hdtype: 'ahci' }, 'hdtype: there is no such option; use diskController'],
    [{ type: 'hvm', boot: 'dc' }, "boot: \"dc\" is no order of devices; give letters such as ['d', 'c']"],
    [{ type: 'hvm', kernel: 5 }, 'kernel: 5 is no kernel; give its path or its bytes'],
    [{ type: 'hvm', shim: {} }, "shim: an HVM domain boots by its BIOS and has none; leave it out, or use type 'pv'"],
    [{ type: 'hvm', bootProtocol: 'pvh' }, 'bootProtocol: an HVM domain boots by its BIOS and has none; leave it out'],
    [{ type: 'hvm', bootModules: [] }, 'bootModules: an HVM domain boots by its BIOS and has none; leave it out'],
    [{ shim: {} }, "shim: a PVH domain has none; leave it out, or use type 'pv'"],
    [{ bios: 'bios.bin' }, "bios: a PVH domain has none; leave it out, or use type 'hvm'"],
    [{ type: 'pv', boot: ['c'] }, "boot: a PV domain has none; leave it out, or use type 'hvm'"],
    [{ consoleType: 'serial' }, "consoleType: a PVH domain has no serial port; use 'pv', or type 'hvm'"],
    [{ type: 'vm' }, "type: \"vm\" is no type of domain; use 'pvh', 'pv' or 'hvm'"],
    [
      { kernel: undefined },
      "kernel: there is neither a kernel nor a disk to boot from; give a kernel's path or its bytes, or disks",
    ],
    [{ kernel: 5 }, 'kernel: 5 is no kernel; give its path or its bytes'],
    [{ bootProtocol: 'bios' }, "bootProtocol: \"bios\" is no way to enter a kernel; use 'pvh' or 'multiboot'"],
    [{ bootModules: ['vmlinuz'] }, 'bootModules: undefined is no file; give its path or its bytes as `file`'],
    [{ kernel: '' }, 'kernel: "" is no kernel; give its path or its bytes'],
    [{ initrd: 5 }, 'initrd: 5 is no initrd; give its path or its bytes'],
    [{ memory: 1.5 }, "memory: 1.5 is no size; give one such as '256MiB', or a number of bytes"],
    [{ maxMemoryBytes: 4097 }, 'maxMemoryBytes: 4097 is no whole number of pages; give bytes, a multiple of 4096'],
    [{ name: 'a b' }, 'name: "a b" is no name for a domain; use letters, digits and _.:+-'],
    [{ id: 0 }, 'id: 0 is no number for a guest; use 1..32751'],
    [{ id: 32752 }, 'id: 32752 is no number for a guest; use 1..32751'],
    [{ uuid: new Uint8Array(15) }, 'uuid: 0,0,0,0,0,0,0,0,0,0,0,0,0,0,0 is no UUID; give 16 bytes'],
    [{ clock: 'virtual' }, "clock: \"virtual\" is no clock; use { kind: 'real' } or { kind: 'virtual' }"],
    [{ clock: { kind: 'virtual', epochMs: -1 } }, 'clock: -1 is no time to begin at; give Unix time as epochMs'],
    [{ clock: { kind: 'virtual', epochMs: 2 ** 32 * 1000 } }, 'clock: 4294967296000 is no time to begin at'],
    [{ clock: { kind: 'virtual' }, vcpus: 2 }, "clock: virtual time is made of one vCPU's instructions, and there are 2"],
    [{ checkJit: true, type: 'hvm' }, "checkJit: what an HVM domain's drives and cards write"],
    [{ vcpus: 0 }, 'vcpus: 0 is no number of vCPUs; use 1 or more'],
    [
      { type: 'pv', vcpus: 2 },
      'vcpus: a PV guest with 2 vCPUs is not supported yet: its shim brings them up, as an SMP kernel does; use 1',
    ],
    [{ vcpu: 2 }, 'vcpu: there is no such option; use vcpus'],
    [{ cmdline: 'x' }, 'cmdline: there is no such option; use commandLine'],
    [{ ramdisk: 'x' }, 'ramdisk: there is no such option; use initrd'],
  ])('may not be %j', (config, message) => {
    expect(() => check(config)).toThrow(DomainConfigError);
    expect(() => check(config)).toThrow(message);
  });

  it('is refused with the option and the next step as fields', async () => {
    const refused = createDomain({ kernel: 'vmlinuz', type: 'lxc' as 'pvh' });
    const hint = "use 'pvh', 'pv' or 'hvm'";
    await expect(refused).rejects.toMatchObject({ name: 'DomainConfigError', key: 'type', hint });
  });
});
