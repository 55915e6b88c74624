// Configurations as people write them.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { XlConfigError } from './config-error.ts';
import { CONFIG_KEYS } from './key-table.ts';
import { readDomainSpec } from './read-domain-spec.ts';

/** What xen-tools leaves behind. */
const XEN_TOOLS = `
#
# Configuration file for the Xen instance web, created
# by xen-tools 4.9.2 on Mon Jan  1 12:00:00 2024.
#

#
#  Kernel + memory size
#
kernel      = '/boot/vmlinuz-6.1.0-18-amd64'
extra       = 'elevator=noop'
ramdisk     = '/boot/initrd.img-6.1.0-18-amd64'

vcpus       = '1'
memory      = '512'

#
#  Disk device(s).
#
root        = '/dev/xvda2 ro'
disk        = [
                  'file:/srv/xen/domains/web/disk.img,xvda2,w',
                  'file:/srv/xen/domains/web/swap.img,xvda1,w',
              ]

#
#  Physical volumes
#

#
#  Hostname
#
name        = 'web'

#
#  Networking
#
dhcp        = 'dhcp'
vif         = [ 'mac=00:16:3E:12:34:56' ]

#
#  Behaviour
#
on_poweroff = 'destroy'
on_reboot   = 'restart'
on_crash    = 'restart'
`;

const PVH = `name="debian"; type="pvh"; uuid="0123456789ABCDEF0123456789abcdef"
kernel = "/boot/vmlinuz"
cmdline = "root=/dev/xvda1 console=hvc0"
memory = 1024
maxmem = 2048
vcpus = 2
maxvcpus = 4
disk = [ "format=qcow2, vdev=xvda, access=rw, target=/srv/debian.qcow2", "/srv/seed.iso,,xvdb,cdrom" ]
vif = [ "bridge=xenbr0", "" ]
p9 = [ "tag=host,security_model=none,path=/srv/share" ]
`;

const WINDOWS = `builder = "hvm"
name = "windows"
memory = 4096
vcpus = 4
viridian = [ "defaults", "!stimer" ]
disk = [ "/dev/vg/windows,,hda", ",hdc:cdrom,r" ]
boot = "dc"
vnc = 1
sdl = 0
usbdevice = "tablet"
localtime = 1
hvm_pirq = 1
on_crash = "coredump-restart"
`;

const read = (text: string, ...overrides: string[]) => readDomainSpec(text, 'web.cfg', overrides);
const minimal = 'name = "a"\n';

