// The header of a kernel that can be entered the Multiboot way. Multiboot Specification 0.6.96, section 3.1.
import { MULTIBOOT_ASKS, MULTIBOOT_HEADER_MAGIC, MULTIBOOT_SEARCH_BYTES, multiboot_header } from '../abi/multiboot.ts';
import { ImageError } from './image-error.ts';

const ASKS_MASK = 0xffff;

/** The flags of a file's header; undefined where there is none. */
export function multibootFlags(bytes: Uint8Array): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, MULTIBOOT_SEARCH_BYTES));
  for (let at = 0; at + multiboot_header.sizeof <= view.byteLength; at += 4) {
    if (multiboot_header.magic.get(view, at) !== MULTIBOOT_HEADER_MAGIC) continue;
    const flags = multiboot_header.flags.get(view, at);
    if (((MULTIBOOT_HEADER_MAGIC + flags + multiboot_header.checksum.get(view, at)) & 0xffff_ffff) === 0) return flags >>> 0;
  }
  return undefined;
}

/** @throws ImageError no-multiboot-header, or unsupported for a kernel that asks for something it does not get */
export function checkMultiboot(flags: number | undefined): void {
  if (flags === undefined)
    throw new ImageError(
      'no-multiboot-header',
      'the kernel has no multiboot header',
      'enter it the PVH way, which is the default',
    );
  const unknown = flags & ASKS_MASK & ~(MULTIBOOT_ASKS.alignedModules | MULTIBOOT_ASKS.memory);
  if (unknown !== 0)
    throw new ImageError(
      'unsupported',
      `the kernel's multiboot header asks for 0x${unknown.toString(16)}${unknown & MULTIBOOT_ASKS.video ? ', a video mode among it' : ''}`,
      'enter it the PVH way, if it has such an entry',
    );
}
