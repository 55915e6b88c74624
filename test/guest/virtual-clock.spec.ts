// Two runs in virtual time are one: Linux boots to its shell and works on a disk, and every instruction, byte and timestamp agrees,
// while the host's disk is late by chance and its event loop is kept busy.
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Gpa } from '../../src/abi/types.ts';
import { cpioDirectory } from '../../src/image/cpio.ts';
import type { BlockStore } from '../../src/io/block-store.ts';
import { RamStore } from '../../src/io/ram-store.ts';
import type { ClockConfig, DomainEnd } from '../../src/machine/domain-config.ts';
import { demoInitramfs } from '../../src/node/demo-initramfs.ts';
import { kernelModuleFiles } from '../../src/node/kernel-modules.ts';
import { BOOT_TIME, dom1 } from './kernels.ts';
import { xenGuestParts } from './xen-guest.ts';

const parts = await xenGuestParts();
const MIB = 1 << 20;
const MEMORY = 128 * MIB;
const DISK = 16 * MIB;

/** A disk that takes its time, each request another, so that they are done in another order each time. */
function lateStore(): BlockStore {
  const ram = new RamStore(DISK, { contents: Uint8Array.from({ length: DISK }, (_, i) => (i * 7 + (i >> 9)) & 0xff) });
  const late = async (work: () => Promise<void>): Promise<void> => {
    const ms = Math.random() * 6 - 3;
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
    await work();
  };
  return {
    sizeBytes: ram.sizeBytes,
    sectorSize: ram.sectorSize,
    readOnly: false,
    read: (offset, into) => late(() => ram.read(offset, into)),
    write: (offset, from) => late(() => ram.write(offset, from)),
    flush: () => late(() => ram.flush()),
    close: () => ram.close(),
  };
}

