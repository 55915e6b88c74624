// From settings to a domain's specification.
import type { ClockConfig } from '../../machine/domain-config.ts';
import type { DiskController } from '../../machine/hvm/board-config.ts';
import { CLOCK_USAGE, clockOfWords } from '../clock-words.ts';
import { type ConfigWarning, XlConfigError, XlConfigErrors } from './config-error.ts';
import { type P9Spec, parseChannelSpec, parseP9Spec, parseVfbSpec, parseVkbSpec } from './device-specs.ts';
import { type DiskSpec, parseDiskSpec } from './disk-spec.ts';
import type { DomainSpec, GuestType, ShimSpec, ShutdownAction } from './domain-spec.ts';
import { SHIM_COMMAND_LINE } from './key-table.ts';
import { overrideSetting } from './override.ts';
import { parseXlConfig } from './parse.ts';
import { type PlacedString, SettingReader } from './setting-reader.ts';
import { parseVifSpec, type VifSpec } from './vif-spec.ts';
import { defaultViridianGroups, viridianGroups } from './viridian-groups.ts';

const DEFAULT_MEMORY_MIB = 256;

/** What an xl configuration says, and what it says in vain. */
export interface ConfiguredDomain {
  readonly spec: DomainSpec;
  readonly warnings: readonly ConfigWarning[];
}

/**
 * Reads a configuration.
 * @param file its name in errors
 * @param overrides words of the command line, key=value, over what the file says
 * @throws XlConfigErrors, with everything that is wrong; XlConfigError for a text that is too long
 */
export function readDomainSpec(text: string, file: string, overrides: readonly string[] = []): ConfiguredDomain {
  const errors: XlConfigError[] = [];
  const onError = (error: XlConfigError): void => void errors.push(error);
  let settings = parseXlConfig(text, file, { onError });
  overrides.forEach((word, index) => {
    settings = overrideSetting(word, index, settings, onError);
  });
  const reader = new SettingReader(settings, file);
  // What is missing may stand in a line that could not be read.
  if (!reader.has('name') && errors.length === 0) reader.fail(reader.end, 'the domain has no name', 'add name = "…"');
  const spec = specOf(reader);
  errors.push(...reader.errors);
  if (errors.length > 0) throw new XlConfigErrors(errors, reader.warnings);
  return { spec, warnings: reader.warnings };
}

/** Of settings with mistakes it is not to be used. */
function specOf(reader: SettingReader): DomainSpec {
  const name = reader.string('name') ?? '';
  const memoryMiB = reader.integer('memory') ?? reader.integer('maxmem') ?? DEFAULT_MEMORY_MIB;
  const maxmemMiB = reader.integer('maxmem') ?? memoryMiB;
  if (maxmemMiB < memoryMiB)
    reader.fail(
      reader.position('maxmem'),
      `maxmem (${maxmemMiB}) is less than memory (${memoryMiB})`,
      'give it as much, or leave it out',
    );
  const vcpus = reader.integer('vcpus') ?? reader.integer('maxvcpus') ?? 1;
  const maxvcpus = reader.integer('maxvcpus') ?? vcpus;
  if (vcpus > 1)
    reader.warn(
      'not-supported',
      'vcpus',
      reader.position('vcpus'),
      `${vcpus} vcpus are for small guests; a kernel that uses several is not safe yet, so write vcpus=1`,
    );
  if (maxvcpus < vcpus)
    reader.fail(
      reader.position('maxvcpus'),
      `maxvcpus (${maxvcpus}) is less than vcpus (${vcpus})`,
      'give as many, or leave it out',
    );
  const uuid = reader.attempt(() => uuidOf(reader));
  const boot = reader.attempt(() => bootOf(reader));
  const vga = reader.string('vga');
  const diskController = reader.string('hdtype') as DiskController | undefined;
  const biosPath = reader.string('bios_path_override');
  const [kernel, ramdisk] = [reader.string('kernel'), reader.string('ramdisk')];
  const clock = reader.attempt(() => clockOf(reader, vcpus));
  const type = typeOf(reader);
  const shim = shimOf(reader, type);
  warnOfOtherTypes(reader, type);
  return {
    type,
    name,
    ...(uuid !== undefined && { uuid }),
    memoryMiB,
    maxmemMiB,
    vcpus,
    maxvcpus,
    ...(clock !== undefined && { clock }),
    ...(kernel !== undefined && kernel !== '' && { kernel }),
    ...(ramdisk !== undefined && ramdisk !== '' && { ramdisk }),
    commandLine: commandLineOf(reader),
    ...(shim !== undefined && { shim }),
    actions: {
      poweroff: actionOf(reader, 'on_poweroff', 'destroy'),
      reboot: actionOf(reader, 'on_reboot', 'restart'),
      watchdog: actionOf(reader, 'on_watchdog', 'destroy'),
      crash: actionOf(reader, 'on_crash', 'destroy'),
      soft_reset: softResetOf(reader),
    },
    disks: disksOf(reader),
    vifs: vifsOf(reader),
    p9: sharesOf(reader),
    channels: each(reader, 'channel', parseChannelSpec),
    vfbs: each(reader, 'vfb', parseVfbSpec),
    vkbs: each(reader, 'vkb', parseVkbSpec),
    viridian: reader.attempt(() => viridianOf(reader)) ?? [],
    hvmPirq: reader.boolean('hvm_pirq') ?? false,
    ...(boot !== undefined && { boot }),
    ...(vga !== undefined && { vga }),
    ...(diskController !== undefined && { diskController }),
    ...(biosPath !== undefined && biosPath !== '' && { biosPath }),
    serial: serialOf(reader),
  };
}

