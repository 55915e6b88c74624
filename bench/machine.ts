// A virtual machine of a run, dom1 or QEMU, as a process of its own whose standard output is the guest's console.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { GuestImage } from './guest-image.ts';

export const ENGINES = ['dom1', 'qemu-tcg'] as const;
export type Engine = (typeof ENGINES)[number];
/** v86 runs 32-bit guests only. */
export type MachineEngine = Engine | 'v86';

/** MiB of guest RAM, where nothing else is said. */
export const MEMORY_MIB = 256;
/** Both guests' command line, after the console. */
export const QUIET = 'mitigations=off nowatchdog quiet';

/** The version of QEMU, or undefined where it is not installed. */
export function qemuVersion(): string | undefined {
  const { stdout } = spawnSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' });
  return /version ([\d.]+)/.exec(stdout ?? '')?.[1];
}

/** npm's v86, and the firmware it runs. */
export interface V86Parts {
  /** A path, or a name that Node finds. */
  readonly module: string;
  readonly version: string;
  readonly seabios: string;
}

/** A line of the console, complete or not yet, with when it came. */
export interface Line {
  readonly text: string;
  /** Milliseconds since the machine's process was started. */
  readonly ms: number;
  /** Instructions the guest had run by then; dom1 only. */
  readonly retired: number | undefined;
}

export interface MachineOptions {
  readonly image: GuestImage;
  /** More for the kernel's command line. */
  readonly commandLine?: string;
  /** Default {@link MEMORY_MIB}. */
  readonly memoryMiB?: number;
  /** dom1 only: what kind of guest the kernel is. Default 'pvh'. The console of 'hvm' is the first serial port. */
  readonly type?: 'pvh' | 'pv' | 'hvm';
  /** The kernel is found on this disk, by GRUB, instead of being given. */
  readonly bootDisk?: MachineDisk;
  /** dom1 only: how code runs. Default: what is hot is translated. */
  readonly engineChecks?: EngineChecks;
  /** Gives up after so many milliseconds. */
  readonly timeoutMs: number;
  readonly disks?: readonly MachineDisk[];
  /** A card in the monitor's network in user mode: a port of the host's loopback that leads to one of the guest's. */
  readonly network?: { readonly hostPort: number; readonly guestPort: number };
  /** Path of another build's dom1-machine.js. */
  readonly build?: string | undefined;
  readonly v86?: V86Parts | undefined;
}

export interface MachineDisk {
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
}

/** `createDomain`'s: nothing translated; everything translated run in both tiers and compared. */
export interface EngineChecks {
  readonly translate?: boolean;
  readonly checkJit?: boolean;
}

/** What dom1-machine.js is told of the machine, as JSON. */
export interface MachineDevices extends EngineChecks {
  readonly type?: 'pvh' | 'pv' | 'hvm';
  readonly consoleType?: 'serial';
  readonly disks: readonly (MachineDisk & { readonly vdev: string })[];
  readonly vifs: readonly { readonly forwards: readonly string[]; readonly allowHostLoopback: boolean }[];
}

/** Letters of disks: xvda and vda, xvdb and vdb. */
const LETTERS = 'abcdefgh';

function dom1Devices({ bootDisk, type, disks: more = [], network, engineChecks }: MachineOptions): MachineDevices {
  const disks = bootDisk === undefined ? more : [bootDisk, ...more];
  const forwards = network === undefined ? [] : [`tcp:127.0.0.1:${network.hostPort}-:${network.guestPort}`];
  return {
    ...(type !== undefined && { type }),
    ...(type === 'hvm' && { consoleType: 'serial' as const }),
    ...engineChecks,
    disks: disks.map((disk, i) => ({ ...disk, vdev: `xvd${LETTERS[i]}` })),
    vifs: network === undefined ? [] : [{ forwards, allowHostLoopback: true }],
  };
}

function qemuDevices({ disks = [], network }: MachineOptions): string[] {
  const forward = network === undefined ? '' : `,hostfwd=tcp:127.0.0.1:${network.hostPort}-:${network.guestPort}`;
  return [
    ...disks.flatMap(({ path, format }) => ['-drive', `file=${path},if=virtio,format=${format},cache=writeback`]),
    ...(network === undefined ? ['-nic', 'none'] : ['-nic', `user,model=virtio-net-pci${forward}`]),
  ];
}

export class Machine implements Disposable {
  readonly engine: MachineEngine;
  readonly #process: ChildProcess;
  readonly #started = performance.now();
  readonly #timer: ReturnType<typeof setTimeout>;
  #tail = '';
  #retired: number | undefined;
  #waiters: ((line: Line | undefined) => void)[] = [];
  #queue: Line[] = [];
  #ended = false;
  #errors = '';

