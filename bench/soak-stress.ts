// What stress-ng runs in a soak: stressors of five classes, in turns, each checking its own results.

/** A run of stress-ng. */
interface Turn {
  readonly name: string;
  /** One instance of each. */
  readonly stressors: readonly string[];
  /** How many times as long as others. */
  readonly weight: number;
  readonly user: 'root' | 'nobody';
}

/** By class. Each class begins with the stressor that it is named after, which has a round's longest turn. */
const CLASSES = {
  cpu: [
    'cpu fp vecfp matrix vecmath crypt funccall regs str wcs zlib hash qsort mergesort heapsort radixsort shellsort bsearch',
    'hsearch lsearch tsearch list tree skiplist goto longjmp funcret atomic branch icache memcpy misaligned nop opcode',
    'matrix-3d sparsematrix vecshuf vecwide rotate jpeg stream tsc x86cpuid cache lockbus',
  ],
  vm: [
    'vm mmap malloc brk mremap mprotect madvise mincore mmapaddr mmapfixed mmapfork mmapmany msync pageswap remap shm shm-sysv',
    'stackmmap userfaultfd vm-addr vm-rw vm-segv vm-splice fault memfd mlock tlb-shootdown memrate memthrash null zero',
  ],
  fork: ['fork vfork clone exec daemon spawn vforkmany zombie wait session pthread exit-group'],
  switch: ['switch context yield sem sem-sysv pipe pipeherd futex eventfd msg mq mutex sockpair poll resched hrtimers nanosleep'],
  signal: [
    'signal sigabrt sigchld sigfd sigfpe sigio signest sigpending sigpipe sigq sigrt sigsegv sigsuspend sigtrap',
    'kill bad-altstack itimer timer alarm ptrace',
  ],
} as const;
export type StressClass = keyof typeof CLASSES;
export const STRESS_CLASSES = Object.keys(CLASSES) as readonly StressClass[];

/** So much of the guest's RAM that nothing is killed for want of it. */
const OPTIONS: Readonly<Record<string, string>> = {
  cpu: '--cpu-method all',
  vm: '--vm-method all --vm-bytes 128M',
  mmap: '--mmap-bytes 128M',
  malloc: '--malloc-bytes 128M',
  memrate: '--memrate-bytes 64M',
  mremap: '--mremap-bytes 64M',
};

/** They refuse to run as root. */
const UNPRIVILEGED: ReadonlySet<string> = new Set(['exec', 'spawn']);

/** A round: a stressor of each class in turn, so that the first minutes have had them all, then the five together. */
function turns(): Turn[] {
  const lists = Object.values(CLASSES).map((lines) => lines.join(' ').split(' '));
  const longest = Math.max(...lists.map(({ length }) => length));
  const round: Turn[] = [];
  for (let at = 0; at < longest; at++) {
    for (const list of lists) {
      const name = list[at];
      if (name !== undefined) {
        const user = UNPRIVILEGED.has(name) ? 'nobody' : 'root';
        round.push({ name, stressors: [name], weight: at === 0 ? 6 : 1, user });
      }
    }
    if (at === 0) round.push({ name: 'all-five', stressors: lists.map((list) => list[0] as string), weight: 6, user: 'root' });
  }
  return round;
}

/** Seconds that a turn may take beyond its own time before it counts as hung. */
const PATIENCE = 240;

/**
 * Commands for the guest, whose root with stress-ng is at /mnt: rounds until the time is over. Each turn is a line `@@B name.`, what
 * stress-ng prints, and `@@E name status.`.
 * @param seconds of an ordinary turn
 */
export function stressCommands(minutes: number, seconds: number): string[] {
  return [
    `end=$(($(date +%s) + ${Math.round(minutes * 60)}))`,
    'turn() {',
    '  [ "$(date +%s)" -lt "$end" ] || return',
    '  name=$1 time=$2 user=$3; shift 3',
    '  echo "@@B $name."',
    `  timeout -s KILL $((time + ${PATIENCE})) chroot /mnt /usr/bin/setpriv --reuid "$user" stress-ng --verify --oom-avoid --temp-path /tmp --timeout "$time" "$@"`,
    '  echo "@@E $name $?."',
    '}',
    'while [ "$(date +%s)" -lt "$end" ]; do',
    ...turns().map(({ name, stressors, weight, user }) => {
      const words = stressors.map((stressor) => `--${stressor} 1 ${OPTIONS[stressor] ?? ''}`.trim());
      return `turn ${name} ${seconds * weight} ${user} ${words.join(' ')}`;
    }),
    'done',
  ];
}

/** stress-ng's exit statuses that say nothing against the machine: no resources, not implemented here. */
export const STRESS_SKIPPED: ReadonlySet<number> = new Set([3, 4]);
