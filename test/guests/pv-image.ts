// A PV kernel in a page: it writes what its start info says of itself to its console's ring, and powers off.
// xen/include/public/elfnote.h, xen.h (start_info), io/console.h.
import { buildElf, le, type NotePlan } from '../../src/image/fixtures/build-elf.ts';
import { GuestCode, R, type Width } from './guest-code.ts';
import { HYPERVISOR } from './xen-numbers.ts';

const AT = { code: 0x1000, hypercalls: 0x2000, end: 0x3000 } as const;
const NOTE = {
  entry: 1,
  hypercallPage: 2,
  virtualBase: 3,
  paddrOffset: 4,
  xenVersion: 5,
  guestOs: 6,
  loader: 8,
  paeMode: 9,
} as const;
const EVTCHNOP_send = 4;
const SCHEDOP_shutdown = 2;
/** The builder puts XenStore's ring behind the start info, and the console's behind that. */
const CONSOLE_RING = 0x2000;
const RING = { out: 1024, outMask: 2047, outProducer: 3084 } as const;
/** start_info.console.domU.evtchn */
const CONSOLE_PORT: Readonly<Record<Width, number>> = { 64: 80, 32: 56 };
/** Each call's stub. */
const STUB_BYTES = 32;

/** The magic of the start info that Xen gives a guest of this width. */
export const PV_MAGIC: Readonly<Record<Width, string>> = { 64: 'xen-3.0-x86_64', 32: 'xen-3.0-x86_32p' };

/** An ELF file with the notes of a PV kernel, as the domain builder of Xen wants them. */
export function buildPvKernel(width: Width): Uint8Array {
  const wide = width === 64;
  const text = (value: string): Uint8Array => new TextEncoder().encode(`${value}\0`);
  const note = (type: number, descriptor: Uint8Array): NotePlan => ({ name: 'Xen', type, descriptor });
  const address = (value: number): Uint8Array => le(value, wide ? 8 : 4);
  return buildElf({
    bits: width,
    segments: [
      { paddr: AT.code, data: program(width) },
      { paddr: AT.hypercalls, data: new Uint8Array(0), memSize: AT.end - AT.hypercalls },
    ],
    notes: [
      note(NOTE.guestOs, text('probe')),
      note(NOTE.loader, text('generic')),
      note(NOTE.xenVersion, text('xen-3.0')),
      note(NOTE.virtualBase, address(0)),
      note(NOTE.paddrOffset, address(0)),
      note(NOTE.entry, address(AT.code)),
      note(NOTE.hypercallPage, address(AT.hypercalls)),
      ...(wide ? [] : [note(NOTE.paeMode, text('yes'))]),
    ],
  });
}

/** SI is the start info, whose first bytes are the magic; there is a stack. Addresses are below 4 GiB, so 32 bits of them do. */
function program(width: Width): Uint8Array {
  const out = new GuestCode(width, AT.code);
  const [first, second] = width === 64 ? [R.di, R.si] : [R.b, R.c];
  const says = '\nsays the guest\n';
  const call = (nr: number): void => void out.constant(R.a, AT.hypercalls + nr * STUB_BYTES).bytes(0xff, 0xd0);
  /** From SI. */
  const write = (length: number, label: string): void => {
    out.constant(R.c, length).label(label);
    out.bytes(0x8a, 0x16, 0x89, 0xc7).arithmetic32(4, R.di, RING.outMask); // mov dl, [si]; mov edi, eax
    out.bytes(0x88, 0x94, 0x3b).u32(RING.out); // mov [bx + di + out], dl
    out.bytes(0xff, 0xc0, 0xff, 0xc6, 0xff, 0xc9).jumpIf('ne', label); // inc eax; inc esi; dec ecx
  };
  out.move(R.bp, R.si).move(R.b, R.si).arithmetic32(0, R.b, CONSOLE_RING);
  out.load32(R.a, R.b, RING.outProducer);
  write(PV_MAGIC[width].length, 'magic');
  out.addressIn(R.si, 'text');
  write(says.length, 'says');
  out.store32(R.b, RING.outProducer, R.a);
  out.move(second, R.bp).arithmetic32(0, second, CONSOLE_PORT[width]).constant(first, EVTCHNOP_send);
  call(HYPERVISOR.event_channel_op);
  out.addressIn(second, 'poweroff').constant(first, SCHEDOP_shutdown);
  call(HYPERVISOR.sched_op);
  // UD2: Xen crashes a guest that has no handler.
  out.bytes(0x0f, 0x0b);
  out.label('text').bytes(...new TextEncoder().encode(says));
  out.align(4).label('poweroff').u32(0);
  return out.finish();
}
