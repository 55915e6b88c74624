// An AT keyboard with 101 keys (IBM PS/2 Hardware Interface Technical Reference, "Keyboards"): scan code sets 1 to 3 can be asked
// for, set 2 is what it starts with and what the controller translates; the codes are the caller's, in set 2.
import { PS2_ACK, PS2_RESEND, PS2_SELF_TEST_PASSED, Ps2Device } from './ps2-device.ts';

const COMMAND = {
  leds: 0xed,
  echo: 0xee,
  scanCodeSet: 0xf0,
  identify: 0xf2,
  rate: 0xf3,
  enable: 0xf4,
  disable: 0xf5,
  defaults: 0xf6,
  firstSetAll: 0xf7,
  lastSetAll: 0xfa,
  firstSetKey: 0xfb,
  lastSetKey: 0xfd,
  resend: 0xfe,
  reset: 0xff,
} as const;
const MF2_ID = [0xab, 0x83] as const;
const DEFAULT_SET = 2;

export class Ps2Keyboard extends Ps2Device {
  #scanning = true;
  #set: number = DEFAULT_SET;
  /** The command that waits for its parameter. */
  #command = 0;
  #lastSent: number = PS2_SELF_TEST_PASSED;
  /** Bits 0 to 2: scroll, num, caps lock. */
  leds = 0;

  /** Whether keys count: the guest can turn that off. */
  get scanning(): boolean {
    return this.#scanning;
  }

  /** A key goes down or up; `codes` are its bytes in scan code set 2. False when the guest has not taken what came before. */
  key(codes: readonly number[]): boolean {
    return this.#scanning && this.report(codes);
  }

  override take(): number | undefined {
    const byte = super.take();
    if (byte !== undefined && byte !== PS2_RESEND) this.#lastSent = byte;
    return byte;
  }

  reset(): void {
    this.clear();
    this.#defaults();
    this.#scanning = true;
    this.#command = this.leds = 0;
  }

  receive(byte: number): void {
    const command = this.#command;
    this.#command = 0;
    if (command !== 0 && byte < 0x80) this.#parameter(command, byte);
    else this.#begin(byte);
  }

  #begin(byte: number): void {
    switch (byte) {
      case COMMAND.leds:
      case COMMAND.scanCodeSet:
      case COMMAND.rate:
        this.#command = byte;
        this.answer(PS2_ACK);
        return;
      case COMMAND.echo:
        this.answer(COMMAND.echo);
        return;
      case COMMAND.identify:
        this.answer(PS2_ACK, ...MF2_ID);
        return;
      case COMMAND.enable:
        this.clear();
        this.#scanning = true;
        break;
      case COMMAND.disable:
        this.#defaults();
        this.#scanning = false;
        break;
      case COMMAND.defaults:
        this.#defaults();
        break;
      case COMMAND.resend:
        this.answer(this.#lastSent);
        return;
      case COMMAND.reset:
        this.reset();
        this.answer(PS2_ACK, PS2_SELF_TEST_PASSED);
        return;
      default:
        // Typematic and make/break of single keys, which set 3 alone has.
        if (byte < COMMAND.firstSetAll || byte > COMMAND.lastSetKey) {
          this.answer(PS2_RESEND);
          return;
        }
        if (byte >= COMMAND.firstSetKey) this.#command = byte;
    }
    this.answer(PS2_ACK);
  }

  #parameter(command: number, value: number): void {
    if (command === COMMAND.leds) this.leds = value & 7;
    if (command !== COMMAND.scanCodeSet) {
      this.answer(PS2_ACK);
      return;
    }
    if (value > 3) this.answer(PS2_RESEND);
    else if (value === 0) this.answer(PS2_ACK, this.#set);
    else {
      this.#set = value;
      this.answer(PS2_ACK);
    }
  }

  #defaults(): void {
    this.#set = DEFAULT_SET;
  }
}
