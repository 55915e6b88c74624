// The registers of a VGA with the display interface of Bochs, in shared memory: the chip writes them on its thread, and who wants a picture
// reads them on another. Names are those of IBM's VGA (PS/2 Hardware Interface Technical Reference, video subsystem).

/** Video memory, 16 MiB as `xl` gives a standard VGA. */
export const VRAM_BYTES: number = 16 << 20;

const SEQUENCER = 0x00;
const GRAPHICS = 0x08;
const ATTRIBUTE = 0x20;
const CRTC = 0x40;
const DISPI = 0x60;
const PALETTE = 0x100;
const MISC = 0x80;
const BLANK = 0x81;
const PALETTE_BYTES = 3 * 256;
export const VGA_STATE_BYTES: number = PALETTE + PALETTE_BYTES;

/** Indices of the display interface (Bochs, VBE extension). */
export const DISPI_INDEX = {
  id: 0,
  xres: 1,
  yres: 2,
  bpp: 3,
  enable: 4,
  bank: 5,
  virtWidth: 6,
  virtHeight: 7,
  xOffset: 8,
  yOffset: 9,
  memory64k: 10,
} as const;
export const DISPI_REGISTERS = 11;
/** Bits of `enable`. */
export const DISPI_ENABLE = { enabled: 0x01, getCaps: 0x02, wide: 0x20, linear: 0x40, keep: 0x80 } as const;
export const DISPI_LIMIT = { x: 2560, y: 1600, bpp: 32 } as const;

/** Views of the registers. */
export class VgaState {
  /** 3c5: 5 registers. */
  readonly sequencer: Uint8Array;
  /** 3cf: 9 registers. */
  readonly graphics: Uint8Array;
  /** 3c0: 16 palette entries, and 5 registers. */
  readonly attribute: Uint8Array;
  /** 3d5: 25 registers. */
  readonly crtc: Uint8Array;
  /** Red, green and blue of 256 colours, 6 bits each or 8. */
  readonly palette: Uint8Array;
  readonly dispi: Uint16Array;
  readonly #bytes: Uint8Array;

  /** @param bytes VGA_STATE_BYTES of memory, at an even offset */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.sequencer = bytes.subarray(SEQUENCER, SEQUENCER + 5);
    this.graphics = bytes.subarray(GRAPHICS, GRAPHICS + 9);
    this.attribute = bytes.subarray(ATTRIBUTE, ATTRIBUTE + 21);
    this.crtc = bytes.subarray(CRTC, CRTC + 25);
    this.palette = bytes.subarray(PALETTE, PALETTE + PALETTE_BYTES);
    this.dispi = new Uint16Array(bytes.buffer, bytes.byteOffset + DISPI, DISPI_REGISTERS);
  }

  /** Miscellaneous output, 3c2. */
  get misc(): number {
    return this.#bytes[MISC] as number;
  }
  set misc(value: number) {
    this.#bytes[MISC] = value;
  }

  /** The attribute controller's palette is being written: the screen is dark (3c0, bit 5 clear). */
  get blank(): boolean {
    return this.#bytes[BLANK] !== 0;
  }
  set blank(on: boolean) {
    this.#bytes[BLANK] = on ? 1 : 0;
  }

  /** Whether the display interface has replaced the VGA's own modes. */
  get linear(): boolean {
    return ((this.dispi[DISPI_INDEX.enable] as number) & DISPI_ENABLE.enabled) !== 0;
  }

  /** Whether palette entries have 8 bits. */
  get wide(): boolean {
    return ((this.dispi[DISPI_INDEX.enable] as number) & DISPI_ENABLE.wide) !== 0;
  }
}
