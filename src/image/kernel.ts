// A kernel to be entered the PVH way (xen/include/public/arch-x86/hvm/start_info.h, and XEN_ELFNOTE_PHYS32_ENTRY in elfnote.h), or the
// Multiboot way.
import { startsWith } from './bounded-reader.ts';
import { isBzImage, readBzImage, unpackPayload } from './bzimage.ts';
import { type Compression, compressionOf, decompress } from './decompress.ts';
import { type ElfFile, type ElfNote, type ElfSegment, isElf, readElf } from './elf.ts';
import { corrupt, ImageError } from './image-error.ts';
import { checkMultiboot, multibootFlags } from './multiboot-header.ts';

const XEN_ELFNOTE_PHYS32_ENTRY = 18;
const MAX_VMLINUX_BYTES = 2 ** 29;

/** How a kernel is entered, both in 32-bit protected mode: with a start info, or with multiboot information. */
export type BootProtocol = 'pvh' | 'multiboot';

export interface KernelImage {
  readonly format: 'elf' | 'bzImage';
  /** How a bzImage's payload, or the file itself, was packed. */
  readonly compression: Compression | 'none';
  /** Word size of the ELF file; a PVH guest is entered in 32-bit protected mode either way. */
  readonly bits: 32 | 64;
  /** Physical address to enter at, below 2^32 and inside a segment. */
  readonly entry: number;
  readonly segments: readonly ElfSegment[];
  /** Lowest physical address any segment takes, and the first beyond all of them: what memory must cover. */
  readonly start: number;
  readonly end: number;
  /** All of the file's notes, those named "Xen" among them. */
  readonly notes: readonly ElfNote[];
  /** What a bzImage says it is; empty for an ELF file. */
  readonly version: string;
  /** Whether it has a multiboot header: hypervisors have, Linux has not. */
  readonly multiboot: boolean;
}

/**
 * Reads a kernel: an ELF file, one packed with gzip, xz, lz4 or zstd, or a bzImage.
 * Segment data are views of `bytes` or of the unpacked payload.
 * @throws ImageError 'not-a-kernel', 'no-pvh-entry', 'no-multiboot-header', 'truncated', 'corrupt', 'unsupported-compression', 'unsupported', 'too-large'
 */
export async function loadKernel(bytes: Uint8Array, protocol: BootProtocol = 'pvh'): Promise<KernelImage> {
  const read = (vmlinux: Uint8Array, what: string, from: Origin): KernelImage =>
    entered(readElf(vmlinux, what), multibootFlags(vmlinux), protocol, from);
  if (isElf(bytes)) return read(bytes, 'the kernel', { format: 'elf', compression: 'none', version: '' });
  if (isBzImage(bytes)) {
    const { payload, version } = readBzImage(bytes);
    const { vmlinux, compression } = await unpackPayload(payload);
    if (!isElf(vmlinux)) throw corrupt('the bzImage', 'its payload is no ELF file');
    return read(vmlinux, "the bzImage's vmlinux", { format: 'bzImage', compression, version });
  }
  const compression = compressionOf(bytes);
  if (compression !== undefined) {
    const vmlinux = await decompress(bytes, 'the kernel', { maxBytes: MAX_VMLINUX_BYTES });
    if (isElf(vmlinux)) return read(vmlinux, 'the kernel', { format: 'elf', compression, version: '' });
    throw new ImageError('not-a-kernel', `the file is no kernel: ${compression} data with no ELF file inside`, NEXT_STEP);
  }
  throw new ImageError('not-a-kernel', `the file is no kernel: ${whatItIs(bytes)}`, NEXT_STEP);
}

const NEXT_STEP = 'give an x86 Linux bzImage (vmlinuz) or an ELF kernel with a PVH entry';

function whatItIs(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'it is empty';
  if (startsWith(bytes, [0x30, 0x37, 0x30, 0x37, 0x30])) return 'it is a cpio archive, perhaps an initramfs';
  if (startsWith(bytes, [0x21, 0x3c, 0x61, 0x72, 0x63, 0x68, 0x3e])) return 'it is an ar archive, perhaps a Debian package';
  if (startsWith(bytes, [0x4d, 0x5a])) return 'it is an EFI program without a Linux boot header';
  return 'neither ELF nor bzImage';
}

type Origin = Pick<KernelImage, 'format' | 'compression' | 'version'>;

function entered(elf: ElfFile, flags: number | undefined, protocol: BootProtocol, from: Origin): KernelImage {
  const { segments, notes, bits } = elf;
  if (segments.length === 0) throw new ImageError('not-a-kernel', 'the ELF file has nothing to load', NEXT_STEP);
  if (protocol === 'multiboot') checkMultiboot(flags);
  const entry = protocol === 'multiboot' ? elf.entry : pvhEntry(notes);
  if (!segments.some((s) => entry >= s.paddr && entry < s.paddr + s.memSize))
    throw corrupt('the kernel', `its ${protocol === 'pvh' ? 'PVH ' : ''}entry 0x${entry.toString(16)} is outside its segments`);
  return {
    ...from,
    bits,
    entry,
    segments,
    notes,
    multiboot: flags !== undefined,
    start: Math.min(...segments.map((s) => s.paddr)),
    end: Math.max(...segments.map((s) => s.paddr + s.memSize)),
  };
}

function pvhEntry(notes: readonly ElfNote[]): number {
  const note = notes.find(({ name, type }) => name === 'Xen' && type === XEN_ELFNOTE_PHYS32_ENTRY);
  if (note === undefined) {
    throw new ImageError(
      'no-pvh-entry',
      'the kernel has no PVH entry (ELF note "Xen" 18)',
      "use one built with CONFIG_PVH, or CONFIG_XEN_PVH, such as Debian's linux-image-cloud-amd64",
    );
  }
  const { descriptor } = note;
  const view = new DataView(descriptor.buffer, descriptor.byteOffset, descriptor.byteLength);
  if (descriptor.length !== 4 && descriptor.length !== 8)
    throw corrupt('the kernel', `its PVH entry note holds ${descriptor.length} bytes, not 4 or 8`);
  if (descriptor.length === 8 && view.getUint32(4, true) !== 0) throw corrupt('the kernel', 'its PVH entry is not below 4 GiB');
  return view.getUint32(0, true);
}
