// The commands of a toolstack, named and shaped as xl's.
import type { CommandRow } from './command-row.ts';
import { JSON_OPTION } from './control-rows.ts';
import { CHECK_JIT, PROFILE, SYSTEM_MAP } from './engine-options.ts';

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
      { name: 'pty', help: 'offer the console at a pseudo-terminal too, for minicom and its kin; needs koffi' },
      { ...PROFILE, help: "measure where the time goes, for the domain's log; with a file, write a trace for Perfetto too" },
      SYSTEM_MAP,
      CHECK_JIT,
      { name: 'clock', value: 'clock', help: "real or virtual, over the configuration's clock=: see dom1 help run" },
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
      "It returns when the domain runs. on_poweroff, on_reboot, on_crash and on_watchdog are done by the domain's process, which lasts as long as the domain. Its log and the console's are in the directory log of the runtime directory, as NAME.log and NAME.console.log; those of further consoles as NAME.console-1.log and so on.",
      '--json prints {"id", "name", "uuid", "domid", "pid", "log"}; with --dryrun there is the configuration instead.',
    ],
  },
  {
    ...ON_DOMAIN,
    name: 'console',
    arguments: ['domain'],
    summary: "attach to a guest's console; Ctrl-] leaves it",
    options: [
      { name: 'num', short: 'n', value: 'number', help: 'which console: 0, the default, is the primary one (hvc0 in Linux)' },
      { name: 'type', short: 't', value: 'type', help: 'pv, the only type there is' },
      { name: 'list', short: 'l', help: 'list the consoles' },
      { name: 'no-history', help: 'only what the guest prints from now on' },
      { name: 'history', help: 'print the last 64 KiB that the guest has printed, and leave' },
      { name: 'exclusive', short: 'x', help: 'nobody else may type meanwhile' },
    ],
    notes: [
      'It begins with the last 64 KiB that the guest has printed, and ends when the domain ends. Any number of terminals may be attached. Without a terminal, stdin is typed into the guest, and its end is only the end of typing.',
      "Xen's consoles have no size, so the guest is not told that of the terminal, nor when it changes: `stty rows 50 cols 132` in the guest sets it, and `resize`, where there is one, finds it out.",
    ],
  },
  {
    ...ON_DOMAIN,
    name: 'dmesg',
    arguments: ['domain'],
    summary: "print the last 64 KiB of a domain's hypervisor log",
    options: [{ name: 'clear', short: 'c', help: 'and forget it' }, JSON_OPTION],
    notes: ['--json prints {"log"}: the text.'],
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
  {
    ...ON_DOMAIN,
    name: 'mem-max',
    arguments: ['domain', 'size'],
    summary: "limit what a guest's balloon may reach, in MiB",
    notes: [
      'A size may have k, m or g behind it: no less than the target (mem-set), no more than maxmem of the configuration. What the guest has it keeps.',
    ],
  },
  { ...ON_DOMAIN, name: 'rename', arguments: ['domain', 'name'], summary: 'give a domain another name' },
  {
    ...ON_DOMAIN,
    name: 'domid',
    arguments: ['domain'],
    summary: 'print the id of a domain',
    options: [JSON_OPTION],
    notes: ['--json prints {"id", "name"}.'],
  },
  {
    ...ON_DOMAIN,
    name: 'domname',
    arguments: ['domain'],
    summary: 'print the name of a domain',
    options: [JSON_OPTION],
    notes: ['--json prints {"id", "name"}.'],
  },
  {
    ...ON_DOMAIN,
    name: 'vcpu-list',
    arguments: ['[domain...]'],
    summary: 'list the virtual CPUs of domains',
    options: [JSON_OPTION],
    notes: [
      'A virtual CPU runs (r--), waits for an event (-b-), or is offline or held (--p).',
      '--json prints a list of {"name", "id", "vcpu", "state", "time"}, time in seconds.',
    ],
  },
  {
    ...ON_DOMAIN,
    name: 'uptime',
    arguments: ['[domain...]'],
    summary: 'print how long domains have been running',
    options: [JSON_OPTION],
    notes: ['--json prints a list of {"name", "id", "seconds"}.'],
  },
  {
    ...ON_HOST,
    name: 'top',
    arguments: [],
    summary: 'show again and again how much of the host each domain uses',
    options: [
      { name: 'delay', short: 'd', value: 'seconds', help: 'time between two looks (default 3)' },
      { name: 'iterations', short: 'i', value: 'count', help: 'end after so many looks' },
      { name: 'batch', short: 'b', help: 'print one table after the other, as without a terminal' },
      { name: 'vcpus', short: 'v', help: 'and the time of each virtual CPU' },
      { name: 'networks', short: 'n', help: 'and what went through each network card' },
      { name: 'vbds', short: 'x', help: 'and what went through each disk' },
      { name: 'repeat-header', short: 'r', help: 'the header before each domain' },
      { name: 'full-name', short: 'f', help: 'names as long as they are' },
      { name: 'json', help: 'print a line of JSON at each look' },
    ],
    notes: [
      'It looks like xentop(1) and has its keys: d asks for another delay, n, b, v, r and f show more or less, s and S sort by the next and the last column, the arrows scroll, and q ends it. States are r (running), b (blocked), p (paused), s (shut down), c (crashed) and d (dying). Networks count as the guest does: what it sends is TX. MIPS are million instructions of the guest a second.',
      '--json prints a list of {"id", "name", "state", "cpuSeconds", "cpuPercent", "vcpuSeconds": [{"vcpu", "seconds"}], "instructions", "mips", "memoryKib", "memoryPercent", "maxMemoryKib", "maxMemoryPercent", "vcpus", "disks": [{"vdev", "devid", "oo-requests", "read-requests", "write-requests", "read-sectors", "write-sectors", "errors"}], "vifs": [{"devid", "mac", "rx-bytes", "rx-packets", "rx-errors", "rx-dropped", "tx-bytes", "tx-packets", "tx-errors", "tx-dropped"}], "atMs"}. A sector has 512 bytes; cpuPercent and mips are null in the first look.',
    ],
  },
  {
    ...ON_HOST,
    name: 'info',
    arguments: [],
    summary: 'print what is known of the host',
    options: [JSON_OPTION],
    notes: ['Memory is in MiB. --json prints one object with the same names.'],
  },
  {
    ...ON_HOST,
    name: 'explain',
    arguments: ['thing...'],
    summary: 'explain a name or a number of the platform: a hypercall, an error, a key of a configuration',
    options: [JSON_OPTION],
    notes: [
      'A thing is a name, such as EINVAL, event_channel_op, SCHEDOP_poll, xen.evtchn_send or on_crash; a kind and a number or a name, such as hypercall 32, errno 22, shutdown 3, msr 0x40000000, cpuid 0x40000001 or key memory; a kind alone, for all of it; or evtchn 5 of web, in a domain that runs. The kinds are hypercall, errno, shutdown, virq, xenbus, param, msr, cpuid, viridian, key, exit, tracepoint and monitor.',
      '--json prints a list of {"kind", "name", "number", "aliases", "text"}.',
    ],
  },
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
