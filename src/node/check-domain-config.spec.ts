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
    { bootModules: [{ file: 'vmlinuz', commandLine: 'quiet' }, { file: new Uint8Array(1) }] },
  ])('may be %j', (config) => {
    check(config);
  });

  it.each<[object, string]>([
    [{ type: 'hvm' }, "type: hvm domains are not supported yet; use 'pvh' or 'pv'"],
    [{ type: 'vm' }, "type: \"vm\" is no type of domain; use 'pvh' or 'pv'"],
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
    const refused = createDomain({ kernel: 'vmlinuz', type: 'hvm' as 'pvh' });
    await expect(refused).rejects.toMatchObject({ name: 'DomainConfigError', key: 'type', hint: "use 'pvh' or 'pv'" });
  });
});