  constructor(engine: MachineEngine, options: MachineOptions) {
    const { image, commandLine = '', memoryMiB = MEMORY_MIB, timeoutMs } = options;
    this.engine = engine;
    const kernelLine = `console=${engine === 'dom1' && options.type !== 'hvm' ? 'hvc0' : 'ttyS0'} ${QUIET} ${commandLine}`.trim();
    const { bootDisk } = options;
    const dom1 = [
      options.build ?? new URL('./dom1-machine.js', import.meta.url).pathname,
      bootDisk === undefined ? image.kernel : '',
      image.initrd,
      `${memoryMiB}`,
      kernelLine,
      JSON.stringify(dom1Devices(options)),
    ];
    const qemu = [
      '-accel',
      'tcg',
      '-cpu',
      'max',
      '-m',
      `${memoryMiB}`,
      '-nographic',
      '-no-reboot',
      ...(bootDisk === undefined
        ? ['-kernel', image.kernel, '-initrd', image.initrd, '-append', kernelLine]
        : ['-drive', `file=${bootDisk.path},if=ide,format=${bootDisk.format}`]),
      ...qemuDevices(options),
    ];
    const v86 = [
      new URL('./v86-machine.js', import.meta.url).pathname,
      image.kernel,
      image.initrd,
      `${memoryMiB}`,
      kernelLine,
      options.v86?.seabios ?? '',
      options.v86?.module ?? '',
    ];
    const [program, argumentsOf] = {
      dom1: [process.execPath, dom1] as const,
      'qemu-tcg': ['qemu-system-x86_64', qemu] as const,
      v86: [process.execPath, v86] as const,
    }[engine];
    // dom1-machine.js answers over a channel of Node's.
    const channel = engine === 'dom1' ? (['ipc'] as const) : [];
    this.#process = spawn(program, argumentsOf, { stdio: ['ignore', 'pipe', 'pipe', ...channel] });
    this.#process.stdout?.setEncoding('latin1').on('data', (text: string) => this.#receive(text));
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
    });
    this.#process.on('close', () => this.#end());
    this.#timer = setTimeout(() => this.#process.kill('SIGKILL'), timeoutMs);
  }

  /** What the process wrote to standard error. */
  get errors(): string {
    return this.#errors;
  }
  get pid(): number {
    return this.#process.pid as number;
  }
  /** Milliseconds since the process was started. */
  get ageMs(): number {
    return performance.now() - this.#started;
  }
  /** What the process says it has in use; undefined when it has ended. dom1 only. */
  memoryUsage(): Promise<NodeJS.MemoryUsage | undefined> {
    if (!this.#process.connected) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const settle = (usage?: unknown): void => {
        this.#process.off('message', settle).off('disconnect', settle);
        resolve(usage as NodeJS.MemoryUsage | undefined);
      };
      this.#process.once('message', settle).once('disconnect', settle);
      this.#process.send('memory', (error) => error !== null && settle());
    });
  }
  /** Peak resident memory so far, in MiB. Linux only. */
  get peakMiB(): number {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1]) / 1024;
  }
  /** Processor time used so far, in milliseconds, at clock ticks of 10 ms. Linux only. */
  get cpuMs(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'latin1').replace(/.*\) /, '').split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
  }

  /** The next line; undefined when the machine has ended. */
  line(): Promise<Line | undefined> {
    const queued = this.#queue.shift();
    if (queued !== undefined || this.#ended) return Promise.resolve(queued);
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** The first line that matches, which may still be growing (a prompt); undefined when there is none. */
  async until(pattern: RegExp): Promise<Line | undefined> {
    for (let line = await this.line(); line !== undefined; line = await this.line()) if (pattern.test(line.text)) return line;
    return undefined;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#process.kill('SIGKILL');
  }

  #receive(text: string): void {
    const ms = this.ageMs;
    const lines = (this.#tail + text).split('\n');
    this.#tail = lines.pop() as string;
    for (const line of lines) this.#give(this.#read(line, ms));
    if (this.#tail !== '') this.#give(this.#read(this.#tail, ms));
  }

  /** Takes what dom1-machine.ts puts in: before each piece of output, the instructions run until then. */
  #read(line: string, ms: number): Line {
    const text = line.replaceAll(/@@R(\d+)@/g, (_, retired) => {
      this.#retired = Number(retired);
      return '';
    });
    return { text: text.replaceAll('\r', ''), ms, retired: this.#retired };
  }

  #give(line: Line): void {
    const waiter = this.#waiters.shift();
    if (waiter === undefined) this.#queue.push(line);
    else waiter(line);
  }

  #end(): void {
    clearTimeout(this.#timer);
    this.#ended = true;
    for (const waiter of this.#waiters) waiter(undefined);
  }
}
