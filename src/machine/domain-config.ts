// What a domain is built from, and how it ends.
import { SHUTDOWN } from '../abi/xen/sched.ts';
import type { PvDevice } from '../backends/pv-device.ts';
import type { BootProtocol } from '../image/kernel.ts';
import type { BootDevice, DiskController } from './hvm/board-config.ts';
import type { BootModule } from './pvh/plan.ts';
import type { VcpuMessage, VcpuThreadData } from './vcpu-parts.ts';

/** What starts threads; each host has its own. */
export interface VcpuHost {
  /** Starts `runVcpu(data, …)` on a thread of its own. */
  start(data: VcpuThreadData, onMessage: (message: VcpuMessage) => void, onFailure: (error: Error) => void): VcpuThreadHandle;
}
export interface VcpuThreadHandle {
  /** Resolves when the thread is gone. */
  end(): Promise<void>;
}

export interface DomainConfig {
  /** How it boots and what it has: 'pvh', the default, or 'hvm', a PC with a BIOS. A PV guest is a PVH domain that runs Xen's shim. */
  readonly type?: 'pvh' | 'hvm';
  /**
   * ELF or bzImage with a PVH entry, or an ELF file with a multiboot header: see `bootProtocol`. Of an HVM domain: a bzImage to boot
   * instead of a disk, or nothing.
   */
  readonly kernel?: Uint8Array;
  /** SeaBIOS, for an HVM domain. */
  readonly bios?: Uint8Array;
  /** The BIOS of an HVM domain's standard VGA, such as SeaVGABIOS for stdvga. Default: there is no VGA. */
  readonly vgaBios?: Uint8Array;
  /** What an HVM domain boots from, in this order. Default: hard disk, then CD-ROM. */
  readonly boot?: readonly BootDevice[];
  /** What an HVM domain's hard disks are attached to; its CD-ROM drives are on IDE in any case. Default 'ide'. */
  readonly diskController?: DiskController;
  /** What `Domain.console` is: the PV console, or the first serial port of an HVM domain. Default 'pv'. */
  readonly consoleType?: 'pv' | 'serial';
  readonly initrd?: Uint8Array;
  /** Files that are loaded beside the kernel, with their command lines, after the initrd: what a hypervisor is to run. Default: none. */
  readonly bootModules?: readonly BootModule[];
  /** How the kernel is entered. Default 'pvh'. */
  readonly bootProtocol?: BootProtocol;
  /** The kernel's command line, 4095 bytes at most. Default: empty, and a Linux guest is silent without `console=hvc0`. */
  readonly commandLine?: string;
  /** Bytes of RAM, a multiple of 4 KiB. */
  readonly memoryBytes: number;
  /** The most that a balloon may reach, as bytes: the guest begins with it and gives back what is above `memoryBytes`. Default: `memoryBytes`. */
  readonly maxMemoryBytes?: number;
  /** Letters, digits and `_.:+-`. Default "guest". */
  readonly name?: string;
  /** The guest's own domain number, 1..32751 (DOMID_FIRST_RESERVED is 0x7ff0). Default 1. */
  readonly id?: number;
  /** 16 bytes; default: random, and always the same in virtual time. */
  readonly uuid?: Uint8Array;
  /**
   * 1..128, default 1. The others wait for VCPUOP_initialise and VCPUOP_up, or for a start-up IPI. Code that one vCPU writes
   * and another runs is not seen in time yet, so an SMP kernel is not safe.
   */
  readonly vcpus?: number;
  /** What an HVM domain has beyond a PVH domain; all off by default. See the platform's `DomainConfig.emulation`. */
  readonly emulation?: { readonly pirq?: boolean; readonly viridian?: boolean };
  /** Whether hot code of the guest is translated. Default true; false: everything is interpreted, to tell a fault of the one from the other's. */
  readonly translate?: boolean;
  /**
   * Runs translated code a second time on the interpreter and compares the two; a difference ends the domain with a TierMismatch.
   * Some ten times slower, and for one vCPU only. Default false.
   */
  readonly checkJit?: boolean;
  /** Has each vCPU's thread measure where its time goes; it comes as the domain's event 'profile'. Default false. */
  readonly profile?: boolean;
  /** What guest time is made of. Default: the host's time. */
  readonly clock?: ClockConfig;
  /** PV devices of the start; the domain closes them when it has ended. */
  readonly devices?: readonly PvDevice[];
  /** Tracepoints to turn on, as globs: `xen.*`. They come as the domain's event 'trace'. Default: none. */
  readonly trace?: readonly string[];
}

/**
 * `real`: guest time follows the host's. `virtual`: it is made of the instructions that the guest runs, and goes on at once while
 * there is nothing to run; runs of equal configuration are then equal, instruction for instruction. Of one vCPU.
 * docs/design/0010 tells what that covers.
 */
export type ClockConfig =
  | { readonly kind: 'real' }
  /** `epochMs`: the wallclock at the start, as Unix time in milliseconds. Default: 2026-01-01T00:00:00Z. */
  | { readonly kind: 'virtual'; readonly epochMs?: number };

/** Where a domain is in its life. `suspended`: the guest has suspended itself and waits for `resume`. */
export type DomainState = 'built' | 'running' | 'paused' | 'suspended' | 'shutdown' | 'crashed' | 'destroyed';

/** How a domain ended. */
export interface DomainEnd {
  readonly reason: 'poweroff' | 'reboot' | 'crash' | 'watchdog' | 'triple-fault' | 'destroyed';
  /** Registers as text: of a crash, and of where the vCPU was when the domain was destroyed. */
  readonly report?: string;
  /** Instructions the guest ran. */
  readonly retired: number;
}

/** How a shutdown that is an end is called; the others (suspend, soft reset) are not. */
export const END_REASON: Readonly<Record<number, DomainEnd['reason']>> = {
  [SHUTDOWN.poweroff]: 'poweroff',
  [SHUTDOWN.reboot]: 'reboot',
  [SHUTDOWN.crash]: 'crash',
  [SHUTDOWN.watchdog]: 'watchdog',
};

/** What building a domain is busy with. */
export interface BuildProgress {
  readonly stage: 'read' | 'unpack' | 'load';
  /** 0 when the stage begins, `total` when it is over. */
  readonly done: number;
  readonly total: number;
}

/** How a domain is built. */
export interface BuildOptions {
  /** Gives up building. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: BuildProgress) => void;
}
