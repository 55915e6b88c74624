// The 8042 keyboard controller of a PS/2: ports 0x60 and 0x64, two devices, the system reset and the A20 gate on its output port.
// Section "Keyboard and Auxiliary Device Controller" of the IBM PS/2 Hardware Interface Technical Reference.
import { type InterruptLine, setLine } from '../interrupt-line.ts';
import type { IoHandler, IoRange } from '../io-bus.ts';
import type { Ps2Device } from './ps2-device.ts';
import { translate } from './scan-codes.ts';

export const I8042_DATA: IoRange = { at: 0x60, size: 1 };
export const I8042_COMMAND: IoRange = { at: 0x64, size: 1 };

const STATUS = { output: 1 << 0, input: 1 << 1, system: 1 << 2, command: 1 << 3, unlocked: 1 << 4, auxiliary: 1 << 5 } as const;
/** The command byte. */
const MODE = {
  keyboardInterrupt: 1 << 0,
  auxInterrupt: 1 << 1,
  system: 1 << 2,
  keyboardOff: 1 << 4,
  auxOff: 1 << 5,
  translate: 1 << 6,
} as const;
const RAM_BYTES = 32;
const COMMAND = {
  firstRead: 0x20,
  lastRead: 0x3f,
  firstWrite: 0x60,
  lastWrite: 0x7f,
  auxOff: 0xa7,
  auxOn: 0xa8,
  auxTest: 0xa9,
  selfTest: 0xaa,
  keyboardTest: 0xab,
  keyboardOff: 0xad,
  keyboardOn: 0xae,
  readInput: 0xc0,
  readOutput: 0xd0,
  writeOutput: 0xd1,
  writeKeyboardBuffer: 0xd2,
  writeAuxBuffer: 0xd3,
  toAux: 0xd4,
  firstPulse: 0xf0,
} as const;
const SELF_TEST_PASSED = 0x55;
/** The output port: bit 0 is the system's reset, low active; bit 1 the A20 gate; the interrupts show in bits 4 and 5. */
const OUTPUT = { noReset: 1 << 0, a20: 1 << 1, keyboard: 1 << 4, aux: 1 << 5 } as const;

export interface I8042Options {
  readonly keyboard: Ps2Device;
  readonly mouse: Ps2Device;
  /** IRQ 1 and IRQ 12. */
  readonly keyboardInterrupt: InterruptLine;
  readonly mouseInterrupt: InterruptLine;
  /** The guest pulls the reset line. */
  readonly reset: () => void;
}

type Source = 'keyboard' | 'aux' | 'controller';

export class I8042 {
  readonly dataPort: IoHandler;
  readonly commandPort: IoHandler;
  readonly #options: I8042Options;
  readonly #ram = new Uint8Array(RAM_BYTES);
  /** What port 0x60 gives next, and whose it is. */
  #output: { byte: number; from: Source } | undefined;
  #last = 0;
  /** Answers of the controller itself, which come before the devices'. */
  #answers: { byte: number; from: Source }[] = [];
  /** The command that waits for its byte at port 0x60; 0: that goes to the keyboard. */
  #pending = 0;
  #lastWasCommand = false;
  #outputPort: number = OUTPUT.noReset | OUTPUT.a20;
  /** A break prefix of set 2 has come, and the next code is one of a key going up. */
  #release = false;

  constructor(options: I8042Options) {
    this.#options = options;
    this.dataPort = { read: () => this.#readData(), write: (_offset, _size, value) => this.#writeData(value & 0xff) };
    this.commandPort = { read: () => this.#status, write: (_offset, _size, value) => this.#command(value & 0xff) };
    for (const device of [options.keyboard, options.mouse]) device.onData = () => this.#fill();
    this.reset();
  }

  reset(): void {
    this.#ram.fill(0);
    this.#ram[0] = MODE.translate | MODE.keyboardOff | MODE.auxOff;
    this.#output = undefined;
    this.#answers = [];
    this.#pending = 0;
    this.#lastWasCommand = this.#release = false;
    this.#outputPort = OUTPUT.noReset | OUTPUT.a20;
    this.#options.keyboard.reset();
    this.#options.mouse.reset();
    this.#drive();
  }

  get #mode(): number {
    return this.#ram[0] as number;
  }

  get #status(): number {
    const full = this.#output === undefined ? 0 : STATUS.output | (this.#output.from === 'aux' ? STATUS.auxiliary : 0);
    return full | (this.#mode & MODE.system ? STATUS.system : 0) | (this.#lastWasCommand ? STATUS.command : 0) | STATUS.unlocked;
  }

  #readData(): number {
    if (this.#output !== undefined) {
      this.#last = this.#output.byte;
      this.#output = undefined;
      // The line falls between two bytes.
      this.#drive();
      this.#fill();
    }
    return this.#last;
  }

