// The commands of a toolstack, named and shaped as xl's.
import type { CommandRow } from './command-row.ts';
import { JSON_OPTION } from './control-rows.ts';

const ON_HOST = { options: [], guestCommandLine: false, notes: [], on: 'host' } as const;
const ON_DOMAIN = { options: [], guestCommandLine: false, notes: [], on: 'domain' } as const;

export const TOOLSTACK_ROWS: readonly CommandRow[] = [
  {
    ...ON_HOST,
    name: 'create',
    arguments: ['config', '[key=value...]'],
    summary: 'make a domain of a configuration as xl has them, and run it in the background',
    options: [
      { name: 'console', short: 'c', help: 'attach its console' },
      { name: 'paused', short: 'p', help: 'leave it paused: dom1 unpause starts it' },
      { name: 'dryrun', short: 'n', help: 'print what the configuration says, as JSON, and make nothing' },
      { name: 'console-log', value: 'file', help: 'write what the guest prints there' },
      {
        name: 'trace',
        value: 'glob',
        many: true,
        help: "write the tracepoints that match, such as 'xen.*', to the domain's log; may be repeated",
      },
      JSON_OPTION,
    ],
    notes: [
      'The configuration is what xl.cfg(5) describes. Words after it are settings too, over what the file says: memory=512. Keys that are unknown or not supported yet are named on stderr.',
      "It returns when the domain runs. on_poweroff, on_reboot, on_crash and on_watchdog are done by the domain's process, which lasts as long as the domain. Its log and the console's are in the directory log of the runtime directory, as NAME.log and NAME.console.log.",
    ],
  },
  {
    ...ON_DOMAIN,
    name: 'console',
    arguments: ['domain'],
    summary: "attach to a guest's console; Ctrl-] leaves it",
    options: [
      { name: 'no-history', help: 'only what the guest prints from now on' },
      { name: 'history', help: 'print the last 64 KiB that the guest has printed, and leave' },
      { name: 'exclusive', short: 'x', help: 'nobody else may type meanwhile' },
    ],
    notes: [
      'It begins with the last 64 KiB that the guest has printed, and ends when the domain ends. Any number of terminals may be attached. Without a terminal, stdin is typed into the guest, and its end is only the end of typing.',
    ],
  },
  {
    ...ON_DOMAIN,
    name: 'dmesg',
    arguments: ['domain'],
    summary: "print the last 64 KiB of a domain's hypervisor log",
    options: [{ name: 'clear', short: 'c', help: 'and forget it' }],
  },
  {
    ...ON_DOMAIN,
    name: 'sysrq',
    arguments: ['domain', 'key'],
    summary: 'press a magic SysRq key in a guest',
    notes: [
      'The guest is asked through control/sysrq in XenStore; what a key does is up to it: h shows the keys on its console.',
    ],
  },
  {
    ...ON_DOMAIN,
    name: 'mem-set',
    arguments: ['domain', 'size'],
    summary: "set the target of a guest's balloon, in MiB",
    notes: [
      'A size may have k, m or g behind it. A guest takes its time, and one without a balloon driver does nothing. The limit is maxmem of the configuration.',
    ],
  },
  { ...ON_DOMAIN, name: 'rename', arguments: ['domain', 'name'], summary: 'give a domain another name' },
  {
    ...ON_DOMAIN,
    name: 'domid',
    arguments: ['domain'],
    summary: 'print the id of a domain',
    options: [JSON_OPTION],
  },
  {
    ...ON_DOMAIN,
    name: 'domname',
    arguments: ['domain'],
    summary: 'print the name of a domain',
    options: [JSON_OPTION],
  },
  {
    ...ON_DOMAIN,
    name: 'vcpu-list',
    arguments: ['[domain...]'],
    summary: 'list the virtual CPUs of domains',
    options: [JSON_OPTION],
    notes: ['A virtual CPU runs (r--), waits for an event (-b-), or is offline or held (--p).'],
  },
  {
    ...ON_DOMAIN,
    name: 'uptime',
    arguments: ['[domain...]'],
    summary: 'print how long domains have been running',
    options: [JSON_OPTION],
  },
  {
    ...ON_HOST,
    name: 'top',
    arguments: [],
    summary: 'show again and again how much of the host each domain uses',
    options: [
      { name: 'delay', short: 'd', value: 'seconds', help: 'time between two looks (default 3)' },
      { name: 'iterations', short: 'i', value: 'count', help: 'end after so many looks' },
      { name: 'batch', short: 'b', help: 'print one table after the other, without clearing the screen' },
      { name: 'json', help: 'print a line of JSON at each look' },
    ],
    notes: [
      'On a terminal q ends it. States are r (running), b (blocked), p (paused), s (shut down), c (crashed) and d (dying). MIPS are million instructions of the guest a second.',
    ],
  },
  { ...ON_HOST, name: 'info', arguments: [], summary: 'print what is known of the host', options: [JSON_OPTION] },
  {
    ...ON_HOST,
    name: 'completion',
    arguments: ['shell'],
    summary: 'print what completes dom1 in a shell: bash, zsh or fish',
    notes: [
      'bash: eval "$(dom1 completion bash)" in ~/.bashrc. zsh: dom1 completion zsh >_dom1 in a directory of $fpath. fish: dom1 completion fish >~/.config/fish/completions/dom1.fish',
    ],
  },
  { ...ON_HOST, name: 'man-page', arguments: [], summary: 'print the manual page dom1(1), in roff' },
];
