// Checks what callers without a compiler can get wrong; what the guest's files and devices are is checked where they are opened.
import { DOMID_SELF } from '../abi/xen/domid.ts';
import { DISK_CONTROLLERS } from '../machine/hvm/board-config.ts';
import { closest } from '../util/closest.ts';
import type { CreateDomainConfig } from './create-domain.ts';
import { DomainConfigError } from './domain-config-error.ts';

const KEYS: Readonly<Record<keyof CreateDomainConfig, true>> = {
  type: true,
  bios: true,
  boot: true,
  diskController: true,
  vga: true,
  consoleType: true,
  kernel: true,
  initrd: true,
  bootModules: true,
  bootProtocol: true,
  shim: true,
  commandLine: true,
  memory: true,
  maxMemoryBytes: true,
  name: true,
  id: true,
  uuid: true,
  vcpus: true,
  emulation: true,
  disks: true,
  vifs: true,
  channels: true,
  shares: true,
  devices: true,
  trace: true,
  translate: true,
  checkJit: true,
  profile: true,
  clock: true,
};
/** The first domain number that is none of a guest is DOMID_SELF: DOMID_FIRST_RESERVED of public/xen.h. */
const MAX_DOMID = DOMID_SELF - 1;
/** How other monitors call them. */
const ALSO_CALLED: Readonly<Record<string, keyof CreateDomainConfig>> = {
  cmdline: 'commandLine',
  extra: 'commandLine',
  ramdisk: 'initrd',
  maxmem: 'maxMemoryBytes',
  disk: 'disks',
  vif: 'vifs',
  channel: 'channels',
  hdtype: 'diskController',
  p9: 'shares',
  cpus: 'vcpus',
};
/** Where the wallclock's 32 bits of seconds end; the part above them (wc_sec_hi) is not known to all guests. */
const LAST_EPOCH_MS = 2 ** 32 * 1000;
const PAGE = 4096;
const UUID_BYTES = 16;