  #writeData(value: number): void {
    const command = this.#pending;
    this.#pending = 0;
    this.#lastWasCommand = false;
    if (command >= COMMAND.firstWrite && command <= COMMAND.lastWrite) {
      this.#ram[command - COMMAND.firstWrite] = value;
      this.#fill();
      this.#drive();
    } else if (command === COMMAND.writeOutput) this.#writeOutputPort(value);
    else if (command === COMMAND.writeKeyboardBuffer) this.#answer(value, 'keyboard');
    else if (command === COMMAND.writeAuxBuffer) this.#answer(value, 'aux');
    else if (command === COMMAND.toAux) this.#toDevice(this.#options.mouse, MODE.auxOff, value);
    else this.#toDevice(this.#options.keyboard, MODE.keyboardOff, value);
  }

  /** Sending to a device turns its interface on. */
  #toDevice(device: Ps2Device, off: number, value: number): void {
    (this.#ram[0] as number) &= ~off;
    device.receive(value);
    this.#fill();
  }

  #command(value: number): void {
    this.#lastWasCommand = true;
    this.#pending = 0;
    if (value >= COMMAND.firstRead && value <= COMMAND.lastRead) {
      this.#answer(this.#ram[value - COMMAND.firstRead] as number);
      return;
    }
    if (value >= COMMAND.firstPulse) {
      // Pulses the bits of the output port that are 0 in the command.
      if ((value & OUTPUT.noReset) === 0) this.#options.reset();
      return;
    }
    switch (value) {
      case COMMAND.auxOff:
        (this.#ram[0] as number) |= MODE.auxOff;
        return;
      case COMMAND.auxOn:
        (this.#ram[0] as number) &= ~MODE.auxOff;
        this.#fill();
        return;
      case COMMAND.keyboardOff:
        (this.#ram[0] as number) |= MODE.keyboardOff;
        return;
      case COMMAND.keyboardOn:
        (this.#ram[0] as number) &= ~MODE.keyboardOff;
        this.#fill();
        return;
      case COMMAND.auxTest:
      case COMMAND.keyboardTest:
        this.#answer(0);
        return;
      case COMMAND.selfTest:
        (this.#ram[0] as number) |= MODE.system;
        this.#answer(SELF_TEST_PASSED);
        return;
      case COMMAND.readInput:
        // No key lock, manufacturing jumper open.
        this.#answer(0x80);
        return;
      case COMMAND.readOutput: {
        const aux = this.#output?.from === 'aux' ? OUTPUT.aux : 0;
        const keyboard = this.#output !== undefined && aux === 0 ? OUTPUT.keyboard : 0;
        this.#answer(this.#outputPort | aux | keyboard);
        return;
      }
      case COMMAND.writeOutput:
      case COMMAND.writeKeyboardBuffer:
      case COMMAND.writeAuxBuffer:
      case COMMAND.toAux:
        this.#pending = value;
        return;
      default:
        if (value >= COMMAND.firstWrite && value <= COMMAND.lastWrite) this.#pending = value;
    }
  }

  /** The A20 gate is remembered and gates nothing: every processor of today has all its address lines. */
  #writeOutputPort(value: number): void {
    this.#outputPort = (value & OUTPUT.a20) | OUTPUT.noReset;
    if ((value & OUTPUT.noReset) === 0) this.#options.reset();
  }

  #answer(byte: number, from: Source = 'controller'): void {
    // A guest that asks on and on and takes nothing gets the last answers.
    if (this.#answers.length >= RAM_BYTES) this.#answers.shift();
    this.#answers.push({ byte, from });
    this.#fill();
  }

  /** Puts the next byte into the output buffer, if that is empty: answers, then the keyboard, then the mouse. */
  #fill(): void {
    if (this.#output !== undefined) return;
    this.#output = this.#answers.shift() ?? this.#fromKeyboard() ?? this.#fromMouse();
    this.#drive();
    if (this.#output?.from === 'keyboard') this.#options.keyboard.onRoom();
  }

  #fromKeyboard(): { byte: number; from: Source } | undefined {
    const { keyboard } = this.#options;
    if ((this.#mode & MODE.keyboardOff) !== 0) return undefined;
    while (keyboard.waiting) {
      const code = keyboard.take() as number;
      if ((this.#mode & MODE.translate) === 0) return { byte: code, from: 'keyboard' };
      if (code === 0xf0) {
        this.#release = true;
        continue;
      }
      const byte = translate(code) | (this.#release ? 0x80 : 0);
      this.#release = false;
      return { byte, from: 'keyboard' };
    }
    return undefined;
  }

  #fromMouse(): { byte: number; from: Source } | undefined {
    const { mouse } = this.#options;
    if ((this.#mode & MODE.auxOff) !== 0) return undefined;
    const byte = mouse.take();
    return byte === undefined ? undefined : { byte, from: 'aux' };
  }

  #drive(): void {
    const { keyboardInterrupt, mouseInterrupt } = this.#options;
    const full = this.#output !== undefined;
    const aux = this.#output?.from === 'aux';
    setLine(keyboardInterrupt, full && !aux && (this.#mode & MODE.keyboardInterrupt) !== 0);
    setLine(mouseInterrupt, full && aux && (this.#mode & MODE.auxInterrupt) !== 0);
  }
}
