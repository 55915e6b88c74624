// What firmware finds in the CMOS memory: memory sizes and the boot order, at the addresses that QEMU and Bochs gave them.
import type { BoardConfig, BootDevice } from './board-config.ts';

const KIB = 1024;
const MIB = KIB * KIB;
/** Boot devices as SeaBIOS numbers them: nibbles, the first in the low half of 0x3d. */
const BOOT: Readonly<Record<BootDevice, number>> = { a: 1, c: 2, d: 3, n: 4 };
const BASE_KIB = 640;

export function cmosContents({ ramBytes, bootOrder }: BoardConfig): ReadonlyMap<number, number> {
  const cmos = new Map<number, number>();
  const word = (at: number, value: number): void => {
    cmos.set(at, value & 0xff);
    cmos.set(at + 1, (value >> 8) & 0xff);
  };
  word(0x15, BASE_KIB);
  // KiB above 1 MiB, 63 MiB at most; and blocks of 64 KiB above 16 MiB.
  const extended = Math.min(Math.max(0, ramBytes - MIB) / KIB, 63 * KIB);
  word(0x17, extended);
  word(0x30, extended);
  word(0x34, Math.min(Math.max(0, ramBytes - 16 * MIB) / (64 * KIB), 0xffff));
  const [first = 0, second = 0, third = 0] = bootOrder.map((device) => BOOT[device]);
  cmos.set(0x3d, first | (second << 4));
  // Bit 0: do not ask a floppy for a signature.
  cmos.set(0x38, (third << 4) | 1);
  // One processor, an FPU, a PS/2 mouse.
  cmos.set(0x14, 0x06);
  return cmos;
}
