// A bzImage taken apart for the 16-bit boot protocol: the real-mode part with its header filled in, and the rest.
// Field names and offsets are those of Linux, Documentation/arch/x86/boot.rst.
import { isBzImage } from '../../image/bzimage.ts';
import { ImageError } from '../../image/image-error.ts';
import { COMMAND_LINE_GPA, HEAP_END } from './kernel-rom.ts';

const HEADER = {
  setupSects: 0x1f1,
  typeOfLoader: 0x210,
  loadFlags: 0x211,
  ramdiskImage: 0x218,
  ramdiskSize: 0x21c,
  heapEnd: 0x224,
  commandLine: 0x228,
  initrdAddressMax: 0x22c,
} as const;
const SECTOR = 512;
const LOADED_HIGH = 1 << 0;
const CAN_USE_HEAP = 1 << 7;
/** A loader without a number of its own. */
const UNDEFINED_LOADER = 0xff;

export interface LinuxImage {
  /** For SETUP_SEGMENT of kernel-rom.ts. */
  readonly setup: Uint8Array;
  /** For 1 MiB. */
  readonly kernel: Uint8Array;
  /** The last byte that the initrd may take. */
  readonly initrdMax: number;
}

/** @throws ImageError when it is no bzImage that is loaded at 1 MiB */
export function readLinuxImage(bytes: Uint8Array): LinuxImage {
  const hint = 'give a bzImage (vmlinuz), or a disk to boot from';
  if (!isBzImage(bytes)) throw new ImageError('not-a-kernel', 'an HVM domain boots no kernel but a Linux bzImage', hint);
  const setupBytes = ((bytes[HEADER.setupSects] || 4) + 1) * SECTOR;
  const setup = bytes.slice(0, setupBytes);
  if (setup.length < setupBytes || ((setup[HEADER.loadFlags] as number) & LOADED_HIGH) === 0)
    throw new ImageError('unsupported', 'the kernel is cut off, or a zImage', hint);
  const view = new DataView(setup.buffer);
  return { setup, kernel: bytes.subarray(setupBytes), initrdMax: view.getUint32(HEADER.initrdAddressMax, true) };
}

/** Fills in what a boot loader says. */
export function completeSetup(setup: Uint8Array, initrd: { readonly at: number; readonly size: number } | undefined): void {
  const view = new DataView(setup.buffer);
  setup[HEADER.typeOfLoader] = UNDEFINED_LOADER;
  (setup[HEADER.loadFlags] as number) |= CAN_USE_HEAP;
  view.setUint16(HEADER.heapEnd, HEAP_END, true);
  view.setUint32(HEADER.commandLine, COMMAND_LINE_GPA, true);
  view.setUint32(HEADER.ramdiskImage, initrd?.at ?? 0, true);
  view.setUint32(HEADER.ramdiskSize, initrd?.size ?? 0, true);
}