/** The devices of a list; the mistakes of one do not hide those of the next. */
function each<T>(reader: SettingReader, key: string, parse: (spec: PlacedString, index: number) => T): readonly T[] {
  const parsed = reader.strings(key).map((spec, index) => reader.attempt(() => parse(spec, index)));
  return parsed.filter((one) => one !== undefined) as readonly T[];
}

function bootOf(reader: SettingReader): string | undefined {
  reader.string('bios');
  const letters = reader.string('boot');
  if (letters !== undefined && !/^[acdn]{1,4}$/.test(letters))
    throw new XlConfigError(reader.position('boot'), `'${letters}' is no order of devices`, 'use letters of a, c, d and n: "dc"');
  return letters;
}

/** What xl connects a port to (a pty, a file, a socket) is dom1's console; more than one port there is not. */
function serialOf(reader: SettingReader): boolean {
  const one = reader.string('serial');
  const named = one === undefined ? reader.strings('serial').map(({ text }) => text) : [one];
  const ports = named.filter((text) => text !== '' && text !== 'none');
  const [first] = ports;
  if (first !== undefined && first !== 'pty' && first !== 'stdio') {
    const text = `serial: ${first} is not supported yet; the port is the domain's console`;
    reader.warn('not-supported', 'serial', reader.position('serial'), text);
  }
  if (ports.length > 1) reader.warn('not-supported', 'serial', reader.position('serial'), 'serial: only the first port is there');
  return ports.length > 0;
}

const OF_HVM = ['boot', 'bios', 'bios_path_override', 'hdtype', 'serial', 'vga'] as const;

/** What a guest of this type does not have, and what nothing answers to yet: xl is silent about the former. */
function warnOfOtherTypes(reader: SettingReader, type: GuestType): void {
  const warn = (key: string, text: string): void => reader.warn('not-supported', key, reader.position(key), text);
  if (type === 'hvm') {
    if (reader.boolean('pvshim') === true) warn('pvshim', 'pvshim is of PV guests, and is ignored in an HVM guest');
    const nothing = [...(reader.string('boot') ?? '')].filter((letter) => letter === 'a' || letter === 'n');
    if (nothing.length > 0)
      warn('boot', `boot: there is no floppy drive and no network boot yet; ${nothing.join(', ')} is ignored`);
    return;
  }
  for (const key of OF_HVM) if (reader.has(key)) warn(key, `${key} is of HVM guests, and is ignored; write type = "hvm" for one`);
}

/** xl's default is a PV guest; what dom1 runs without being told is PVH. */
function typeOf(reader: SettingReader): GuestType {
  return (reader.string('type') as GuestType | undefined) ?? (reader.string('builder') === 'hvm' ? 'hvm' : 'pvh');
}

/** There is no other way to run a PV guest than the shim, so type = "pv" asks for it as well. */
function shimOf(reader: SettingReader, type: GuestType): ShimSpec | undefined {
  const path = reader.string('pvshim_path');
  if (type !== 'pv' && !(type === 'pvh' && reader.boolean('pvshim') === true)) return undefined;
  const [cmdline, extra] = [reader.string('pvshim_cmdline') ?? SHIM_COMMAND_LINE, reader.string('pvshim_extra') ?? ''];
  return { ...(path !== undefined && path !== '' && { path }), commandLine: extra === '' ? cmdline : `${cmdline} ${extra}` };
}