/** @throws DomainConfigError */
export function checkDomainConfig(config: CreateDomainConfig): void {
  const fail = (key: string, problem: string, hint: string): never => {
    throw new DomainConfigError(key, problem, hint);
  };
  for (const key of Object.keys(config)) {
    if (Object.hasOwn(KEYS, key)) continue;
    const near = ALSO_CALLED[key] ?? closest(key, Object.keys(KEYS));
    fail(key, 'there is no such option', near === undefined ? `use one of ${Object.keys(KEYS).join(', ')}` : `use ${near}`);
  }
  const { type = 'pvh', bios, boot, consoleType, diskController, kernel, initrd, bootProtocol } = config;
  const { memory, maxMemoryBytes, name, id, uuid, vcpus, clock } = config;
  if (type !== 'pvh' && type !== 'pv' && type !== 'hvm')
    fail('type', `${shown(type)} is no type of domain`, "use 'pvh', 'pv' or 'hvm'");
  checkTypeOnly(config, type, fail);
  const isFile = (file: unknown): boolean => (typeof file === 'string' && file !== '') || file instanceof Uint8Array;
  if (kernel === undefined && type !== 'hvm' && (config.disks ?? []).length === 0)
    fail(
      'kernel',
      'there is neither a kernel nor a disk to boot from',
      "give a kernel's path or its bytes, or disks with a grub.cfg",
    );
  if (kernel !== undefined && !isFile(kernel)) fail('kernel', `${shown(kernel)} is no kernel`, 'give its path or its bytes');
  if (bootProtocol !== undefined && bootProtocol !== 'pvh' && bootProtocol !== 'multiboot')
    fail('bootProtocol', `${shown(bootProtocol)} is no way to enter a kernel`, "use 'pvh' or 'multiboot'");
  for (const module of config.bootModules ?? [])
    if (!isFile(module?.file)) fail('bootModules', `${shown(module?.file)} is no file`, 'give its path or its bytes as `file`');
  if (initrd !== undefined && !isFile(initrd)) fail('initrd', `${shown(initrd)} is no initrd`, 'give its path or its bytes');
  if (bios !== undefined && !isFile(bios)) fail('bios', `${shown(bios)} is no BIOS`, 'give its path or its bytes');
  if (boot !== undefined && !(Array.isArray(boot) && boot.every((device) => ['a', 'c', 'd', 'n'].includes(device))))
    fail('boot', `${shown(boot)} is no order of devices`, "give letters such as ['d', 'c']");
  if (config.vga !== undefined && config.vga !== 'stdvga' && config.vga !== 'none')
    fail('vga', `${shown(config.vga)} is no video card`, "use 'stdvga' or 'none'");
  if (diskController !== undefined && !DISK_CONTROLLERS.includes(diskController))
    fail('diskController', `${shown(diskController)} is no controller of disks`, "use 'ide' or 'ahci'");
  if (consoleType !== undefined && consoleType !== 'pv' && consoleType !== 'serial')
    fail('consoleType', `${shown(consoleType)} is no kind of console`, "use 'pv' or 'serial'");
  if (memory !== undefined && typeof memory !== 'string' && !Number.isSafeInteger(memory))
    fail('memory', `${shown(memory)} is no size`, "give one such as '256MiB', or a number of bytes");
  if (
    maxMemoryBytes !== undefined &&
    !(Number.isSafeInteger(maxMemoryBytes) && maxMemoryBytes > 0 && maxMemoryBytes % PAGE === 0)
  )
    fail('maxMemoryBytes', `${shown(maxMemoryBytes)} is no whole number of pages`, 'give bytes, a multiple of 4096');
  if (name !== undefined && !(typeof name === 'string' && /^[\w.:+-]+$/.test(name)))
    fail('name', `${shown(name)} is no name for a domain`, 'use letters, digits and _.:+-');
  if (id !== undefined && !(Number.isInteger(id) && id >= 1 && id <= MAX_DOMID))
    fail('id', `${shown(id)} is no number for a guest`, `use 1..${MAX_DOMID}`);
  if (uuid !== undefined && !(uuid instanceof Uint8Array && uuid.length === UUID_BYTES))
    fail('uuid', `${shown(uuid)} is no UUID`, 'give 16 bytes');
  if (vcpus !== undefined && !(Number.isInteger(vcpus) && vcpus >= 1))
    fail('vcpus', `${shown(vcpus)} is no number of vCPUs`, 'use 1 or more');
  if (type === 'pv' && (vcpus ?? 1) > 1)
    fail('vcpus', `a PV guest with ${vcpus} vCPUs is not supported yet: its shim brings them up, as an SMP kernel does`, 'use 1');
  if (config.checkJit === true && vcpus !== undefined && vcpus > 1)
    fail('checkJit', 'vCPUs that share memory cannot be run twice alike', 'give the domain one vCPU');
  if (config.checkJit === true && type === 'hvm')
    fail(
      'checkJit',
      "what an HVM domain's drives and cards write into its memory cannot be told apart yet",
      "use type 'pvh' or 'pv'",
    );
  if (config.checkJit === true && config.translate === false)
    fail('checkJit', 'without translation there is nothing to check', 'leave out translate: false');
  if (clock !== undefined && clock?.kind !== 'real' && clock?.kind !== 'virtual')
    fail('clock', `${shown(clock)} is no clock`, "use { kind: 'real' } or { kind: 'virtual' }");
  if (clock?.kind === 'virtual') {
    const { epochMs = 0 } = clock;
    if (!(Number.isInteger(epochMs) && epochMs >= 0 && epochMs < LAST_EPOCH_MS))
      fail('clock', `${shown(epochMs)} is no time to begin at`, 'give Unix time as epochMs, in whole milliseconds, before 2106');
    if (vcpus !== undefined && vcpus > 1)
      fail('clock', `virtual time is made of one vCPU's instructions, and there are ${vcpus}`, 'use vcpus: 1, or the real clock');
  }
}

type Fail = (key: string, problem: string, hint: string) => never;

/** What domains of one type have and others have not: silently left out it would be missed. */
function checkTypeOnly(config: CreateDomainConfig, type: 'pvh' | 'pv' | 'hvm', fail: Fail): void {
  const called = type.toUpperCase();
  if (type === 'hvm') {
    const problem = 'an HVM domain boots by its BIOS and has none';
    for (const key of ['shim', 'bootModules', 'bootProtocol'] as const)
      if (config[key] !== undefined) fail(key, problem, `leave it out, or use type '${key === 'shim' ? 'pv' : 'pvh'}'`);
    return;
  }
  for (const key of ['bios', 'boot', 'diskController', 'vga'] as const)
    if (config[key] !== undefined) fail(key, `a ${called} domain has none`, "leave it out, or use type 'hvm'");
  if (config.consoleType === 'serial') fail('consoleType', `a ${called} domain has no serial port`, "use 'pv', or type 'hvm'");
  if (type === 'pvh' && config.shim !== undefined) fail('shim', 'a PVH domain has none', "leave it out, or use type 'pv'");
}

const SHOWN = 40;
const shown = (value: unknown): string => {
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
};
