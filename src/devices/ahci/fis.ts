// Frame information structures between a port and its device: Serial ATA 2.6, clause 10.3.
import { REG } from '../ide/ata-registers.ts';
import type { IdeDrive } from '../ide/ide-drive.ts';

/** Bytes of the register FISes and of PIO Setup. */
export const FIS_BYTES = 20;

export const FIS = { hostToDevice: 0x27, deviceToHost: 0x34, pioSetup: 0x5f } as const;

/** Byte 1. */
const FLAG = { command: 1 << 7, interrupt: 1 << 6, toHost: 1 << 5 } as const;
const AT = {
  type: 0,
  flags: 1,
  /** A command to the device, status from it. */
  command: 2,
  /** Features to the device, errors from it. */
  features: 3,
  lba: 4,
  device: 7,
  lbaBefore: 8,
  featuresBefore: 11,
  count: 12,
  countBefore: 13,
  control: 15,
  endStatus: 15,
  transferCount: 16,
} as const;
const LBA = [REG.lbaLow, REG.lbaMid, REG.lbaHigh] as const;

/** What a host says to a device. */
export interface HostFis {
  /** Undefined: the device control register alone is written. */
  readonly command: number | undefined;
  readonly control: number;
  /** Into the drive's registers: each is written twice, as 48-bit commands want it. */
  readonly registers: readonly (readonly [register: number, value: number])[];
}

/** Undefined when it is no register FIS. */
export function readHostFis(bytes: Uint8Array): HostFis | undefined {
  const at = (offset: number): number => bytes[offset] ?? 0;
  if (at(AT.type) !== FIS.hostToDevice) return undefined;
  return {
    command: at(AT.flags) & FLAG.command ? at(AT.command) : undefined,
    control: at(AT.control),
    registers: [
      [REG.error, at(AT.featuresBefore)],
      [REG.error, at(AT.features)],
      [REG.count, at(AT.countBefore)],
      [REG.count, at(AT.count)],
      ...LBA.map((register, i) => [register, at(AT.lbaBefore + i)] as const),
      ...LBA.map((register, i) => [register, at(AT.lba + i)] as const),
      [REG.device, at(AT.device)],
    ],
  };
}

function registersOf(drive: IdeDrive, type: number, flags: number, status: number): Uint8Array {
  const bytes = new Uint8Array(FIS_BYTES);
  bytes[AT.type] = type;
  bytes[AT.flags] = flags;
  bytes[AT.command] = status;
  bytes[AT.features] = drive.error;
  for (const [i, register] of LBA.entries()) {
    bytes[AT.lba + i] = drive.readRegister(register, false);
    bytes[AT.lbaBefore + i] = drive.readRegister(register, true);
  }
  bytes[AT.device] = drive.device;
  bytes[AT.count] = drive.readRegister(REG.count, false);
  bytes[AT.countBefore] = drive.readRegister(REG.count, true);
  return bytes;
}

/** Register - Device to Host. */
export function d2hFis(drive: IdeDrive, interrupt: boolean): Uint8Array {
  return registersOf(drive, FIS.deviceToHost, interrupt ? FLAG.interrupt : 0, drive.status);
}

/** PIO Setup, of a block of `count` bytes; `status` is the drive's before the block, `endStatus` after it. */
export function pioSetupFis(
  drive: IdeDrive,
  block: { readonly interrupt: boolean; readonly toHost: boolean; readonly count: number },
  status: number,
  endStatus: number,
): Uint8Array {
  const { count, interrupt, toHost } = block;
  const flags = (interrupt ? FLAG.interrupt : 0) | (toHost ? FLAG.toHost : 0);
  const bytes = registersOf(drive, FIS.pioSetup, flags, status);
  bytes[AT.endStatus] = endStatus;
  new DataView(bytes.buffer).setUint16(AT.transferCount, count, true);
  return bytes;
}

/** What a drive shows of itself after a reset, as PxSIG has it (AHCI 3.3.9). */
export function signatureOf(drive: IdeDrive): number {
  const [low, mid, high] = LBA.map((register) => drive.readRegister(register, false)) as [number, number, number];
  return ((high << 24) | (mid << 16) | (low << 8) | drive.readRegister(REG.count, false)) >>> 0;
}
