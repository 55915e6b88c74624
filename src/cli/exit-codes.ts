// How dom1 exits. `--exec` passes on the command's own status, which may be any of these numbers too.

export const EXIT_CODE = {
  ok: 0,
  /** A running domain would not do what it was asked, or a XenStore node is not there. */
  refused: 1,
  /** Of `image check`: the image has errors, or only clusters that are counted and not used. */
  imageErrors: 2,
  imageLeaks: 3,
  usage: 64,
  input: 65,
  monitor: 70,
  crash: 80,
  reset: 81,
  watchdog: 82,
  early: 84,
  timeout: 124,
  /** 128 + the signal's number, as shells have it. */
  signal: 128,
} as const;

/** For `--help`. */
export const EXIT_CODE_HELP: readonly (readonly [string, string])[] = [
  ['0', 'the guest powered off, or you left it with Ctrl-]'],
  ['0..255', "with --exec: the command's own status"],
  [`${EXIT_CODE.usage}`, 'the command line is wrong'],
  [
    `${EXIT_CODE.input}`,
    'a file, the memory size or the host will not do: no kernel, no PVH entry, too little memory, no package tool',
  ],
  [`${EXIT_CODE.monitor}`, 'dom1 itself failed: a bug'],
  [`${EXIT_CODE.crash}`, 'the guest crashed: it said so, or triple-faulted'],
  [`${EXIT_CODE.reset}`, 'the guest asked for a reboot'],
  [`${EXIT_CODE.watchdog}`, "the guest's watchdog ran out"],
  [`${EXIT_CODE.early}`, 'with --exec: the guest powered off before the command had ended'],
  [`${EXIT_CODE.timeout}`, 'the time given with --timeout was over'],
  ['129, 130, 143', 'dom1 got SIGHUP, SIGINT (Ctrl-C) or SIGTERM, and ended the guest'],
];

/** For `--help`: of the commands on a running domain. */
export const CONTROL_EXIT_CODE_HELP: readonly (readonly [string, string])[] = [
  ['0', 'done'],
  [`${EXIT_CODE.refused}`, 'the domain refused: no such XenStore node, port or path, or not in this state'],
  [`${EXIT_CODE.usage}`, 'the command line is wrong'],
  [`${EXIT_CODE.input}`, 'there is no such domain, it ended meanwhile, or it does not answer'],
  [`${EXIT_CODE.monitor}`, 'dom1 itself failed: a bug'],
];

/** For `--help`: of the commands on disk images. */
export const IMAGE_EXIT_CODE_HELP: readonly (readonly [string, string])[] = [
  ['0', 'done'],
  [`${EXIT_CODE.imageErrors}`, 'check: the image has errors'],
  [`${EXIT_CODE.imageLeaks}`, 'check: the image is sound, but has clusters that nobody uses'],
  [`${EXIT_CODE.usage}`, 'the command line is wrong'],
  [`${EXIT_CODE.input}`, 'the image is not there, is in use, is damaged, or will not do'],
  [`${EXIT_CODE.monitor}`, 'dom1 itself failed: a bug'],
];
