// What a configuration says of a domain. Plain data: it goes to other processes as JSON.
import type { ClockConfig } from '../../machine/domain-config.ts';
import type { DiskController } from '../../machine/hvm/board-config.ts';
import type { ChannelSpec, P9Spec, VfbSpec, VkbSpec } from './device-specs.ts';
import type { DiskSpec } from './disk-spec.ts';
import type { GUEST_TYPES, SHUTDOWN_ACTIONS } from './key-table.ts';
import type { VifSpec } from './vif-spec.ts';

export type GuestType = (typeof GUEST_TYPES)[number];
/** What follows on a guest's end: on_poweroff, on_reboot, on_crash of xl.cfg(5). */
export type ShutdownAction = (typeof SHUTDOWN_ACTIONS)[number];

/** By the kind of the guest's end. */
export interface ShutdownActions {
  readonly poweroff: ShutdownAction;
  readonly reboot: ShutdownAction;
  readonly watchdog: ShutdownAction;
  readonly crash: ShutdownAction;
  readonly soft_reset: ShutdownAction;
}

/** Xen's PV shim, which a PV guest runs in. */
export interface ShimSpec {
  /** Its file, as it is written; undefined: Debian's. */
  readonly path?: string;
  readonly commandLine: string;
}

/** A domain as an xl configuration describes it: plain data. */
export interface DomainSpec {
  readonly type: GuestType;
  readonly name: string;
  /** 8-4-4-4-12 hexadecimal digits, lower case; undefined: random. */
  readonly uuid?: string;
  readonly memoryMiB: number;
  readonly maxmemMiB: number;
  readonly vcpus: number;
  readonly maxvcpus: number;
  /** Undefined: the host's time. */
  readonly clock?: ClockConfig;
  /** Paths, as they are written. */
  readonly kernel?: string;
  readonly ramdisk?: string;
  readonly commandLine: string;
  /** Of a PV guest. */
  readonly shim?: ShimSpec;
  readonly actions: ShutdownActions;
  readonly disks: readonly DiskSpec[];
  readonly vifs: readonly VifSpec[];
  readonly p9: readonly P9Spec[];
  readonly channels: readonly ChannelSpec[];
  readonly vfbs: readonly VfbSpec[];
  readonly vkbs: readonly VkbSpec[];
  /** Groups of viridian enlightenments that are on. */
  readonly viridian: readonly string[];
  readonly hvmPirq: boolean;
  /** The video card of an HVM guest, as it is written. */
  readonly vga?: string;
  /** Letters, in the order of booting. */
  readonly boot?: string;
  /** What its hard disks are attached to. */
  readonly diskController?: DiskController;
  /** The BIOS's file. */
  readonly biosPath?: string;
  /** The console is the first serial port. */
  readonly serial: boolean;
}
