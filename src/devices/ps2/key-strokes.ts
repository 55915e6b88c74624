// What an AT keyboard sends for each key, in scan code set 2, as bytes for `Ps2Keyboard.key`. Keys are named by Linux's codes (KEY_*,
// include/uapi/linux/input-event-codes.h), as on the PV keyboard; scan codes are those of Microsoft's "Keyboard Scan Code Specification".
import { ALT_SYSRQ, scanCodes } from './scan-codes.ts';

const KEY = { ctrl: 29, alt: 56, ctrlRight: 97, sysrq: 99, altRight: 100, pause: 119 } as const;
/** Up to the keypad's dot Linux's codes are those of set 1. */
const LAST_OF_SET1 = 83;
const EXTENDED = 0xe0;
const BREAK = 0xf0;

/** Codes in set 1, in rows of neighbouring keys; 0: there is no such key. */
const PLAIN: readonly (readonly [first: number, codes: readonly number[]])[] = [
  [86, [0x56, 0x57, 0x58]],
  [89, [0x73, 0x78, 0x77, 0x79, 0x70, 0x7b, 0x5c]],
  [117, [0x59]],
  [121, [0x7e, 0x72, 0x71, 0x7d]],
  [183, [0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x76]],
];
/** Those behind 0xe0. */
const BEHIND_PREFIX: readonly (readonly [first: number, codes: readonly number[]])[] = [
  [96, [0x1c, 0x1d, 0x35, 0, 0x38, 0, 0x47, 0x48, 0x49, 0x4b, 0x4d, 0x4f, 0x50, 0x51, 0x52, 0x53, 0, 0x20, 0x2e, 0x30, 0x5e]],
  [125, [0x5b, 0x5c, 0x5d]],
  [140, [0x21, 0, 0x5f, 0x63]],
  [155, [0x6c, 0x66, 0x6b, 0x6a, 0x69]],
  [163, [0x19, 0x22, 0x10, 0x24]],
  [172, [0x32, 0x67]],
];

interface ScanCode {
  readonly set1: number;
  readonly extended: boolean;
}

const CODES: ReadonlyMap<number, ScanCode> = new Map([
  ...Array.from({ length: LAST_OF_SET1 }, (_, i): [number, ScanCode] => [i + 1, { set1: i + 1, extended: false }]),
  ...rows(PLAIN, false),
  ...rows(BEHIND_PREFIX, true),
]);

function rows(table: typeof PLAIN, extended: boolean): [number, ScanCode][] {
  return table.flatMap(([first, codes]) => codes.map((set1, i): [number, ScanCode] => [first + i, { set1, extended }]));
}

export class KeyStrokes {
  readonly #down = new Set<number>();

  /** What a key that goes down or up sends; one that goes down again repeats. Undefined when the keyboard has no such key. */
  bytes(code: number, pressed: boolean): readonly number[] | undefined {
    if (pressed) this.#down.add(code);
    else this.#down.delete(code);
    if (code === KEY.pause) return pressed ? this.#pause() : [];
    if (code === KEY.sysrq) return this.#sysrq(pressed);
    const found = CODES.get(code);
    if (found === undefined) return undefined;
    const bytes = scanCodes(found.set1, found.extended, pressed);
    return bytes.length === 0 ? undefined : bytes;
  }

  #held(...codes: readonly number[]): boolean {
    return codes.some((code) => this.#down.has(code));
  }

  /** Pause goes up with itself. With Ctrl it is Break, a key behind the prefix. */
  #pause(): readonly number[] {
    if (this.#held(KEY.ctrl, KEY.ctrlRight)) return [EXTENDED, 0x7e, EXTENDED, BREAK, 0x7e];
    return [0xe1, 0x14, 0x77, 0xe1, BREAK, 0x14, BREAK, 0x77];
  }

  /** Print Screen is a key behind the prefix, and another key with Alt. */
  #sysrq(pressed: boolean): readonly number[] {
    if (this.#held(KEY.alt, KEY.altRight)) return pressed ? [ALT_SYSRQ] : [BREAK, ALT_SYSRQ];
    return pressed ? [EXTENDED, 0x7c] : [EXTENDED, BREAK, 0x7c];
  }
}