function uuidOf(reader: SettingReader): string | undefined {
  const text = reader.string('uuid');
  if (text === undefined || text === '') return undefined;
  // libxl_uuid_from_string takes dashes anywhere.
  const digits = text.replaceAll('-', '').toLowerCase();
  if (!/^[0-9a-f]{32}$/.test(digits))
    throw new XlConfigError(
      reader.position('uuid'),
      `'${text}' is no UUID`,
      'write 32 hexadecimal digits as 8-4-4-4-12, or leave it out',
    );
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** A key of dom1's own. */
function clockOf(reader: SettingReader, vcpus: number): ClockConfig | undefined {
  const words = reader.string('clock');
  if (words === undefined) return undefined;
  const clock = clockOfWords(words);
  if (clock === undefined) throw new XlConfigError(reader.position('clock'), `'${words}' is no clock`, `write ${CLOCK_USAGE}`);
  if (clock.kind === 'virtual' && vcpus > 1)
    throw new XlConfigError(
      reader.position('clock'),
      `virtual time is made of one vCPU's instructions, and there are ${vcpus}`,
      'write vcpus=1, or clock="real"',
    );
  return clock;
}

/** As xl puts it together: cmdline alone, or root= and extra. */
function commandLineOf(reader: SettingReader): string {
  const cmdline = reader.string('cmdline');
  const [root, extra] = [reader.string('root'), reader.string('extra')];
  if (cmdline !== undefined && cmdline !== '') {
    for (const key of ['root', 'extra'])
      if (reader.has(key))
        reader.warn('deprecated', key, reader.position(key), `${key} is ignored beside cmdline; put it into cmdline`);
    return cmdline;
  }
  return [...(root === undefined ? [] : [`root=${root}`]), ...(extra === undefined ? [] : [extra])].join(' ');
}

function actionOf(reader: SettingReader, key: string, otherwise: ShutdownAction): ShutdownAction {
  const action = (reader.string(key) as ShutdownAction | undefined) ?? otherwise;
  if (action.startsWith('coredump-'))
    reader.warn(
      'not-supported',
      key,
      reader.position(key),
      `${key}: core dumps are not supported yet; the domain is ${action === 'coredump-restart' ? 'restarted' : 'destroyed'} without one`,
    );
  return action;
}

/** The machine does it by itself. */
function softResetOf(reader: SettingReader): ShutdownAction {
  const action = actionOf(reader, 'on_soft_reset', 'soft-reset');
  if (action !== 'soft-reset' && !action.startsWith('coredump-'))
    reader.warn(
      'not-supported',
      'on_soft_reset',
      reader.position('on_soft_reset'),
      `on_soft_reset: ${action} is not supported yet; the guest goes on`,
    );
  return action;
}

function disksOf(reader: SettingReader): readonly DiskSpec[] {
  const disks = each(reader, 'disk', (disk) => parseDiskSpec(disk));
  const seen = new Map<number, DiskSpec>();
  for (const disk of disks) {
    const other = seen.get(disk.vdevNumber);
    if (other !== undefined)
      reader.fail(
        disk.position,
        `two disks are ${disk.vdev}`,
        `give this one another vdev; the other one is on line ${other.position.line}`,
      );
    seen.set(disk.vdevNumber, disk);
  }
  return disks;
}

function vifsOf(reader: SettingReader): readonly VifSpec[] {
  const vifs = each(reader, 'vif', parseVifSpec);
  vifs.forEach((vif, index) => {
    const other = vifs.slice(0, index).find(({ devid, mac }) => devid === vif.devid || (mac !== undefined && mac === vif.mac));
    if (other === undefined) return;
    const what = other.devid === vif.devid ? `devid ${vif.devid}` : `the MAC address ${vif.mac}`;
    reader.fail(vif.position, `two vifs have ${what}`, 'give this one another');
  });
  // Said once, however many cards there are.
  const bridged = vifs.find(({ bridge, link }) => bridge !== undefined && link === undefined);
  if (bridged !== undefined)
    reader.warn(
      'not-supported',
      'bridge',
      bridged.position,
      `vif: there are no bridges, and bridge=${bridged.bridge} is only shown; the card has a network in user mode of its own: ` +
        'write link=user to say so, link=switch:NAME for a network of several domains, or link=tap:IFNAME for one of the host',
    );
  return vifs;
}

function sharesOf(reader: SettingReader): readonly P9Spec[] {
  const shares = each(reader, 'p9', parseP9Spec);
  shares.forEach((share, index) => {
    if (shares.slice(0, index).some(({ tag }) => tag === share.tag))
      reader.fail(share.position, `two shares have the tag ${share.tag}`, 'give this one another');
  });
  return shares;
}

function viridianOf(reader: SettingReader): readonly string[] {
  const value = reader.settings.get('viridian')?.value;
  if (value?.kind === 'list') return viridianGroups(reader.strings('viridian'));
  return reader.boolean('viridian') === true ? defaultViridianGroups() : [];
}