/** Keeps the event loop busy, now and then. */
function noise(): Disposable {
  const timer = setInterval(() => {
    const end = performance.now() + Math.random() * 5;
    while (performance.now() < end);
  }, 12);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

interface Run {
  /** Instructions and the hash of the vCPU's path, at the shell and after each command. */
  readonly path: readonly { readonly retired: number; readonly path: string | undefined }[];
  readonly outputs: readonly string[];
  /** All that was printed, as it came. */
  readonly console: string;
  readonly registers: string;
  /** Of the guest's memory after its end. */
  readonly memory: string;
  readonly disk: string;
  readonly end: DomainEnd;
}

const COMMANDS = [
  'for module in /disk/*; do insmod $module || exit 1; done; while ! [ -b /dev/xvda ]; do sleep 0.05; done',
  'md5sum < /dev/xvda',
  // Several requests at a time, of several processes, in both directions.
  'for i in 1 2 3 4; do dd if=/dev/urandom of=/dev/xvda bs=64k count=16 seek=$((i * 32)) conv=fsync 2>/dev/null & done; wait; md5sum < /dev/xvda',
  'echo 3 > /proc/sys/vm/drop_caches; for i in 1 2 3 4; do dd if=/dev/xvda bs=4k skip=$((i * 200)) count=100 2>/dev/null | md5sum & done; wait',
  'seq 1 20000 | md5sum; sleep 2; date +%s; cat /proc/uptime',
  'cat /proc/interrupts /proc/stat',
  'dmesg',
];

async function run(clock: ClockConfig, translate = true, commands: readonly string[] = COMMANDS): Promise<Run> {
  const modules = await kernelModuleFiles(parts!, ['xen-blkfront'], 'disk');
  const store = lateStore();
  await using domain = await dom1.createDomain({
    kernel: parts!.kernel,
    initrd: demoInitramfs(parts!.busybox, [cpioDirectory('disk'), ...modules]),
    memory: MEMORY,
    commandLine: 'console=hvc0 loglevel=7 cryptomgr.notests',
    disks: [{ vdev: 'xvda', store }],
    clock,
    translate,
  });
  let text = '';
  domain.console.onOutput((bytes) => {
    text += new TextDecoder('latin1').decode(bytes);
  });
  using _ = noise();
  domain.run();
  await domain.console.prompt({ timeout: BOOT_TIME });
  const path = [{ retired: domain.retired, path: domain.path }];
  const outputs: string[] = [];
  for (const command of commands) {
    const { output, status } = await domain.sh(command, { timeout: 60_000 });
    expect({ output, status }).toMatchObject({ status: 0 });
    outputs.push(output);
    path.push({ retired: domain.retired, path: domain.path });
  }
  const { text: registers } = await domain.registers();
  domain.console.write('poweroff -f\n');
  const end = await domain.ended;
  path.push({ retired: domain.retired, path: domain.path });
  const disk = new Uint8Array(DISK);
  const hash = createHash('md5');
  const piece = new Uint8Array(4096);
  for (let at = 0; at < MEMORY; at += piece.length) if (domain.memory.read(at as Gpa, piece)) hash.update(piece);
  for (let at = 0; at < DISK; at += MIB) await store.read(at, disk.subarray(at, at + MIB));
  return {
    path,
    outputs,
    console: text,
    registers,
    memory: hash.digest('hex'),
    disk: createHash('md5').update(disk).digest('hex'),
    end,
  };
}

/** The first line in which two texts differ. */
function difference(a: string, b: string): [string | undefined, string | undefined] | undefined {
  const [left, right] = [a.split('\n'), b.split('\n')];
  for (let i = 0; i < Math.max(left.length, right.length); i++) if (left[i] !== right[i]) return [left[i], right[i]];
  return undefined;
}

/** Lines of a kernel's log, with their times. */
const stamped = (text: string): string[] => text.match(/^\[ *\d+\.\d{6}\] .*$/gm) ?? [];

describe.skipIf(parts === undefined)('a guest in virtual time', () => {
  const clock: ClockConfig = { kind: 'virtual' };

  it('runs the same twice', { timeout: 4 * BOOT_TIME }, async () => {
    const [first, second] = [await run(clock), await run(clock)];
    expect(second.path).toEqual(first.path);
    expect(difference(first.console, second.console)).toBeUndefined();
    expect(second).toEqual(first);
    expect(first.end).toMatchObject({ reason: 'poweroff' });
    // There was something to compare.
    expect(stamped(first.console).length).toBeGreaterThan(100);
    expect(new Set(first.path.map(({ path }) => path)).size).toBe(first.path.length);
    // It began at the epoch, and slept two seconds of its own time.
    const [, seconds = ''] = /^(\d{10})$/m.exec(first.outputs[4] ?? '') ?? [];
    expect(Number(seconds)).toBeGreaterThan(1_767_225_600 + 2);
    expect(Number(seconds)).toBeLessThan(1_767_225_600 + 60);
  });

  it('runs the same twice when nothing is translated', { timeout: 4 * BOOT_TIME }, async () => {
    const commands = COMMANDS.slice(0, 2);
    const [first, second] = [await run(clock, false, commands), await run(clock, false, commands)];
    expect(difference(first.console, second.console)).toBeUndefined();
    expect(second).toEqual(first);
  });

  it('does not run the same twice in real time', { timeout: 4 * BOOT_TIME }, async () => {
    const commands = COMMANDS.slice(0, 2);
    const [first, second] = [await run({ kind: 'real' }, true, commands), await run({ kind: 'real' }, true, commands)];
    expect(first.path[0]?.path).toBeUndefined();
    expect(second.end.retired).not.toBe(first.end.retired);
    expect(stamped(second.console)).not.toEqual(stamped(first.console));
    expect(second.memory).not.toBe(first.memory);
    // What was on the disk from the beginning is the same, though.
    expect(second.outputs[1]).toBe(first.outputs[1]);
  });

  it('stands still while a disk does not answer, and can be held meanwhile', { timeout: 2 * BOOT_TIME }, async () => {
    const modules = await kernelModuleFiles(parts!, ['xen-blkfront'], 'disk');
    const ram = new RamStore(MIB);
    let answers = (): void => {};
    let answer: Promise<void> | undefined;
    let asked = 0;
    const store: BlockStore = {
      sizeBytes: ram.sizeBytes,
      sectorSize: ram.sectorSize,
      readOnly: false,
      read: async (offset, into) => {
        asked++;
        await answer;
        return ram.read(offset, into);
      },
      write: (offset, from) => ram.write(offset, from),
      flush: () => ram.flush(),
      close: () => ram.close(),
    };
    await using domain = await dom1.createDomain({
      kernel: parts!.kernel,
      initrd: demoInitramfs(parts!.busybox, [cpioDirectory('disk'), ...modules]),
      memory: MEMORY,
      commandLine: 'console=hvc0 quiet cryptomgr.notests',
      disks: [{ vdev: 'xvda', store }],
      clock,
    });
    domain.run();
    await domain.sh(COMMANDS[0] as string, { timeout: BOOT_TIME });
    answer = new Promise((resolve) => {
      answers = resolve;
    });
    asked = 0;
    const reading = domain.sh('dd if=/dev/xvda of=/dev/null bs=4k count=4 skip=100; cut -d. -f1 /proc/uptime', {
      timeout: BOOT_TIME,
    });
    while (asked === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    const { retired } = domain;
    await domain.pause();
    domain.unpause();
    const { registers } = await domain.registers();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(domain.retired).toBe(retired);
    expect((await domain.registers()).registers).toEqual(registers);
    answers();
    // It has not been late for the guest.
    expect(Number((await reading).output.trim().split('\n').at(-1))).toBeLessThan(10);
    expect(domain.retired).toBeGreaterThan(retired);
  });

  it('begins when it is told to', { timeout: 2 * BOOT_TIME }, async () => {
    const epochMs = Date.UTC(2030, 5, 1, 12, 0, 0);
    await using domain = await dom1.createDomain({
      kernel: parts!.kernel,
      initrd: demoInitramfs(parts!.busybox),
      memory: MEMORY,
      commandLine: 'console=hvc0 quiet cryptomgr.notests',
      clock: { kind: 'virtual', epochMs },
    });
    domain.run();
    expect((await domain.sh('date -u +%Y-%m-%dT%H:%M', { timeout: BOOT_TIME })).output.trim()).toBe('2030-06-01T12:00');
    expect(domain.uuid).toBe('646f6d31-0000-4000-8000-000000000001');
    // Guest time stands still while it is held, whatever the host's does, and an hour of sleep takes no time.
    await domain.pause();
    await new Promise((resolve) => setTimeout(resolve, 300));
    domain.unpause();
    const began = performance.now();
    expect((await domain.sh('sleep 3600; date -u +%H:%M', { timeout: BOOT_TIME })).output.trim()).toBe('13:00');
    expect(performance.now() - began).toBeLessThan(60_000);
  });
});
