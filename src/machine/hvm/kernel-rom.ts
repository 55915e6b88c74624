// Direct boot of a Linux kernel in an HVM domain: an option ROM of our own, which SeaBIOS finds among its files and boots from before
// anything else. The ROM holds the kernel's real-mode part and the command line; the rest and the initrd are in memory already. All it
// does is to copy the two to where the boot protocol wants them and to jump (Linux, Documentation/arch/x86/boot.rst).
import { acpiChecksum } from '../../abi/acpi.ts';

/** Where the kernel's real-mode part and its command line go. */
const SETUP_SEGMENT = 0x1000;
const COMMAND_SEGMENT = 0x2000;
/** Stack and heap lie behind the real-mode part, in its segment. */
const STACK = 0xe000;
const BLOCK = 512;
const MOST_BLOCKS = 127;

/** PnP BIOS Specification 1.0a, 3.2: the expansion header, with the bootstrap entry vector. */
const PNP_AT = 0x20;
const PNP_BYTES = 0x20;
const NAME = 'Linux kernel';

const word = (value: number): readonly number[] => [value & 0xff, value >> 8];

/** The whole ROM; undefined when the two do not fit into one. */
export function buildKernelRom(setup: Uint8Array, commandLine: Uint8Array): Uint8Array | undefined {
  const codeAt = PNP_AT + PNP_BYTES;
  const code = (setupAt: number): number[] => [
    ...[0xfa, 0xfc], // cli; cld
    ...[0x8c, 0xc8, 0x8e, 0xd8], // mov ax,cs; mov ds,ax
    ...[0xb8, ...word(SETUP_SEGMENT), 0x8e, 0xc0], // mov ax,…; mov es,ax
    ...[0xbe, ...word(setupAt), 0x31, 0xff, 0xb9, ...word(setup.length)], // mov si,…; xor di,di; mov cx,…
    ...[0xf3, 0xa4], // rep movsb
    ...[0xb8, ...word(COMMAND_SEGMENT), 0x8e, 0xc0],
    ...[0xbe, ...word(setupAt + setup.length), 0x31, 0xff, 0xb9, ...word(commandLine.length)],
    ...[0xf3, 0xa4],
    ...[0xb8, ...word(SETUP_SEGMENT)],
    ...[0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xe0, 0x8e, 0xe8], // mov ds,ax; mov es,ax; mov fs,ax; mov gs,ax
    ...[0x8e, 0xd0, 0xbc, ...word(STACK)], // mov ss,ax; mov sp,…
    ...[0xea, 0, 0, ...word(SETUP_SEGMENT + 0x20)], // jmp far
  ];
  const nameAt = codeAt + code(0).length;
  const setupAt = nameAt + NAME.length + 1;
  const blocks = Math.ceil((setupAt + setup.length + commandLine.length) / BLOCK);
  if (blocks > MOST_BLOCKS) return undefined;
  const rom = new Uint8Array(blocks * BLOCK);
  // The initialisation entry has nothing to do: mov ax,0x20 (a boot device is there); retf.
  rom.set([0x55, 0xaa, blocks, 0xb8, 0x20, 0x00, 0xcb]);
  rom.set(word(PNP_AT), 0x1a);
  rom.set([...ascii('$PnP'), 1, PNP_BYTES / 16], PNP_AT);
  rom.set(word(nameAt), PNP_AT + 0x10);
  // Device type: mass storage, other; indicators: a boot device.
  rom.set([0x80, 0x01, 0x00, 0x14], PNP_AT + 0x12);
  rom.set(word(codeAt), PNP_AT + 0x1a);
  rom.set(code(setupAt), codeAt);
  rom.set(ascii(NAME), nameAt);
  rom.set(setup, setupAt);
  rom.set(commandLine, setupAt + setup.length);
  rom[PNP_AT + 9] = acpiChecksum(rom.subarray(PNP_AT, PNP_AT + PNP_BYTES));
  rom[rom.length - 1] = 0;
  rom[rom.length - 1] = acpiChecksum(rom);
  return rom;
}

const ascii = (text: string): number[] => Array.from(text, (c) => c.charCodeAt(0));

/** Where the ROM puts the command line. */
export const COMMAND_LINE_GPA: number = COMMAND_SEGMENT * 16;
/** heap_end_ptr of the boot protocol: from the start of the setup code, which is 0x200 behind its segment. */
export const HEAP_END: number = STACK - 0x200;
