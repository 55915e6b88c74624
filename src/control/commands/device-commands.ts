// Commands of the monitor on PV devices: disks and network cards come and go while the guest runs.
import { vdevNumber } from '../../backends/block/vdev.ts';
import { type CommandContext, controlCommand } from '../control-command.ts';
import { ControlError } from '../control-error.ts';
import { type ListedDisk, type ListedVif, listDisks, listVifs } from '../device-listing.ts';
import type { DevicePort } from '../device-port.ts';
import { deviceStatistics } from '../device-statistics.ts';
import { diskOfWords, vifOfWords } from '../device-words.ts';
import { ENDED_STATES, type MonitorTarget } from '../monitor-target.ts';
import { XlConfigError } from '../xl-config/config-error.ts';

/** Milliseconds that a guest has to take a device or to let go of it, as in libxl. */
const DEFAULT_TIMEOUT = 10_000;

const DIRECTORY = {
  type: 'string',
  optional: true,
  help: 'what relative paths are relative to; without it they are refused',
} as const;
const TIMEOUT = {
  type: 'integer',
  optional: true,
  min: 0,
  max: 3_600_000,
  help: `milliseconds that the guest has (default ${DEFAULT_TIMEOUT})`,
} as const;
const WAIT = { type: 'boolean', optional: true, help: 'whether to wait until the guest uses it (default true)' } as const;
const FORCE = { type: 'boolean', optional: true, help: 'take it away at once, whatever the guest does with it' } as const;

function portOf({ host, target }: CommandContext): DevicePort {
  if (host.devices === undefined) throw new ControlError('GenericError', 'devices cannot be attached to this domain');
  if (ENDED_STATES.includes(target.state))
    throw new ControlError('WrongState', `the domain is ${target.state}: its devices cannot be changed`);
  return host.devices;
}

/** Mistakes in what was asked for are the client's. */
function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw error instanceof XlConfigError ? new ControlError('InvalidArgument', error.message) : error;
  }
}

/** A guest that does not run takes nothing: it is offered the device for later. */
function requestOf(
  { target }: CommandContext,
  { directory, timeout = DEFAULT_TIMEOUT, wait = true }: { directory?: string; timeout?: number; wait?: boolean },
): { readonly directory?: string; readonly timeout?: number } {
  return { ...(directory !== undefined && { directory }), ...(wait && target.state === 'running' && { timeout }) };
}

/** The disk of a name or a number, of which several are written alike: xvda, d0, 51712. */
function diskCalled(target: MonitorTarget, name: string): ListedDisk {
  const disks = listDisks(target);
  const number = vdevNumber(name);
  const disk = disks.find(({ devid, vdev }) => vdev === name || devid === number);
  if (disk !== undefined) return disk;
  const names = disks.map(({ vdev }) => vdev).join(', ');
  throw new ControlError('GenericError', `the domain has no disk ${name}; it has ${names === '' ? 'none' : names}`);
}

function vifCalled(target: MonitorTarget, name: string): ListedVif {
  const vifs = listVifs(target);
  const vif = vifs.find(({ devid, mac }) => String(devid) === name || mac === name.toLowerCase());
  if (vif !== undefined) return vif;
  const known = vifs.map(({ devid, mac }) => `${devid} (${mac})`).join(', ');
  throw new ControlError('GenericError', `the domain has no network card ${name}; it has ${known === '' ? 'none' : known}`);
}

function requireDrive(disk: ListedDisk): void {
  if (disk.cdrom) return;
  throw new ControlError(
    'GenericError',
    `${disk.vdev} is no CD drive; its medium stays: use block-detach and block-attach instead`,
  );
}

const stillThere = (what: string): ControlError =>
  new ControlError('GenericError', `the guest does not let go of ${what}; unmount it there, or use --force`);

