// Guests for the cost of an exit: a loop of one instruction that the platform serves, between two marks on the hypervisor's log.
// 32-bit protected mode without paging, as the PVH entry leaves it.
import { buildElf, concat, le, pvhNote } from '../src/image/fixtures/build-elf.ts';
import { bytes, hypercall } from '../test/guest-program.ts';

const LOAD = 0x10_0000;
const DATA = LOAD + 0x1000;
const HYPERCALL = { xen_version: 17, console_io: 18, sched_op: 29, event_channel_op: 32 } as const;

/** What a turn of the loop does; EDI and ESI are the loop's own. */
export const EXITS: Readonly<Record<string, Uint8Array>> = {
  // mov eax, 0x40000001; xor ecx, ecx; cpuid
  cpuid: concat(bytes(0xb8), le(0x4000_0001, 4), bytes(0x31, 0xc9, 0x0f, 0xa2)),
  // mov eax, __HYPERVISOR_xen_version; xor ebx, ebx (XENVER_version); vmcall
  hypercall: concat(bytes(0xb8), le(HYPERCALL.xen_version, 4), bytes(0x31, 0xdb, 0x0f, 0x01, 0xc1)),
  // EVTCHNOP_send on a port that is not bound: a structure is read, and an error comes back
  'evtchn send': concat(
    bytes(0xb8),
    le(HYPERCALL.event_channel_op, 4),
    bytes(0xbb),
    le(4, 4),
    bytes(0xb9),
    le(DATA, 4),
    bytes(0x0f, 0x01, 0xc1),
  ),
  // in al, 0x80: a port that nobody serves
  port: bytes(0xe4, 0x80),
  // mov eax, [0xfee00030]: the local APIC's version
  'apic read': concat(bytes(0xa1), le(0xfee0_0030, 4)),
};

/** Runs `exit` that many times. Logs a byte before and after, then powers off. */
export function dispatchGuest(exit: Uint8Array, count: number): Uint8Array {
  const mark = hypercall(HYPERCALL.console_io, 0, 1, DATA + 8);
  // dec edi; jnz
  const loop = concat(exit, bytes(0x4f, 0x0f, 0x85), le(-(exit.length + 7) >>> 0, 4));
  const code = concat(mark, bytes(0xbf), le(count, 4), loop, mark, hypercall(HYPERCALL.sched_op, 2, DATA + 4), bytes(0xeb, 0xfe));
  return buildElf({
    segments: [
      { paddr: LOAD, data: code },
      // port 9 for the send; SHUTDOWN_poweroff; a character
      { paddr: DATA, data: concat(le(9, 4), le(0, 4), bytes(0x2e)) },
    ],
    notes: [pvhNote(LOAD)],
  });
}
