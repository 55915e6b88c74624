import { describe, expect, it } from 'vitest';
import { dom1 } from './dom1.ts';

describe('dom1', () => {
  it('explains itself: commands, options and exit codes', async () => {
    const { code, stdout, stderr } = await dom1(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const text of ['demo', 'run [kernel]', '--initrd', '--memory', '--timeout', '--exec', '--trace', 'Exit codes', '124'])
      expect(stdout).toContain(text);
  });

  it.each([[['help', 'run']], [['run', '--help']], [['run', 'vmlinuz', '-h']]])('explains a command: %j', async (words) => {
    const { code, stdout } = await dom1(words);
    expect(code).toBe(0);
    expect(stdout).toContain('Usage: dom1 run [kernel] [options] [-- guest command line]');
  });

  it('keeps its help within 100 columns', async () => {
    const { stdout } = await dom1(['help', 'run']);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
  });

  it('has a version', async () => {
    expect(await dom1(['--version'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^dom1 \d+\.\d+\.\d+\n$/) });
  });
});

describe('a wrong command line is one line with the next step', () => {
  it.each([
    [[], 'no command is given; see `dom1 --help`'],
    [['rnu'], "there is no command 'rnu'; did you mean run?"],
    [['frobnicate'], "there is no command 'frobnicate'; see `dom1 --help`"],
    [['help', 'dmeo'], "there is no command 'dmeo'; did you mean demo?"],
    [['--frob'], 'there is no option --frob; see `dom1 --help`'],
    [['run', 'k', '--memroy', '1GiB'], 'there is no option --memroy; did you mean --memory?'],
    [['run', 'k', '--init', 'f'], 'there is no option --init; did you mean --initrd?'],
    [['demo', '--exec', 'true'], 'there is no option --exec; '],
    [['run'], 'dom1 run needs a kernel; write `dom1 run <kernel>`'],
    [['run', 'k', 'console=hvc0'], "'console=hvc0' is one argument too many; write the guest's command line after --"],
    [['run', 'k', '--initrd'], '--initrd needs a value; write --initrd <file>'],
    [['run', 'k', '--initrd', '--memory', '1GiB'], '--initrd needs a value; write --initrd <file>'],
    [['run', 'k', '--memory', '1GiB', '--memory', '2GiB'], '--memory is given twice; give it once'],
    [['run', 'k', '--memory', '256'], "'256' is no size of memory; write it as 256MiB"],
    [['run', 'k', '--timeout', 'soon'], "'soon' is no time for --timeout; give seconds"],
    [['run', 'k', '--timeout', '0'], "'0' is no time for --timeout; give seconds"],
    [['run', 'k', '--clock', 'wall'], "'wall' is no clock for --clock; give real, virtual, or"],
    [['run', 'k', '--hvm', '--pv'], '--hvm and --pv do not go together: a guest is one or the other; leave one out'],
    [['run', 'k', '--hvm', '--module', 'm'], '--hvm and --module do not go together: '],
    [['run', 'k', '--hvm', '--check-jit'], '--hvm and --check-jit do not go together: '],
    [['run', 'k', '--cdrom', 'i'], '--cdrom is of an HVM guest; add --hvm, or leave it out'],
    [['run', 'k', '--boot', 'd'], '--boot is of an HVM guest; '],
    [['run', 'k', '--serial'], '--serial is of an HVM guest; '],
    [['run', '--hvm'], '--hvm has nothing to boot; give a kernel, a disk image, or --cdrom'],
    [['run', '--hvm', '--cdrom', 'i', '--initrd', 'f'], '--initrd is of a kernel, and there is none; '],
    [['run', '--hvm', '--cdrom', 'i', '--', 'quiet'], 'the words after -- are of a kernel, and the BIOS boots what a disk has; '],
    [['run', '--hvm', '--cdrom', 'i', '--boot', 'n'], "'n' is no order for --boot; write c (hard disk), d (CD-ROM), or both"],
    [
      ['run', '--hvm', '--cdrom', 'i', ...['xvda', 'hdb', 'xvdc', 'hdd'].flatMap((vdev) => ['--disk', `d,raw,${vdev},rw`])],
      '--cdrom has no place left: ',
    ],
    [['demo', '--', 'quiet'], 'dom1 demo takes no guest command line; leave out the words after --'],
  ])('%j', async (words, line) => {
    const { code, stdout, stderr } = await dom1(words);
    expect({ code, stdout }).toEqual({ code: 64, stdout: '' });
    expect(stderr).toMatch(/^dom1: [^\n]*; [^\n]+\n$|^dom1: [^\n]*\?\n$/);
    expect(stderr).toContain(`dom1: ${line}`);
  });
});
