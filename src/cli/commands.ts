// The commands and their options: --help, the parser and its errors are made from this table.

import type { CommandRow, OptionRow } from './command-row.ts';
import { CONTROL_ROWS } from './control-rows.ts';
import { DEVICE_ROWS } from './device-rows.ts';
import { DISPLAY_ROWS } from './display-rows.ts';
import { CHECK_JIT, INTERPRET, PROFILE, SYSTEM_MAP } from './engine-options.ts';
import { IMAGE_ROWS } from './image-rows.ts';
import { STORE_ROWS } from './store-rows.ts';
import { TOOLSTACK_ROWS } from './toolstack-rows.ts';

export const GLOBAL_OPTIONS: readonly OptionRow[] = [
  { name: 'help', help: 'show this help' },
  { name: 'version', help: 'show the version' },
];

const MEMORY: OptionRow = { name: 'memory', value: 'size', help: "the guest's memory, such as 256MiB or 1GiB (default 256MiB)" };
const TIMEOUT: OptionRow = { name: 'timeout', value: 'seconds', help: 'end the guest after this time' };
const TRACE: OptionRow = {
  name: 'trace',
  value: 'glob',
  many: true,
  help: "print the tracepoints that match, such as 'xen.*', on stderr; may be repeated",
};

const NAME: OptionRow = {
  name: 'name',
  value: 'name',
  help: 'what other commands call the guest while it runs (default guest-<id>)',
};

const PTY: OptionRow = { name: 'pty', help: 'offer the console at a pseudo-terminal too, for minicom and its kin; needs koffi' };

const CLOCK: OptionRow = {
  name: 'clock',
  value: 'clock',
  help: 'virtual: guest time is made of instructions, and runs are repeatable; virtual:2026-01-01T00:00:00Z begins then (default real)',
};

const TERMINAL_NOTE = 'On a terminal the keys go to the guest, and Ctrl-] ends it and leaves.';

export const COMMANDS: readonly CommandRow[] = [
  {
    name: 'demo',
    arguments: [],
    summary: "boot Debian's cloud kernel to a root shell",
    options: [
      { name: 'kernel', value: 'file', help: "this kernel instead of Debian's linux-image-cloud-amd64" },
      { name: 'initrd', value: 'file', help: "this initrd instead of one made of Debian's busybox-static" },
      MEMORY,
      NAME,
      TIMEOUT,
      PROFILE,
      SYSTEM_MAP,
      CHECK_JIT,
      CLOCK,
      TRACE,
    ],
    guestCommandLine: false,
    notes: [
      'Kernel and busybox are fetched with apt-get download, without root, and kept in the cache directory ($XDG_CACHE_HOME/dom1 or ~/.cache/dom1).',
      `${TERMINAL_NOTE} Without a terminal a few commands run in the guest, their output is printed, and the guest powers off.`,
    ],
  },
  {
    name: 'run',
    arguments: ['[kernel]'],
    summary: 'boot a kernel with a PVH entry (an ELF file or a bzImage), or a disk image',
    options: [
      { name: 'initrd', value: 'file', help: 'the initial RAM disk' },
      {
        name: 'module',
        value: 'file arguments',
        many: true,
        help: "load the file beside the kernel, with its arguments: 'vmlinuz root=/dev/xvda1'; may be repeated",
      },
      { name: 'multiboot', help: 'enter the kernel the Multiboot way, not by its PVH entry' },
      { name: 'pv', help: "run the kernel as a PV guest, within Xen's PV shim" },
      { name: 'hvm', help: 'run an HVM guest: a PC with a BIOS, which boots the kernel (a bzImage), a disk or a CD' },
      { name: 'cdrom', value: 'image', help: "a CD in an HVM guest's drive; the BIOS tries it after the disks" },
      { name: 'boot', value: 'order', help: 'what the BIOS of an HVM guest tries: c (hard disk), d (CD-ROM), or both, as in dc' },
      { name: 'serial', help: "the console is an HVM guest's first serial port (ttyS0), not the PV console (hvc0)" },
      {
        name: 'disk',
        value: 'disk',
        many: true,
        help: "a disk as xl writes it: 'disk.qcow2,qcow2,xvda,rw'; may be repeated",
      },
      {
        name: 'vif',
        value: 'vif',
        many: true,
        help: "a network card as xl writes it: 'hostfwd=tcp:127.0.0.1:2222-:22'; may be repeated",
      },
      MEMORY,
      NAME,
      TIMEOUT,
      {
        name: 'exec',
        value: 'command',
        help: "run the command in the guest's shell, print its output, power off, exit with its status",
      },
      PTY,
      PROFILE,
      SYSTEM_MAP,
      CLOCK,
      INTERPRET,
      CHECK_JIT,
      TRACE,
    ],
    guestCommandLine: true,
    notes: [
      `The words after -- are the guest's command line; without them it is console=hvc0. ${TERMINAL_NOTE}`,
      "A disk image is the guest's xvda, and what boots is GRUB, which reads the image's grub.cfg: /boot/grub/grub.cfg or /grub/grub.cfg. GRUB and Xen's PV shim are fetched with apt-get download, without root, and kept in the cache directory ($XDG_CACHE_HOME/dom1 or ~/.cache/dom1).",
      'With --hvm a disk image is the first hard disk until PV drivers take it over as xvda, and its own boot loader starts; SeaBIOS and its VGA BIOS are fetched in the same way. The kernel may be left out: dom1 run --hvm --cdrom installer.iso --disk new.qcow2,qcow2,xvda,rw. What is on the screen is seen with dom1 screenshot, and keys come from dom1 sendkey.',
      "A hypervisor is a kernel, too: dom1 run xen-shim --module 'vmlinuz console=hvc0' --module initrd -- console=xen,pv",
      'Otherwise what the guest prints goes to stdout and stdin is typed into it; --exec waits for a prompt on the console and prints the output of the command alone.',
    ],
  },
  {
    name: 'qemu',
    arguments: ['[options...]'],
    summary: "boot a Xen guest as QEMU's command line describes it",
    options: [],
    guestCommandLine: false,
    ownSyntax: true,
    notes: [
      'Options: -kernel, -initrd, -append, -m, -smp, -name, -drive (if=xen, or if=none with -device xen-disk), -netdev user and -device xen-net-device, -nic user,model=xen-net-device, -nographic, -display none, -serial stdio. -machine, -accel and -cpu are taken and mean nothing: the machine is Xen. Others are refused by name.',
      "A kernel with a multiboot header, such as Xen, is entered that way, and -initrd 'vmlinuz console=hvc0,initrd' are its modules: dom1 qemu -kernel xen-shim -initrd vmlinuz,initrd -append 'console=xen,pv -- console=hvc0 root=/dev/xvda1'",
      TERMINAL_NOTE,
    ],
  },
  ...TOOLSTACK_ROWS,
  ...CONTROL_ROWS,
  ...DEVICE_ROWS,
  ...DISPLAY_ROWS,
  ...STORE_ROWS,
  ...IMAGE_ROWS,
  {
    name: 'help',
    arguments: ['[command...]'],
    summary: 'explain a command',
    options: [],
    guestCommandLine: false,
    notes: [],
  },
];
