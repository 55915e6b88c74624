// Guests of a few bytes: hand-assembled 32-bit code behind a PVH entry, in an ELF file. Paging is off and the segments are
// flat, so an address is an address.
import { buildElf, concat, le, pvhNote } from '../src/image/fixtures/build-elf.ts';

const LOAD = 0x10_0000;
/** Where `data` of a program lies. */
const DATA = LOAD + 0x1000;

const HYPERCALL = { console_io: 18, sched_op: 29, event_channel_op: 32 } as const;
const CONSOLEIO_WRITE = 0;
const SCHEDOP_SHUTDOWN = 2;
const EVTCHNOP_SEND = 4;
/** The console's page, and its event channel: the one after XenStore's. */
const CONSOLE_PAGE = 0xfeff_f000;
const CONSOLE_PORT = 2;

export const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

/** mov eax, nr; mov ebx, a; mov ecx, b; mov edx, c; vmcall. */
export const hypercall = (nr: number, a: number, b: number, c = 0): Uint8Array =>
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

/** Prints "ready\n" on its console, and then whatever is typed there, for ever. */
export const echoGuest = (): Uint8Array => {
  const text = 'ready\n';
  const send = hypercall(HYPERCALL.event_channel_op, EVTCHNOP_SEND, DATA);
  // xencons_interface: in[1024], out[2048], in_cons, in_prod, out_cons, out_prod.
  const [inCons, inProd, outProd] = [le(0xc00, 4), le(0xc04, 4), le(0xc0c, 4)];
  const loop = concat(
    bytes(0x8b, 0x86),
    inCons, // mov eax, [esi + in_cons]
    bytes(0x3b, 0x86),
    inProd, // cmp eax, [esi + in_prod]
    bytes(0x74, 0xf2), // je to the first of these
    bytes(0x25, ...le(0x3ff, 4)), // and eax, 1023
    bytes(0x8a, 0x1c, 0x06), // mov bl, [esi + eax]
    bytes(0xff, 0x86),
    inCons, // inc dword [esi + in_cons]
    bytes(0x8b, 0x86),
    outProd, // mov eax, [esi + out_prod]
    bytes(0x25, ...le(0x7ff, 4)), // and eax, 2047
    bytes(0x88, 0x9c, 0x06),
    le(0x400, 4), // mov [esi + eax + out], bl
    bytes(0xff, 0x86),
    outProd, // inc dword [esi + out_prod]
    send,
  );
  return program(
    concat(
      bytes(0xbf, ...le(CONSOLE_PAGE + 0x400, 4)), // mov edi, out
      bytes(0xbe, ...le(DATA + 4, 4)), // mov esi, text
      bytes(0xb9, ...le(text.length, 4), 0xfc, 0xf3, 0xa4), // mov ecx, length; cld; rep movsb
      bytes(0xbe, ...le(CONSOLE_PAGE, 4)), // mov esi, page
      bytes(0xc7, 0x86),
      outProd,
      le(text.length, 4), // mov dword [esi + out_prod], length
      send,
      loop,
      bytes(0xe9, ...le(-(loop.length + 5), 4)), // jmp to the loop
    ),
    concat(le(CONSOLE_PORT, 4), new TextEncoder().encode(text)),
  );
};
