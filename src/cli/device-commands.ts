// What the commands on PV devices do: block-attach, network-list and the like.
import type { ListedDisk, ListedVif } from '../control/device-listing.ts';
import { diskOfWords, vifOfWords } from '../control/device-words.ts';
import type { ControlClient } from '../node/control-client.ts';
import { type Invocation, optionValue, UsageError } from './arguments.ts';
import { type CommandIo, printJson } from './command-io.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { openDomain } from './open-domain.ts';

type Implementation = (invocation: Invocation, io: CommandIo) => Promise<number>;

/** The options of those that wait for a guest, as the monitor has them. */
function waiting(invocation: Invocation): Readonly<Record<string, unknown>> {
  const text = optionValue(invocation, 'timeout');
  const seconds = text === undefined ? undefined : /^\d{1,4}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (seconds !== undefined && !(seconds <= 3600))
    throw new UsageError(`'${text}' is no time for --timeout; give seconds, up to 3600`);
  return {
    ...(seconds !== undefined && { timeout: Math.round(seconds * 1000) }),
    ...(invocation.options.has('no-wait') && { wait: false }),
    ...(invocation.options.has('force') && { force: true }),
  };
}

/** Sends one command, and prints what it returns if JSON is wanted. */
async function change(
  invocation: Invocation,
  io: CommandIo,
  command: string,
  given: Readonly<Record<string, unknown>>,
): Promise<number> {
  using client = await openDomain(invocation.positionals[0] as string, io);
  const answer = await client.execute(command, given);
  if (invocation.options.has('json')) printJson(io, answer);
  return EXIT_CODE.ok;
}

const blockAttach: Implementation = async (invocation, io) => {
  const [, ...disk] = invocation.positionals;
  const spec = diskOfWords(disk);
  const given = { disk, directory: process.cwd(), ...waiting(invocation) };
  if (!invocation.options.has('dryrun')) return await change(invocation, io, 'block_attach', given);
  printJson(io, spec);
  return EXIT_CODE.ok;
};

const networkAttach: Implementation = async (invocation, io) => {
  const [, ...vif] = invocation.positionals;
  const spec = vifOfWords(vif, 0);
  const given = { vif, directory: process.cwd(), ...waiting(invocation) };
  if (!invocation.options.has('dryrun')) return await change(invocation, io, 'network_attach', given);
  printJson(io, spec);
  return EXIT_CODE.ok;
};

const detach =
  (command: string, argument: string): Implementation =>
  async (invocation, io) => {
    const device = invocation.positionals[1];
    return await change(invocation, io, command, { [argument]: device, ...waiting(invocation) });
  };

const cdInsert: Implementation = (invocation, io) => {
  const [, vdev, target] = invocation.positionals;
  return change(invocation, io, 'cd_change', { vdev, target, directory: process.cwd() });
};

const cdEject: Implementation = (invocation, io) => change(invocation, io, 'cd_change', { vdev: invocation.positionals[1] });

/** Every domain is asked, or none is printed. */
async function ofDomains<T>(
  { positionals }: Invocation,
  io: CommandIo,
  command: string,
): Promise<readonly (T & { readonly domain: string })[]> {
  const lists = await Promise.all(
    positionals.map(async (name) => {
      using client: ControlClient = await openDomain(name, io);
      const { domain } = await client.greeting;
      return ((await client.execute(command)) as readonly T[]).map((row) => ({ domain: domain.name, ...row }));
    }),
  );
  return lists.flat();
}

/** xl's columns are as wide as its format says. A number that the guest has not told is -1. */
const cells = (widths: readonly number[], values: readonly (string | number | null)[]): string =>
  values
    .map((value, i) => String(value ?? -1).padEnd(widths[i] ?? 0))
    .join(' ')
    .trimEnd();

const BLOCK_WIDTHS = [5, 3, 6, 5, 6, 8, 30];

const blockList: Implementation = async (invocation, io) => {
  const disks = await ofDomains<ListedDisk>(invocation, io, 'query-block');
  if (invocation.options.has('json')) printJson(io, disks);
  else {
    const rows = disks.map((disk) => [
      disk.devid,
      disk['backend-id'],
      disk['frontend-id'],
      disk.state,
      disk['event-channel'],
      disk['ring-ref'],
      disk.backend,
    ]);
    const lines = [['Vdev', 'BE', 'handle', 'state', 'evt-ch', 'ring-ref', 'BE-path'], ...rows];
    io.out(lines.map((row) => `${cells(BLOCK_WIDTHS, row)}\n`).join(''));
  }
  return EXIT_CODE.ok;
};

const NETWORK_WIDTHS = [3, 2, 17, 6, 5, 6, 17, 30];

const networkList: Implementation = async (invocation, io) => {
  const vifs = await ofDomains<ListedVif>(invocation, io, 'query-network');
  if (invocation.options.has('json')) printJson(io, vifs);
  else {
    const right = (value: number | null, width: number): string => String(value ?? -1).padStart(width);
    const rows = vifs.map((vif) => [
      vif.devid,
      vif['backend-id'],
      vif.mac,
      right(vif.devid, 6),
      right(vif.state, 5),
      right(vif['event-channel'], 6),
      `${right(vif['tx-ring-ref'], 5)}/${vif['rx-ring-ref'] ?? -1}`,
      vif.backend,
    ]);
    const lines = [['Idx', 'BE', 'Mac Addr.', 'handle', 'state', 'evt-ch', '  tx-/rx-ring-ref', 'BE-path'], ...rows];
    io.out(lines.map((row) => `${cells(NETWORK_WIDTHS, row)}\n`).join(''));
  }
  return EXIT_CODE.ok;
};

export const DEVICE_IMPLEMENTATIONS: Readonly<Record<string, Implementation>> = {
  'block-attach': blockAttach,
  'block-detach': detach('block_detach', 'vdev'),
  'block-list': blockList,
  'cd-insert': cdInsert,
  'cd-eject': cdEject,
  'network-attach': networkAttach,
  'network-detach': detach('network_detach', 'device'),
  'network-list': networkList,
};
