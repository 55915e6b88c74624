// Port and MMIO accesses of the instruction being run. The engine returns each to the machine as an exit, then runs the
// instruction again: accesses already completed answer from here, the next new one makes the next exit.
import { EXIT, type Exit } from '../vcpu/contract.ts';

interface Access {
  kind: 'pio' | 'mmio';
  /** Port or guest-physical address. */
  at: number;
  size: number;
  write: boolean;
  low: number;
  high: number;
  /** More than 1: the data is in the exit's block. */
  elements: number;
}

export class PendingIo {
  readonly #exit: Exit;
  /** Completed accesses of the current instruction, in order. */
  readonly #done: Access[] = [];
  #position = 0;
  #waiting = false;

  constructor(exit: Exit) {
    this.#exit = exit;
  }

  /** Told of each port access, also when it is repeated. */
  onPort: (port: number, size: number) => void = () => {};

  /** True while an instruction has accesses behind it and has not finished. */
  get active(): boolean {
    return this.#done.length > 0;
  }
  /** Elements that the machine has moved for an INS or OUTS that runs again; 0 when it runs for the first time. */
  get answered(): number {
    return this.#done[0]?.elements ?? 0;
  }
  /** True between an exit and the machine's answer. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** MMIO read of 1 to 16 bytes into `view`; false when the machine must act first. */
  read(gpa: number, size: number, view: DataView, at: number): boolean {
    return this.#transfer('mmio', gpa, size, false, view, at);
  }
  write(gpa: number, size: number, view: DataView, at: number): boolean {
    return this.#transfer('mmio', gpa, size, true, view, at);
  }
  /** Port access; `size` 1, 2 or 4. */
  port(port: number, size: number, write: boolean, view: DataView, at: number): boolean {
    this.onPort(port, size);
    return this.#transfer('pio', port, size, write, view, at);
  }

  /**
   * Several elements of INS or OUTS at a port aligned to `size`: as many as `bytes` has, or, when the instruction runs again, as
   * `answered` says. False when the machine must act first.
   */
  elements(port: number, size: number, write: boolean, bytes: Uint8Array): boolean {
    this.onPort(port, size);
    const exit = this.#exit;
    if (this.#done[this.#position] === undefined) {
      this.#ask('pio', port, size, write, new DataView(bytes.buffer), 0);
      exit.most = bytes.length / size;
      if (write) exit.block.set(bytes);
      return false;
    }
    this.#position++;
    if (!write) bytes.set(exit.block.subarray(0, bytes.length));
    return true;
  }

  /** The instruction starts (again): earlier accesses answer in order. */
  rewind(): void {
    this.#position = 0;
  }
  /** The instruction, or an iteration of a string instruction, is complete. */
  clear(): void {
    if (this.#done.length > 0) this.#done.length = 0;
    this.#position = 0;
  }
  /** Forgets everything: the CPU was reset. */
  reset(): void {
    this.clear();
    this.#waiting = false;
  }
  /** Takes the machine's answer from the exit. */
  complete(): void {
    if (!this.#waiting) return;
    this.#waiting = false;
    const exit = this.#exit;
    const kind = exit.reason === EXIT.pio ? 'pio' : 'mmio';
    const at = kind === 'pio' ? exit.port : exit.gpa;
    const elements = Math.max(1, Math.min(exit.moved, exit.most));
    this.#done.push({ kind, at, size: exit.size, write: exit.write, low: exit.dataLow, high: exit.dataHigh, elements });
  }

  #transfer(kind: 'pio' | 'mmio', at: number, size: number, write: boolean, view: DataView, buffer: number): boolean {
    for (let done = 0; done < size; ) {
      // A port access is one, wherever it is, as an I/O exit has it (SDM vol. 3, table 28-5): the DISPI's data port is a word at 0x1cf.
      const piece = kind === 'pio' ? size : pieceSize(at + done, size - done);
      const known = this.#done[this.#position];
      if (known === undefined) {
        this.#ask(kind, at + done, piece, write, view, buffer + done);
        return false;
      }
      this.#position++;
      if (!write) {
        for (let i = 0; i < piece; i++)
          view.setUint8(buffer + done + i, ((i < 4 ? known.low : known.high) >>> ((i & 3) * 8)) & 0xff);
      }
      done += piece;
    }
    return true;
  }

  #ask(kind: 'pio' | 'mmio', at: number, size: number, write: boolean, view: DataView, buffer: number): void {
    const exit = this.#exit;
    exit.reason = kind === 'pio' ? EXIT.pio : EXIT.mmio;
    exit.port = kind === 'pio' ? at : 0;
    exit.gpa = kind === 'mmio' ? at : 0;
    exit.size = size;
    exit.write = write;
    exit.dataLow = 0;
    exit.dataHigh = 0;
    exit.most = 1;
    exit.moved = 1;
    if (write) {
      for (let i = 0; i < size; i++) {
        const byte = view.getUint8(buffer + i);
        if (i < 4) exit.dataLow = (exit.dataLow | (byte << (i * 8))) >>> 0;
        else exit.dataHigh = (exit.dataHigh | (byte << ((i - 4) * 8))) >>> 0;
      }
    }
    this.#waiting = true;
  }
}

/** Largest power of two up to 8 bytes that fits what is left; unaligned and 16-byte accesses reach device memory in pieces. */
function pieceSize(at: number, left: number): number {
  for (const size of [8, 4, 2]) if (left >= size && at % size === 0) return size;
  return 1;
}
