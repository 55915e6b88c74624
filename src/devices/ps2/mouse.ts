// A PS/2 mouse with three buttons, and with a wheel once the host has knocked for it (rates 200, 100, 80), as Microsoft's
// IntelliMouse has it. IBM PS/2 Hardware Interface Technical Reference, "Mouse".
import { PS2_ACK, PS2_RESEND, PS2_SELF_TEST_PASSED, Ps2Device } from './ps2-device.ts';

const COMMAND = {
  scale1: 0xe6,
  scale2: 0xe7,
  resolution: 0xe8,
  status: 0xe9,
  stream: 0xea,
  read: 0xeb,
  endWrap: 0xec,
  wrap: 0xee,
  remote: 0xf0,
  identify: 0xf2,
  rate: 0xf3,
  enable: 0xf4,
  disable: 0xf5,
  defaults: 0xf6,
  reset: 0xff,
} as const;
const WHEEL_KNOCK = [200, 100, 80] as const;
const WHEEL_ID = 3;
/** What a packet can say. */
const MOST = 255;

export class Ps2Mouse extends Ps2Device {
  #id = 0;
  #rate = 100;
  #resolution = 2;
  #double = false;
  #remote = false;
  #reporting = false;
  #wrap = false;
  #command = 0;
  #rates: number[] = [];
  #dx = 0;
  #dy = 0;
  #wheel = 0;
  #buttons = 0;

  /** It moves, to the right and up, or a button changes: bits left, right, middle. `wheel` counts towards the user. */
  move(dx: number, dy: number, buttons: number, wheel = 0): void {
    this.#dx += dx;
    this.#dy += dy;
    this.#wheel += wheel;
    this.#buttons = buttons & 7;
    if (this.#reporting && !this.#remote && !this.#wrap) this.#send((bytes) => this.report(bytes));
  }

  reset(): void {
    this.clear();
    this.#defaults();
    this.#id = this.#command = 0;
    this.#wrap = false;
    this.#rates = [];
  }

  receive(byte: number): void {
    if (this.#wrap && byte !== COMMAND.reset && byte !== COMMAND.endWrap) {
      this.answer(byte);
      return;
    }
    const command = this.#command;
    this.#command = 0;
    if (command === COMMAND.rate) this.#setRate(byte);
    else if (command === COMMAND.resolution) this.#resolution = byte & 3;
    else {
      this.#begin(byte);
      return;
    }
    this.answer(PS2_ACK);
  }

  #begin(byte: number): void {
    switch (byte) {
      case COMMAND.scale1:
      case COMMAND.scale2:
        this.#double = byte === COMMAND.scale2;
        break;
      case COMMAND.rate:
      case COMMAND.resolution:
        this.#command = byte;
        break;
      case COMMAND.status: {
        const { left, right, middle } = { left: this.#buttons & 1, right: (this.#buttons >> 1) & 1, middle: this.#buttons >> 2 };
        const flags = (this.#remote ? 64 : 0) | (this.#reporting ? 32 : 0) | (this.#double ? 16 : 0);
        this.answer(PS2_ACK, flags | (left << 2) | (middle << 1) | right, this.#resolution, this.#rate);
        return;
      }
      case COMMAND.stream:
      case COMMAND.remote:
        this.#remote = byte === COMMAND.remote;
        break;
      case COMMAND.read:
        this.answer(PS2_ACK);
        this.#send((bytes) => {
          this.answer(...bytes);
          return true;
        });
        return;
      case COMMAND.wrap:
      case COMMAND.endWrap:
        this.#wrap = byte === COMMAND.wrap;
        break;
      case COMMAND.identify:
        this.answer(PS2_ACK, this.#id);
        return;
      case COMMAND.enable:
      case COMMAND.disable:
        this.#reporting = byte === COMMAND.enable;
        break;
      case COMMAND.defaults:
        this.#defaults();
        break;
      case COMMAND.reset:
        this.reset();
        this.answer(PS2_ACK, PS2_SELF_TEST_PASSED, this.#id);
        return;
      default:
        this.answer(PS2_RESEND);
        return;
    }
    this.answer(PS2_ACK);
  }

  #setRate(rate: number): void {
    this.#rate = rate;
    this.#rates = [...this.#rates, rate].slice(-WHEEL_KNOCK.length);
    if (WHEEL_KNOCK.every((knock, i) => this.#rates[i] === knock)) this.#id = WHEEL_ID;
  }

  /** One packet of what has moved; what does not fit stays for the next. */
  #send(way: (bytes: number[]) => boolean): void {
    const clamp = (value: number, most: number): number => Math.max(-most - 1, Math.min(most, value));
    const dx = clamp(this.#dx, MOST);
    const dy = clamp(this.#dy, MOST);
    const wheel = clamp(this.#wheel, 7);
    const bytes = [this.#buttons | 8 | (dx < 0 ? 16 : 0) | (dy < 0 ? 32 : 0), dx & 0xff, dy & 0xff];
    if (this.#id === WHEEL_ID) bytes.push(wheel & 0xff);
    if (!way(bytes)) return;
    this.#dx -= dx;
    this.#dy -= dy;
    this.#wheel -= wheel;
  }

  #defaults(): void {
    this.#rate = 100;
    this.#resolution = 2;
    this.#double = this.#remote = this.#reporting = false;
    this.#dx = this.#dy = this.#wheel = 0;
  }
}
