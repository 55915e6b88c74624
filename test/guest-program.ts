// Guests of a few bytes: hand-assembled 32-bit code behind a PVH entry, in an ELF file. Paging is off and the segments are
// flat, so an address is an address.
import { buildElf, concat, le, pvhNote } from '../src/image/fixtures/build-elf.ts';

const LOAD = 0x10_0000;
/** Where `data` of a program lies. */
const DATA = LOAD + 0x1000;

const HYPERCALL = { console_io: 18, sched_op: 29 } as const;
const CONSOLEIO_WRITE = 0;
const SCHEDOP_SHUTDOWN = 2;

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

/** mov eax, nr; mov ebx, a; mov ecx, b; mov edx, c; vmcall. */
const hypercall = (nr: number, a: number, b: number, c = 0): Uint8Array =>
  concat(bytes(0xb8), le(nr, 4), bytes(0xbb), le(a, 4), bytes(0xb9), le(b, 4), bytes(0xba), le(c, 4), bytes(0x0f, 0x01, 0xc1));

/** Writes text to the hypervisor's log. */
const log = (text: string, at: number): Uint8Array => hypercall(HYPERCALL.console_io, CONSOLEIO_WRITE, text.length, at);

function program(code: Uint8Array, data: Uint8Array = bytes(0)): Uint8Array {
  return buildElf({
    segments: [
      { paddr: LOAD, data: code },
      { paddr: DATA, data },
    ],
    notes: [pvhNote(LOAD)],
  });
}

/** jmp $ */
const FOREVER = bytes(0xeb, 0xfe);

/** Says "hello" in the hypervisor's log and calls SCHEDOP_shutdown with a reason (SHUTDOWN_*). */
export const shutdownGuest = (reason: number): Uint8Array =>
  program(
    concat(log('hello\n', DATA + 4), hypercall(HYPERCALL.sched_op, SCHEDOP_SHUTDOWN, DATA), FOREVER),
    concat(le(reason, 4), new TextEncoder().encode('hello\n')),
  );

/** Says "hello" and computes for ever. */
export const busyGuest = (): Uint8Array => program(concat(log('hello\n', DATA), FOREVER), new TextEncoder().encode('hello\n'));

/** Raises #UD with an IDT of limit 0: the fault, the fault of its delivery, and the end. lidt [DATA]; ud2. */
export const tripleFaultGuest = (): Uint8Array =>
  program(concat(bytes(0x0f, 0x01, 0x1d), le(DATA, 4), bytes(0x0f, 0x0b)), new Uint8Array(6));

/** cli; hlt: the only vCPU goes down. */
export const haltGuest = (): Uint8Array => program(bytes(0xfa, 0xf4));
