// The commands on PV devices of a domain, named and shaped as xl's.
import type { CommandRow, OptionRow } from './command-row.ts';
import { JSON_OPTION } from './control-rows.ts';

const ROW = { options: [], guestCommandLine: false, notes: [], on: 'domain' } as const;
const FORCE: OptionRow = { name: 'force', short: 'f', help: 'take it away at once, whatever the guest does with it' };
const TIMEOUT: OptionRow = { name: 'timeout', value: 'seconds', help: 'the time that the guest has (default 10)' };
const NO_WAIT: OptionRow = { name: 'no-wait', help: 'offer it, and do not wait until the guest uses it' };
const DRYRUN: OptionRow = { name: 'dryrun', short: 'n', help: 'print what the words say, as JSON, and attach nothing' };
const KEPT =
  'A guest that is restarted (on_reboot, on_crash) has it again. A guest that is paused is offered it for later. Nothing is left of what the guest does not take in time.';

export const DEVICE_ROWS: readonly CommandRow[] = [
  {
    ...ROW,
    name: 'block-attach',
    arguments: ['domain', 'disk-spec...'],
    summary: 'give a running guest a disk',
    options: [TIMEOUT, NO_WAIT, DRYRUN, JSON_OPTION],
    notes: [
      'The words are those of xl-disk-configuration(5), in one piece or in several: dom1 block-attach web data.qcow2,qcow2,xvdb,w. A path is relative to where the command is given.',
      KEPT,
      '--json prints {"vdev", "devid"}.',
    ],
  },
  {
    ...ROW,
    name: 'block-detach',
    arguments: ['domain', 'vdev|devid'],
    summary: 'take a disk away from a running guest',
    options: [FORCE, TIMEOUT, JSON_OPTION],
    notes: ['A guest that uses the disk keeps it unless --force is given; then it sees errors. --json prints {"vdev", "devid"}.'],
  },
  {
    ...ROW,
    name: 'block-list',
    arguments: ['domain...'],
    summary: 'list the disks of domains',
    options: [JSON_OPTION],
    notes: [
      'Under handle stands the number of the domain, under state that of the frontend: 4 is connected.',
      '--json prints a list of {"domain", "vdev", "devid", "target", "mode", "cdrom", "backend-id", "frontend-id", "state", "event-channel", "ring-ref", "backend", "frontend"}.',
    ],
  },
  {
    ...ROW,
    name: 'cd-insert',
    arguments: ['domain', 'vdev', 'file'],
    summary: "put a disc into a guest's CD drive",
    notes: ['The disc that was there before is taken out. A path is relative to where the command is given.'],
  },
  { ...ROW, name: 'cd-eject', arguments: ['domain', 'vdev'], summary: "take the disc out of a guest's CD drive" },
  {
    ...ROW,
    name: 'network-attach',
    arguments: ['domain', '[key=value...]'],
    summary: 'give a running guest a network card',
    options: [TIMEOUT, NO_WAIT, DRYRUN, JSON_OPTION],
    notes: [
      'The words are those of xl-network-configuration(5): dom1 network-attach web mac=00:16:3e:00:00:01 hostfwd=tcp::2222-:22. Without any it is a card with a random address.',
      KEPT,
      '--json prints {"devid", "mac"}.',
    ],
  },
  {
    ...ROW,
    name: 'network-detach',
    arguments: ['domain', 'devid|mac'],
    summary: 'take a network card away from a running guest',
    options: [FORCE, TIMEOUT, JSON_OPTION],
    notes: [
      'A guest that does not let go of it in time loses it all the same, and with --force at once. --json prints {"devid", "mac"}.',
    ],
  },
  {
    ...ROW,
    name: 'network-list',
    arguments: ['domain...'],
    summary: 'list the network cards of domains',
    options: [JSON_OPTION],
    notes: [
      'Under handle stands the number of the card, under state that of the frontend: 4 is connected.',
      '--json prints a list of {"domain", "devid", "mac", "backend-id", "frontend-id", "state", "event-channel", "tx-ring-ref", "rx-ring-ref", "backend", "frontend"}.',
    ],
  },
];
