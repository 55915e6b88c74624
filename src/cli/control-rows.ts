// The commands on a domain that runs already.
import type { CommandRow, OptionRow } from './command-row.ts';

export const JSON_OPTION: OptionRow = { name: 'json', help: 'print JSON' };

const ROW = { options: [], guestCommandLine: false, notes: [], on: 'domain' } as const;

export const CONTROL_ROWS: readonly CommandRow[] = [
  {
    ...ROW,
    name: 'list',
    arguments: ['[domain...]'],
    summary: 'list the domains that run, or some of them',
    options: [{ name: 'long', short: 'l', help: 'what each domain was made of, as JSON' }, JSON_OPTION],
    notes: [
      '--json prints a list of {"id", "name", "pid", "started", "state", "domid", "uuid", "vcpus", "memory"}, memory in bytes; of a domain that does not answer state is "no answer" and the rest is not there.',
      'A domain is called by its name or its id. Domains are found in $XDG_RUNTIME_DIR/dom1, or else in dom1-<uid> in the directory for temporary files; only their own user sees them.',
    ],
  },
  { ...ROW, name: 'pause', arguments: ['domain'], summary: 'stop the virtual CPUs and the time of a domain' },
  { ...ROW, name: 'unpause', arguments: ['domain'], summary: 'let a paused domain go on' },
  {
    ...ROW,
    name: 'resume',
    arguments: ['domain'],
    summary: 'let a guest go on that suspended itself',
    options: [{ name: 'cancelled', short: 'c', help: 'as if the suspend had failed' }],
    notes: [
      'The guest finds new event channels, grant tables and shared pages, as after a restore, and sets them up again; with -c it finds everything as it was.',
    ],
  },
  { ...ROW, name: 'reset', arguments: ['domain'], summary: 'reset a domain, as if power was cut and came back' },
  {
    ...ROW,
    name: 'shutdown',
    arguments: ['domain'],
    summary: 'ask a guest to power off',
    options: [
      { name: 'reboot', help: 'ask it to reboot instead' },
      { name: 'suspend', help: 'ask it to suspend itself instead' },
      { name: 'wait', short: 'w', help: 'wait until it has done so' },
    ],
    notes: [
      'The guest is asked through control/shutdown in XenStore. It takes its time, and a guest that does not watch that node does nothing.',
    ],
  },
  {
    ...ROW,
    name: 'reboot',
    arguments: ['domain'],
    summary: 'ask a guest to reboot',
    options: [{ name: 'wait', short: 'w', help: 'wait until it has done so' }],
    notes: ['Like dom1 shutdown --reboot. What follows is up to on_reboot in the configuration.'],
  },
  { ...ROW, name: 'destroy', arguments: ['domain'], summary: 'end a domain at once, without asking the guest' },
  {
    ...ROW,
    name: 'trigger',
    arguments: ['domain', 'nmi|reset', '[vcpu]'],
    summary: 'send a non-maskable interrupt, or reset',
    notes: ['The interrupt goes to virtual CPU 0 unless another one is named.'],
  },
  {
    ...ROW,
    name: 'event-list',
    arguments: ['domain'],
    summary: 'list the event channels that are not closed',
    options: [JSON_OPTION],
    notes: [
      'Under target stands the port at the other end, or the number of the VIRQ or PIRQ.',
      '--json prints a list of {"port", "vcpu", "type", "remote-domain", "target", "pending", "masked", "priority"}; priority is of FIFO event channels only.',
    ],
  },
  {
    ...ROW,
    name: 'event-inject',
    arguments: ['domain', 'port'],
    summary: 'make an event channel pending',
    notes: ['It is delivered as usual: a masked port stays pending.'],
  },
  {
    ...ROW,
    name: 'grant-list',
    arguments: ['domain'],
    summary: 'list the grants that are in use',
    options: [JSON_OPTION],
    notes: ['--json prints a list of {"ref", "type", "domid", "frame", "readonly", "reading", "writing", "readers", "writers"}.'],
  },
  {
    ...ROW,
    name: 'registers',
    arguments: ['domain', '[vcpu]'],
    summary: 'show the registers of a virtual CPU',
    options: [JSON_OPTION],
    notes: [
      '--json prints {"vcpu", "registers", "segments", "control"}: registers by their names, as strings such as "0x1f"; a segment is {"selector", "base", "limit", "attributes"}.',
    ],
  },
  {
    ...ROW,
    name: 'inspect',
    arguments: ['domain', '[path]'],
    summary: 'show the state of a domain as a tree, or one part of it',
    options: [JSON_OPTION],
    notes: ['A path is such as /xen/evtchn. --json prints the same tree; 64-bit values are strings such as "0x1f".'],
  },
  {
    ...ROW,
    name: 'monitor',
    arguments: ['domain'],
    summary: "talk to a domain's monitor: lines of JSON on stdin and stdout",
    notes: [
      'The protocol is like that of QEMU (QMP): {"execute": "query-commands"} lists what there is. It ends when stdin ends and every request is answered, or when the domain ends.',
    ],
  },
];
