// The Debian root that real programs are measured in, and what is run there.
import type { DebianRecipe } from '../test/guest/debian-root/recipe.ts';

export interface Program {
  readonly name: string;
  /** For the guest's bash, in the directory /bench; it stops where something fails, in pipes too. */
  readonly command: string;
}

export const PROGRAMS: readonly Program[] = [
  { name: 'gzip', command: 'gzip -6 -c data | wc -c' },
  { name: 'xz', command: 'head -c 4M data > part && xz -6 -c part | wc -c' },
  { name: 'sha256sum', command: 'sha256sum data' },
  { name: 'python3', command: 'python3 sort.py' },
  { name: 'python3-start', command: "for i in 1 2 3; do python3 -c 'import json, re'; done" },
  {
    name: 'perl',
    command: `perl -e 'my %h; $h{$_ % 1009} .= chr(65 + $_ % 26) for 1..400000; print length(join "", sort values %h), "\\n"'`,
  },
  { name: 'openssl-sha256', command: 'openssl dgst -sha256 data data' },
  {
    name: 'openssl-aes',
    command:
      'openssl enc -aes-128-ctr -K 0123456789abcdef0123456789abcdef -iv 0123456789abcdef0123456789abcdef -in data -out /dev/null',
  },
  // 2^2203 - 1: modular powers of numbers as long as a key of RSA.
  { name: 'openssl-prime', command: `openssl prime -hex -checks 64 7${'F'.repeat(550)}` },
  { name: 'gcc', command: 'gcc -O2 -x c -DSTB_IMAGE_IMPLEMENTATION -c /usr/include/stb/stb_image.h -o /dev/null' },
  { name: 'find', command: 'find / -xdev -type f | sort | tail -1' },
];

export const PROGRAM_ROOT: DebianRecipe = {
  packages: ['gcc', 'libc6-dev', 'libstb-dev', 'openssl', 'python3', 'bzip2', 'xz-utils', 'perl-base'],
  size: '1G',
  files: {
    ...Object.fromEntries(PROGRAMS.map(({ name, command }) => [`bench/rows/${name}`, `cd /bench\n${command}\n`])),
    'bench/sort.py': `import random
random.seed(1)
words = [random.getrandbits(40) for _ in range(40000)]
counts = {}
for word in words:
    counts[word % 997] = counts.get(word % 997, 0) + 1
words.sort()
print(sum(len(str(w)) for w in words), max(counts.values()))
`,
  },
  // What is compressed and hashed are programs of Debian's.
  customise: `set -e
tar -cf "$1/bench/data" --sort=name --mtime=@0 --owner=0 --group=0 -C "$1" usr/bin usr/lib/x86_64-linux-gnu/libcrypto.so.3
truncate -s 32M "$1/bench/data"
rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/*`,
};
