// The file shared by the test and the native server process: what lies where. Offsets and sizes in bytes.
import { CODE_SIZE, CONTROL_SIZE, DATA_SIZE } from './address-map.ts';
import { IMAGE } from './cpu-image.ts';

const control = 0;
const code = control + CONTROL_SIZE;
const data = code + CODE_SIZE;
const signalStack = data + DATA_SIZE;
const signalStackSize = 0x1_0000;
export const SHARED = { control, code, data, signalStack, signalStackSize, records: signalStack + signalStackSize } as const;

/** The server's variables, at the start of the control page. `request` and `done` are futexes. */
export const CONTROL = {
  request: 0x00,
  done: 0x04,
  /** Cases in this batch. */
  count: 0x08,
  /** Cases of this batch not yet finished. */
  remaining: 0x0c,
  /** The record being worked on, and its output image. */
  record: 0x10,
  output: 0x18,
  savedRsp: 0x20,
  /** Cases started since the process began, modulo 2^32, and what that was at the last tick of the timer. */
  started: 0x28,
  startedAtTick: 0x2c,
  /** What IRETQ pops. It lies here, not in the record: see STACK16_ESP_HIGH. */
  frame: 0x40,
} as const;

/** One case. `frame` is what IRETQ starts it with: RIP, CS, RFLAGS, RSP, SS. */
export const RECORD = {
  input: 0,
  output: IMAGE.size,
  /** Number of the signal that ended the run; 0 when it reached the exit. */
  signal: 2 * IMAGE.size,
  trapNumber: 2 * IMAGE.size + 0x08,
  errorCode: 2 * IMAGE.size + 0x10,
  cr2: 2 * IMAGE.size + 0x18,
  /** How many bytes of `code` go to the address `codeTarget`. */
  codeCount: 2 * IMAGE.size + 0x20,
  codeTarget: 2 * IMAGE.size + 0x28,
  frame: 2 * IMAGE.size + 0x30,
  code: 2 * IMAGE.size + 0x60,
  codeCapacity: 0xa0,
  size: 2 * IMAGE.size + 0x100,
} as const;

/** Cases in one batch: waking the other process costs 80 µs, so many; but the records should stay in the caches. */
export const BATCH = 256;
export const SHARED_SIZE = SHARED.records + BATCH * RECORD.size;

/** The signal of a case that does not end. */
export const SIGVTALRM = 26;

export interface ServerProgram {
  /** The bytes of an ELF executable. */
  readonly elf: Uint8Array;
  /** The linear address the code under test must jump to when it has ended. */
  readonly exit: number;
}
