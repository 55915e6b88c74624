// bzImage: Linux's x86 boot image. What matters here is its payload, the packed vmlinux, which is unpacked on the host.
// Layout: Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
import { BoundedReader, startsWith } from './bounded-reader.ts';
import { type Compression, compressionOf, decompress } from './decompress.ts';
import { isElf } from './elf.ts';
import { corrupt, ImageError, truncated } from './image-error.ts';

/** Offsets in the boot sector. */
const HEADER = {
  setupSects: 0x1f1,
  syssize: 0x1f4,
  magic: 0x202,
  version: 0x206,
  kernelVersion: 0x20e,
  payloadOffset: 0x248,
  payloadLength: 0x24c,
} as const;
const HDRS = [0x48, 0x64, 0x72, 0x53] as const;
const SECTOR = 512;
/** payload_offset and payload_length came with boot protocol 2.08 (Linux 2.6.26). */
const PAYLOAD_PROTOCOL = 0x208;
/** What a packed vmlinux may unpack to. */
const MAX_VMLINUX_BYTES = 2 ** 29;

export interface BzImage {
  /** The boot protocol, e.g. 0x20f for 2.15. */
  readonly protocol: number;
  /** What the image calls itself, as `file` shows it: "6.1.0-56-cloud-amd64 (…) #1 SMP …"; empty when it says nothing. */
  readonly version: string;
  /** The packed vmlinux, with the size that the kernel's build appends. */
  readonly payload: Uint8Array;
}

export const isBzImage = (bytes: Uint8Array): boolean => startsWith(bytes, HDRS, HEADER.magic);

/** Reads the header and finds the payload. Throws ImageError: 'not-a-kernel', 'unsupported' (too old), 'truncated'. */
export function readBzImage(bytes: Uint8Array): BzImage {
  if (!isBzImage(bytes))
    throw new ImageError('not-a-kernel', 'the file is not a bzImage', 'give an x86 kernel, as vmlinux or bzImage');
  const file = new BoundedReader(bytes, 'the bzImage');
  const protocol = file.u16(HEADER.version);
  if (protocol < PAYLOAD_PROTOCOL) {
    const text = `${protocol >> 8}.${(protocol & 0xff).toString().padStart(2, '0')}`;
    throw new ImageError(
      'unsupported',
      `the bzImage has boot protocol ${text}, without a payload`,
      'give its vmlinux, or Linux 4.11 or later',
    );
  }
  const protectedMode = ((file.u8(HEADER.setupSects) || 4) + 1) * SECTOR; // 0 means 4, for the oldest loaders
  const whole = protectedMode + file.u32(HEADER.syssize) * 16;
  // syssize is in paragraphs, so the last one may be cut.
  if (bytes.length + 15 < whole) throw truncated('the bzImage', whole, bytes.length);
  const payload = file.slice(protectedMode + file.u32(HEADER.payloadOffset), file.u32(HEADER.payloadLength));
  const versionAt = file.u16(HEADER.kernelVersion);
  const version =
    versionAt === 0 ? '' : file.ascii(versionAt + SECTOR, Math.min(256, Math.max(0, bytes.length - versionAt - SECTOR)));
  return { protocol, version, payload };
}

/**
 * Unpacks the payload to the ELF vmlinux (a relocatable kernel's relocations may follow it).
 * @throws ImageError 'unsupported-compression' naming it, 'corrupt', 'truncated', 'too-large'
 */
export async function unpackPayload(payload: Uint8Array): Promise<{ vmlinux: Uint8Array; compression: Compression | 'none' }> {
  const what = "the bzImage's payload";
  const compression = compressionOf(payload);
  if (compression === undefined && isElf(payload)) return { vmlinux: payload, compression: 'none' };
  // The build appends the unpacked size, 32 bits, to every format but gzip, which ends in it anyway.
  const end = new BoundedReader(payload, what);
  const size = payload.length >= 4 ? end.u32(payload.length - 4) : 0;
  const packed = compression === 'gzip' ? payload : payload.subarray(0, -4);
  const vmlinux = await decompress(packed, what, { maxBytes: MAX_VMLINUX_BYTES, size });
  if (vmlinux.length !== size) throw corrupt(what, `it unpacks to ${vmlinux.length} bytes where its end says ${size}`);
  return { vmlinux, compression: compression ?? 'none' };
}