describe('a configuration', () => {
  it('of xen-tools', () => {
    const { spec, warnings } = read(XEN_TOOLS);
    expect(spec).toMatchObject({
      type: 'pvh',
      name: 'web',
      memoryMiB: 512,
      maxmemMiB: 512,
      vcpus: 1,
      kernel: '/boot/vmlinuz-6.1.0-18-amd64',
      ramdisk: '/boot/initrd.img-6.1.0-18-amd64',
      commandLine: 'root=/dev/xvda2 ro elevator=noop',
      actions: { poweroff: 'destroy', reboot: 'restart', crash: 'restart', watchdog: 'destroy', soft_reset: 'soft-reset' },
    });
    expect(spec.disks).toMatchObject([
      { target: '/srv/xen/domains/web/disk.img', format: 'raw', vdev: 'xvda2', readonly: false },
      { target: '/srv/xen/domains/web/swap.img', vdev: 'xvda1' },
    ]);
    expect(spec.vifs).toMatchObject([{ mac: '00:16:3e:12:34:56', devid: 0 }]);
    expect(warnings.map(({ message }) => message)).toEqual([
      'web.cfg:38:1: there is no key dhcp, and it is ignored; xl.cfg(5) lists the keys',
    ]);
  });

  it('of a guest in virtual time', () => {
    expect(read(PVH).spec.clock).toBeUndefined();
    expect(read(PVH, 'vcpus=1', 'clock=virtual').spec.clock).toEqual({ kind: 'virtual' });
    expect(read(PVH, 'vcpus=1', 'clock=virtual:1970-01-01T00:00:01Z').spec.clock).toEqual({ kind: 'virtual', epochMs: 1000 });
    expect(() => read(PVH, 'vcpus=1', 'clock=slow')).toThrow(/'slow' is no clock; write real, virtual/);
    expect(() => read(PVH, 'vcpus=2', 'clock=virtual')).toThrow(/one vCPU's instructions, and there are 2; write vcpus=1/);
  });

  it('of a PVH guest, changed on the command line', () => {
    const { spec, warnings } = read(PVH, 'memory=1536', 'name=other');
    expect(warnings.map(({ key, message }) => [key, message])).toEqual([
      ['vcpus', expect.stringContaining('vcpus are for small guests')],
      ['bridge', expect.stringContaining('vif: there are no bridges, and bridge=xenbr0 is only shown')],
    ]);
    expect(spec).toMatchObject({
      name: 'other',
      uuid: '01234567-89ab-cdef-0123-456789abcdef',
      memoryMiB: 1536,
      maxmemMiB: 2048,
      vcpus: 2,
      maxvcpus: 4,
      commandLine: 'root=/dev/xvda1 console=hvc0',
      disks: [
        { vdev: 'xvda', format: 'qcow2' },
        { vdev: 'xvdb', cdrom: true, readonly: true },
      ],
      vifs: [{ bridge: 'xenbr0' }, { devid: 1 }],
      p9: [{ tag: 'host', path: '/srv/share' }],
    });
    expect(JSON.parse(JSON.stringify(spec))).toEqual(spec);
  });

  it('of a PV guest, which runs within the shim however that is said', () => {
    expect(read(`${minimal}type = "pv"; kernel = "/k"`).spec).toMatchObject({
      type: 'pv',
      shim: { commandLine: 'pv-shim console=xen' },
    });
    const said = 'pvshim_path = "/srv/xen-shim"; pvshim_cmdline = "pv-shim"; pvshim_extra = "loglvl=all"';
    const { spec, warnings } = read(`${minimal}type = "pvh"; pvshim = 1; ${said}`);
    expect(spec).toMatchObject({ type: 'pvh', shim: { path: '/srv/xen-shim', commandLine: 'pv-shim loglvl=all' } });
    expect(warnings).toEqual([]);
    expect(read(`${minimal}pvshim = 0; ${said}`).spec.shim).toBeUndefined();
    expect(read(`${minimal}type = "hvm"; pvshim = 1`).spec.shim).toBeUndefined();
  });

  it('says once that there are no bridges, and not where a link is named', () => {
    const warned = (vifs: string): string[] => read(`name = "a"\nvif = [ ${vifs} ]`).warnings.map(({ key }) => key);
    expect(warned("'bridge=a', 'bridge=b', 'bridge=c,link=switch:c'")).toEqual(['bridge']);
    expect(warned("'bridge=c,link=user', ''")).toEqual([]);
  });

  it('of an HVM guest, with its boot order and its serial console', () => {
    const of = (text: string) => readDomainSpec(`name = "a"\ntype = "hvm"\n${text}`, 'a.cfg').spec;
    expect(of('serial = "pty"\nboot = "dc"')).toMatchObject({ type: 'hvm', serial: true, boot: 'dc', hvmPirq: false });
    expect(of('serial = [ "none" ]\nhvm_pirq = 1')).toMatchObject({ serial: false, hvmPirq: true });
    expect(of('serial = [ "pty" ]\nbios_path_override = "/b"')).toMatchObject({ serial: true, biosPath: '/b' });
    expect(of('vga = "none"\nvif = [ "type=vif", "model=rtl8139" ]')).toMatchObject({
      vga: 'none',
      vifs: [{ emulated: false }, { emulated: true, model: 'rtl8139' }],
    });
    expect(of('hdtype = "ahci"')).toMatchObject({ diskController: 'ahci' });
    expect(of('')).not.toHaveProperty('diskController');
    expect(() => of('hdtype = "scsi"')).toThrow('ahci');
    expect(() => of('boot = "x"')).toThrow("'x' is no order of devices");
  });

  it.each([
    ['type = "hvm"\nboot = "nc"', 'boot', 'boot: there is no floppy drive and no network boot yet; n is ignored'],
    [
      'type = "hvm"\nserial = "file:/tmp/x"',
      'serial',
      "serial: file:/tmp/x is not supported yet; the port is the domain's console",
    ],
    ['type = "hvm"\nserial = "file:\\n/x"', 'serial', 'serial: file: /x is not supported yet'],
    ['type = "hvm"\npvshim = 1', 'pvshim', 'pvshim is of PV guests, and is ignored in an HVM guest'],
    ['type = "hvm"\nacpi_s3 = 1', 'acpi_s3', '(suspend to RAM in the ACPI tables) is not supported yet, and is ignored'],
    ['type = "hvm"\nacpi_s4 = 0', 'acpi_s4', '(suspend to disk in the ACPI tables) cannot be turned off yet'],
    ['type = "hvm"\nhpet = 0', 'hpet', '(the HPET) cannot be turned off yet'],
    ['type = "hvm"\nxen_platform_pci = 0', 'xen_platform_pci', '(the Xen platform PCI device) cannot be turned off yet'],
    ['type = "pvh"\nboot = "d"', 'boot', 'boot is of HVM guests, and is ignored; write type = "hvm" for one'],
    ['type = "pvh"\nvga = "stdvga"', 'vga', 'vga is of HVM guests, and is ignored; write type = "hvm" for one'],
    ['type = "pv"\nserial = "pty"', 'serial', 'serial is of HVM guests, and is ignored; write type = "hvm" for one'],
  ])('with %j is told what of it is in vain', (text, key, message) => {
    const { warnings } = readDomainSpec(`name = "a"\n${text}`, 'a.cfg');
    expect(warnings).toMatchObject([{ kind: 'not-supported', key, message: expect.stringContaining(message) }]);
  });

  it('of Windows, with what is not supported yet named', () => {
    const { spec, warnings } = read(WINDOWS);
    expect(spec.type).toBe('hvm');
    expect(spec.hvmPirq).toBe(true);
    expect(spec.viridian).toEqual([
      'base',
      'freq',
      'time_ref_count',
      'apic_assist',
      'crash_ctl',
      'synic',
      'no_vp_limit',
      'cpu_hotplug',
    ]);
    expect(spec.disks[1]).toMatchObject({ format: 'empty', cdrom: true });
    expect(warnings.map(({ kind, key }) => `${kind} ${key}`)).toEqual([
      'deprecated builder',
      'not-supported vnc',
      'not-supported usbdevice',
      'not-supported localtime',
      'not-supported vcpus',
      'not-supported on_crash',
    ]);
  });

  it.each([
    ['memory = 512', 'web.cfg:1:1: the domain has no name; add name = "…"'],
    [`${minimal}memory = "512M"`, "web.cfg:2:10: '512M' is no number for memory; it is a number of MiB, without a unit"],
    [`${minimal}memory = 0`, 'web.cfg:2:10: memory cannot be 0; 1 is the least'],
    [`${minimal}memory = [1]`, 'web.cfg:2:10: memory is a list, but should be a number; write memory = value, without brackets'],
    [`${minimal}memory = 1\nmemory += 2`, 'web.cfg:3:11: memory is a number, and += is for strings and lists; write memory = …'],
    [
      `${minimal}maxmem = 64\nmemory = 128`,
      'web.cfg:2:10: maxmem (64) is less than memory (128); give it as much, or leave it out',
    ],
    [`${minimal}vcpus = 4\nmaxvcpus = 2`, 'web.cfg:3:12: maxvcpus (2) is less than vcpus (4); give as many, or leave it out'],
    [`${minimal}vcpus = 129`, 'web.cfg:2:9: vcpus cannot be 129; 128 is the most'],
    [`${minimal}type = "phv"`, "web.cfg:2:8: 'phv' is no value for type; did you mean pvh?"],
    [
      `${minimal}on_reboot = "reset"`,
      "web.cfg:2:13: 'reset' is no value for on_reboot; use destroy, restart, rename-restart, preserve, coredump-destroy, coredump-restart, soft-reset",
    ],
    [`${minimal}disk = "a"`, 'web.cfg:2:8: disk is a single value, but should be a list of strings; write disk = [ … ]'],
    [
      `${minimal}disk = [ ["a"] ]`,
      'web.cfg:2:10: disk is a list of strings, and there is a list in it; take the inner brackets away',
    ],
    [
      `${minimal}disk = [ '/a,,xvda', '/b,,xvda' ]`,
      'web.cfg:2:22: two disks are xvda; give this one another vdev; the other one is on line 2',
    ],
    [`${minimal}p9 = [ 'tag=a,path=/tmp', 'tag=a,path=/' ]`, 'web.cfg:2:27: two shares have the tag a; give this one another'],
    [`${minimal}vif = [ 'devid=1', '' ]`, 'web.cfg:2:20: two vifs have devid 1; give this one another'],
    [`${minimal}uuid = "x"`, "web.cfg:2:8: 'x' is no UUID; write 32 hexadecimal digits as 8-4-4-4-12, or leave it out"],
    [`${minimal}hpet = "true"`, "web.cfg:2:8: 'true' is neither 0 nor 1, as hpet should be; write hpet = 1"],
    [
      `${minimal}viridian = ["freq"]`,
      'web.cfg:2:13: the viridian group base is off, and others are on; add "base", or take the others away',
    ],
    [`${minimal}viridian = ["frek"]`, "web.cfg:2:13: there is no viridian group 'frek'; did you mean freq?"],
  ])('%j is refused', (text, message) => {
    expect(() => read(text)).toThrow(XlConfigError);
    try {
      read(text);
    } catch (error) {
      expect((error as Error).message).toBe(message);
    }
  });

  it('takes numbers as strtol(3) does', () => {
    expect(read(`${minimal}memory = 0x200`).spec.memoryMiB).toBe(512);
    expect(read(`${minimal}memory = 0400`).spec.memoryMiB).toBe(256);
    expect(read(`${minimal}memory = " 300"`).spec.memoryMiB).toBe(300);
  });

  it('warns of a key that is misspelt, and of root beside cmdline', () => {
    const { warnings } = read(`${minimal}memroy = 5\ncmdline = "x"\nroot = "y"`);
    expect(warnings.map(({ message }) => message)).toEqual([
      'web.cfg:2:1: there is no key memroy, and it is ignored; did you mean memory?',
      'web.cfg:4:8: root is ignored beside cmdline; put it into cmdline',
    ]);
  });

  it('throws nothing but its own error, whatever the values', () => {
    const value = fc.constantFrom(
      '0',
      '1',
      '"x"',
      '""',
      '[]',
      '["a"]',
      '[["a"]]',
      '-1',
      '0x',
      '08',
      '["/a,,xvda"]',
      '"pv"',
      '["mac=x"]',
      '1e9',
      '99999999999999999999',
    );
    const line = fc.tuple(fc.constantFrom(...CONFIG_KEYS.map(({ name }) => name), 'nope'), fc.constantFrom('=', '+='), value);
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        try {
          read(`${minimal}${lines.map((parts) => parts.join(' ')).join('\n')}`);
        } catch (error) {
          expect(error).toBeInstanceOf(XlConfigError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the table of keys', () => {
  it('has each key once, with a meaning', () => {
    const names = CONFIG_KEYS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, meaning } of CONFIG_KEYS) expect(`${name}: ${meaning}`).toMatch(/^[a-z][a-z0-9_]*: \S.{4,}$/);
  });
});
