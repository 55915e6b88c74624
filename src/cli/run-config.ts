// What `dom1 run` boots, and on what: its options as a domain's configuration.
import { diskOfWords, vifOfWords } from '../control/device-words.ts';
import { SHIM_COMMAND_LINE } from '../control/xl-config/key-table.ts';
import type { BootDevice } from '../machine/hvm/board-config.ts';
import { drivePlace } from '../machine/hvm/drive-places.ts';
import type { CreateDomainConfig } from '../node/create-domain.ts';
import { isDiskFile } from '../node/guest-file.ts';
import type { DiskConfig } from '../node/open-devices.ts';
import { diskConfig, vifConfig } from '../node/spec-config.ts';
import { type Invocation, optionValue, UsageError } from './arguments.ts';

export type RunConfig = Pick<
  CreateDomainConfig,
  'type' | 'kernel' | 'initrd' | 'commandLine' | 'bootModules' | 'bootProtocol' | 'boot' | 'consoleType' | 'disks' | 'vifs'
>;

/** Options that a guest with a BIOS has no use for, with the reason. */
const NOT_HVM = {
  pv: 'a guest is one or the other; leave one out',
  module: "an HVM guest's kernel is loaded by its BIOS, without modules; leave it out",
  multiboot: "an HVM guest's kernel is entered by its BIOS; leave it out",
  'check-jit': 'an HVM guest cannot be checked yet; leave it out',
} as const;
const HVM_ONLY = ['cdrom', 'boot', 'serial'] as const;
/** What is about a kernel that is given, and not about one that is on a disk. */
const OF_A_KERNEL = ['initrd', 'module', 'multiboot'] as const;
/** In this order a CD-ROM drive takes the first IDE place that no disk has: the second cable's first drive, as on most PCs. */
const CDROM_PLACES = ['hdc', 'hdd', 'hdb', 'hda'] as const;

/**
 * What is booted, and its devices.
 * @param more words of the command line behind `console=`, when the person gives none
 * @throws UsageError, XlConfigError, UnsupportedDomainError
 */
export async function guestConfig(invocation: Invocation, more: string): Promise<RunConfig> {
  const { options, guestCommandLine, positionals } = invocation;
  const [file] = positionals;
  const hvm = options.has('hvm');
  checkTogether(invocation);
  const isDisk = file !== undefined && (await isDiskFile(file));
  if (isDisk)
    for (const option of OF_A_KERNEL)
      if (options.has(option))
        throw new UsageError(`--${option} is of a kernel, and ${file} is a disk image; leave it out, or give the disk as --disk`);
  const kernel = isDisk ? undefined : file;
  if (hvm && kernel === undefined && guestCommandLine !== undefined)
    throw new UsageError('the words after -- are of a kernel, and the BIOS boots what a disk has; leave them out');
  const [modules, initrd, cdrom, boot] = [
    options.get('module') ?? [],
    optionValue(invocation, 'initrd'),
    optionValue(invocation, 'cdrom'),
    optionValue(invocation, 'boot'),
  ];
  const disks = [
    ...(isDisk ? [{ vdev: 'xvda', path: file }] : []),
    ...(options.get('disk') ?? []).map((disk) => diskConfig(diskOfWords([disk]))),
  ];
  const serial = options.has('serial');
  const ownLine = modules.length > 0 ? SHIM_COMMAND_LINE : `console=${serial ? 'ttyS0' : 'hvc0'}${more}`;
  const line = guestCommandLine ?? (kernel === undefined ? undefined : ownLine);
  return {
    type: hvm ? 'hvm' : options.has('pv') ? 'pv' : 'pvh',
    ...(kernel !== undefined && { kernel }),
    ...(initrd !== undefined && { initrd }),
    ...(line !== undefined && { commandLine: line }),
    ...(!hvm && {
      bootModules: modules.map((words) => {
        const [module = '', ...rest] = words.split(' ');
        return { file: module, commandLine: rest.join(' ').trim() };
      }),
    }),
    ...(options.has('multiboot') && { bootProtocol: 'multiboot' }),
    ...(boot !== undefined && { boot: bootOrder(boot) }),
    ...(serial && { consoleType: 'serial' }),
    disks: cdrom === undefined ? disks : [...disks, { vdev: cdromPlace(disks), path: cdrom, cdrom: true, readOnly: true }],
    vifs: (options.get('vif') ?? []).map((vif, devid) => vifConfig(vifOfWords([vif], devid))),
  };
}

/** @throws UsageError that names two options, or an option and what is missing. */
function checkTogether({ command, options, positionals }: Invocation): void {
  const hvm = options.has('hvm');
  if (hvm) {
    for (const [option, reason] of Object.entries(NOT_HVM))
      if (options.has(option)) throw new UsageError(`--hvm and --${option} do not go together: ${reason}`);
  } else {
    for (const option of HVM_ONLY)
      if (options.has(option)) throw new UsageError(`--${option} is of an HVM guest; add --hvm, or leave it out`);
  }
  if (positionals.length > 0) return;
  if (!hvm) throw new UsageError(`dom1 ${command.name} needs a kernel; write \`dom1 ${command.name} <kernel>\``);
  if (!options.has('disk') && !options.has('cdrom'))
    throw new UsageError('--hvm has nothing to boot; give a kernel, a disk image, or --cdrom');
  if (options.has('initrd')) throw new UsageError('--initrd is of a kernel, and there is none; give one, or leave it out');
}

/** @throws UsageError */
function bootOrder(letters: string): BootDevice[] {
  if (!/^(c|d|cd|dc)$/.test(letters))
    throw new UsageError(`'${letters}' is no order for --boot; write c (hard disk), d (CD-ROM), or both, as in dc`);
  return [...letters] as BootDevice[];
}

/** @throws UsageError */
function cdromPlace(disks: readonly DiskConfig[]): string {
  const taken = disks.map(({ vdev }) => drivePlace(vdev, 'ide'));
  const free = CDROM_PLACES.find((vdev) => !taken.includes(drivePlace(vdev, 'ide')));
  if (free === undefined) throw new UsageError('--cdrom has no place left: four disks have all that there are; leave one out');
  return free;
}