export const DEVICE_COMMANDS = [
  controlCommand({
    name: 'block_attach',
    help: 'give the guest a disk; nothing is left of one that it does not take',
    arguments: {
      disk: { type: 'strings', help: 'the words of xl-disk-configuration(5)' },
      directory: DIRECTORY,
      timeout: TIMEOUT,
      wait: WAIT,
    },
    async run(context, { disk, ...rest }) {
      const port = portOf(context);
      const spec = parsed(() => diskOfWords(disk));
      if (listDisks(context.target).some(({ devid }) => devid === spec.vdevNumber))
        throw new ControlError('GenericError', `the domain has a disk ${spec.vdev} already; give this one another vdev`);
      await port.attachDisk(spec, requestOf(context, rest));
      return { vdev: spec.vdev, devid: spec.vdevNumber };
    },
  }),
  controlCommand({
    name: 'block_detach',
    help: 'take a disk away from the guest',
    arguments: { vdev: { type: 'string', help: 'such as xvdb, or its number' }, force: FORCE, timeout: TIMEOUT },
    async run(context, { vdev, force = false, timeout = DEFAULT_TIMEOUT }) {
      const port = portOf(context);
      const disk = diskCalled(context.target, vdev);
      const gone = await port.detach('vbd', disk.devid, { force, timeout: force ? 0 : timeout });
      if (!gone) throw stillThere(disk.vdev);
      return { vdev: disk.vdev, devid: disk.devid };
    },
  }),
  controlCommand({
    name: 'query-block',
    help: 'the disks of the guest',
    arguments: {},
    run: ({ target }) => listDisks(target),
  }),
  controlCommand({
    name: 'cd_change',
    help: 'put a disc into a CD drive, or take it out',
    arguments: {
      vdev: { type: 'string', help: 'the drive' },
      target: { type: 'string', optional: true, help: "the disc's file; without it the drive is emptied" },
      directory: DIRECTORY,
    },
    async run(context, { vdev, target, directory }) {
      const port = portOf(context);
      const drive = diskCalled(context.target, vdev);
      requireDrive(drive);
      const spec = parsed(() => diskOfWords([`vdev=${drive.vdev},devtype=cdrom,access=r`, `target=${target ?? ''}`]));
      await port.changeMedium(spec, directory === undefined ? {} : { directory });
    },
  }),
  controlCommand({
    name: 'network_attach',
    help: 'give the guest a network card; nothing is left of one that it does not take',
    arguments: {
      vif: { type: 'strings', help: 'the words of xl-network-configuration(5)' },
      directory: DIRECTORY,
      timeout: TIMEOUT,
      wait: WAIT,
    },
    async run(context, { vif, ...rest }) {
      const port = portOf(context);
      const vifs = listVifs(context.target);
      // libxl__device_nextid: after the last one.
      const next = Math.max(-1, ...vifs.map(({ devid }) => devid)) + 1;
      const spec = parsed(() => vifOfWords(vif, next));
      const other = vifs.find(({ devid, mac }) => devid === spec.devid || mac === spec.mac);
      if (other !== undefined)
        throw new ControlError(
          'GenericError',
          `the domain has a network card ${other.devid} with the address ${other.mac} already; give this one another`,
        );
      await port.attachVif(spec, requestOf(context, rest));
      return {
        devid: spec.devid,
        mac: listVifs(context.target).find(({ devid }) => devid === spec.devid)?.mac ?? spec.mac ?? '',
      };
    },
  }),
  controlCommand({
    name: 'network_detach',
    help: 'take a network card away from the guest; one that does not let go in time loses it all the same',
    arguments: { device: { type: 'string', help: 'its number or its MAC address' }, force: FORCE, timeout: TIMEOUT },
    async run(context, { device, force = false, timeout = DEFAULT_TIMEOUT }) {
      const port = portOf(context);
      const { devid, mac } = vifCalled(context.target, device);
      await port.detach('vif', devid, { force: true, timeout: force ? 0 : timeout });
      return { devid, mac };
    },
  }),
  controlCommand({
    name: 'query-network',
    help: 'the network cards of the guest',
    arguments: {},
    run: ({ target }) => listVifs(target),
  }),
  controlCommand({
    name: 'query-device-statistics',
    help: 'what went through the disks and the network cards',
    arguments: {},
    run: ({ target }) => deviceStatistics(target),
  }),
];
