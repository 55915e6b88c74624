// The program of a probe guest: from the PVH entry to a loop that serves commands from a mailbox; interrupts are counted, and
// an exception ends the command that raised it.
import { GuestCode, R, type Width } from './guest-code.ts';
import { AT, LAPIC, MAILBOX as M, OP, SELECTOR, USER_RETURN, WINDOW } from './probe-layout.ts';

const VMCALL = [0x0f, 0x01, 0xc1] as const;
const IA32_EFER = 0xc000_0080;
const PAGE = 0x1000;
const arg = (index: number): number => M.in + index * 8;
const result = (index: number): number => M.out + index * 8;

export interface ProbeProgram {
  readonly code: Uint8Array;
  /** For CPL 3, at WINDOW.userCode. */
  readonly userCode: Uint8Array;
  /** Physical address of the PVH entry. */
  readonly entry: number;
  /** Of a further vCPU, in flat 32-bit mode without paging: EBP is its number. */
  readonly secondEntry32: number;
  /** Of a further vCPU in the guest's own mode with paging on: EBP is its number. */
  readonly secondEntry: number;
  /** By vector. */
  readonly handlers: readonly number[];
}

export function assembleProbe(width: Width): ProbeProgram {
  const code = new GuestCode(width, AT.code);
  const wide = width === 64;
  emitEntry(code, wide);
  emitLoop(code, wide);
  emitHypercalls(code, wide);
  emitCommands(code);
  emitHandlers(code, wide);
  code.label('gdtr').bytes(0xff, 0x00).u32(AT.gdt).u32(0).align(8);
  code.label('idtr').bytes(0xff, 0x0f).u32(AT.idt).u32(0).align(8);
  const user = new GuestCode(width, WINDOW.userCode);
  user.bytes(...VMCALL, 0xcd, USER_RETURN, 0x0f, 0x0b);
  return {
    code: code.finish(),
    userCode: user.finish(),
    entry: code.addressOf('entry'),
    secondEntry32: code.addressOf('second entry'),
    secondEntry: code.addressOf('paged'),
    handlers: Array.from({ length: 256 }, (_, vector) => code.addressOf(`vector ${vector}`)),
  };
}

/** Sets `reg` to the mailbox of the vCPU that runs this, from its task register. The same bytes in every mode. */
function here(code: GuestCode, reg: number): void {
  code.bytes(0x31, 0xc0 | (reg << 3) | reg); // xor reg, reg
  code.bytes(0x66, 0x0f, 0x00, 0xc8 | reg); // str reg16
  code.bytes(0xc1, 0xe0 | reg, 8); // shl reg, 8: 16 bytes of GDT are a page of mailbox
  code.arithmetic32(0, reg, AT.mailbox - SELECTOR.tss * 256);
}

/** From 32-bit mode without paging; a vCPU started with paging on begins at `paged`. */
function emitEntry(code: GuestCode, wide: boolean): void {
  code.label('entry').bytes(0x31, 0xed).move32(R.si, R.b).jump('flat'); // xor ebp, ebp
  code.label('second entry').bytes(0x31, 0xf6); // xor esi, esi
  code.label('flat').addressIn(R.a, 'gdtr').memory32([0x0f, 0x01], 2, R.a, 0); // lgdt
  code.bytes(0x0f, 0x20, 0xe0).arithmetic32(1, R.a, 0x620).bytes(0x0f, 0x22, 0xe0); // CR4: PAE, OSFXSR, OSXMMEXCPT
  code.constant(R.a, wide ? AT.pml4 : AT.pdpt).bytes(0x0f, 0x22, 0xd8);
  if (wide) code.constant(R.c, IA32_EFER).bytes(0x0f, 0x32).arithmetic32(1, R.a, 0x100).bytes(0x0f, 0x30); // LME
  code.constant(R.a, 0x8001_0011).bytes(0x0f, 0x22, 0xc0); // CR0: PG, WP, ET, PE
  code.bytes(0xea).pointer32('paged').bytes(SELECTOR.code, 0); // jmp far

  code.label('paged').addressIn(R.a, 'gdtr').memory32([0x0f, 0x01], 2, R.a, 0);
  code.constant(R.a, SELECTOR.stack).bytes(0x8e, 0xd0); // mov ss, eax
  code.constant(R.a, SELECTOR.data).bytes(0x8e, 0xd8, 0x8e, 0xc0); // ds, es: of level 3, so that they survive a return to it
  code
    .move32(R.sp, R.bp)
    .bytes(0xc1, 0xe4, 13)
    .arithmetic32(0, R.sp, AT.stacks + PAGE); // shl esp, 13
  code.constant(R.a, SELECTOR.code).push(R.a).addressIn(R.a, 'segments').push(R.a).rexW().bytes(0xcb); // retf
  code.label('segments').addressIn(R.a, 'idtr').memory32([0x0f, 0x01], 3, R.a, 0);
  code.move32(R.a, R.bp).bytes(0xc1, 0xe0, 4).arithmetic32(0, R.a, SELECTOR.tss).bytes(0x0f, 0x00, 0xd8); // ltr
  code.constant(R.a, LAPIC.base).storeConstant32(R.a, LAPIC.svr, 0x100 | LAPIC.spurious);
  here(code, R.b);
  code.store32(R.b, M.startInfo, R.si).storeConstant32(R.b, M.ready, 1);
}

/** Interrupts come between commands when `interrupts` is set, never within one. */
function emitLoop(code: GuestCode, wide: boolean): void {
  code.label('idle').bytes(0xf3, 0x90); // pause
  here(code, R.b);
  code.load32(R.a, R.b, M.request).compareMemory32(R.a, R.b, M.done).jumpIf('e', 'idle');
  code.bytes(0xfa).store(R.b, M.savedStack, R.sp); // cli
  code.load32(R.a, R.b, M.op).bytes(0xff, 0x24, 0xc5).pointer32('commands'); // jmp [commands + eax * 8]

  // In long mode an interrupt of level 3 leaves no stack segment behind, and 32-bit code needs one.
  code.label('finish').bytes(0xfa).constant(R.a, SELECTOR.stack).bytes(0x8e, 0xd0);
  here(code, R.b);
  code.load(R.sp, R.b, M.savedStack).load32(R.a, R.b, M.request).store32(R.b, M.done, R.a);
  code.memory32([0x83], 7, R.b, M.interrupts).bytes(0).jumpIf('e', 'idle'); // cmp dword, 0
  code.bytes(0xfb).jump('idle'); // sti
  code.align(8).label('commands');
  for (const [name] of Object.entries(OP).sort(([, a], [, b]) => a - b))
    code.pointer(name === 'callFromCompat' && !wide ? 'call' : name);
}

/** RDI RSI RDX R10 R8 R9, or EBX ECX EDX ESI EDI EBP: where arguments 1 to 6 go. EBX, the mailbox, comes last. */
const ORDER64 = [R.di, R.si, R.d, 10, 8, 9] as const;
const ORDER32 = [R.b, R.c, R.d, R.si, R.di, R.bp] as const;

function loadArguments(code: GuestCode, wide: boolean): void {
  code.load(R.a, R.b, arg(0));
  if (wide) code.load(R.c, R.b, M.rcx);
  const order = wide ? ORDER64 : ORDER32;
  for (let i = 5; i >= 0; i--) code.load(order[i] as number, R.b, arg(i + 1));
}

function emitHypercalls(code: GuestCode, wide: boolean): void {
  code.label('call');
  loadArguments(code, wide);
  code.bytes(...VMCALL);
  code.label('after call');
  saveArguments(code, wide);
  code.jump('finish');

  code.label('callByPage').pushFrom(R.b, M.target);
  loadArguments(code, wide);
  code.bytes(0xff, 0x14, 0x24).jump('after call'); // call [esp]; the stack is restored at the end

  code.label('callFromUser');
  code.constant(R.a, SELECTOR.data).push(R.a);
  code.constant(R.a, WINDOW.userStack + PAGE).push(R.a);
  code.bytes(0x9c); // pushf
  code.constant(R.a, SELECTOR.userCode).push(R.a);
  code.constant(R.a, WINDOW.userCode).push(R.a);
  loadArguments(code, wide);
  code.rexW().bytes(0xcf); // iret
  // The int 81 of level 3 arrives here, on another stack.
  code.label(`vector ${USER_RETURN}`).jump('after call');

  if (!wide) return;
  const compat = new GuestCode(32, 0);
  loadArguments(compat, false);
  compat.bytes(...VMCALL);
  saveArguments(compat, false);
  code.label('callFromCompat');
  code.constant(R.a, SELECTOR.compatCode).push(R.a).addressIn(R.a, 'compat').push(R.a).bytes(0x48, 0xcb); // retf
  code
    .label('compat')
    .bytes(...compat.finish(), 0xea)
    .pointer32('finish')
    .bytes(SELECTOR.code, 0);
}

function saveArguments(code: GuestCode, wide: boolean): void {
  code.push(R.b).push(R.a);
  here(code, R.b);
  code.popTo(R.b, result(0)).popTo(R.b, wide ? result(7) : result(1));
  const order = wide ? ORDER64 : ORDER32;
  for (let i = wide ? 0 : 1; i < 6; i++) code.store(R.b, result(i + 1), order[i] as number);
}

function emitCommands(code: GuestCode): void {
  const end = (): void => void code.jump('finish');
  code.label('nop');
  end();
  code.label('cpuid').load32(R.a, R.b, arg(0)).load32(R.c, R.b, arg(1)).move32(R.si, R.b).bytes(0x0f, 0xa2);
  code.store32(R.si, result(0), R.a).store32(R.si, result(1), R.b).store32(R.si, result(2), R.c).store32(R.si, result(3), R.d);
  end();
  code.label('rdmsr').load32(R.c, R.b, arg(0)).bytes(0x0f, 0x32).store32(R.b, result(0), R.a).store32(R.b, result(1), R.d);
  end();
  code.label('wrmsr').load32(R.c, R.b, arg(0)).load32(R.a, R.b, arg(1)).load32(R.d, R.b, arg(2)).bytes(0x0f, 0x30);
  end();
  code.label('out8').load32(R.d, R.b, arg(0)).load32(R.a, R.b, arg(1)).bytes(0xee);
  end();
  code.label('load').load(R.c, R.b, arg(0)).load(R.a, R.c, 0).store(R.b, result(0), R.a);
  end();
  code.label('store').load(R.c, R.b, arg(0)).load(R.a, R.b, arg(1)).store(R.c, 0, R.a);
  end();
  code.label('load32').load(R.c, R.b, arg(0)).load32(R.a, R.c, 0).store32(R.b, result(0), R.a);
  end();
  code.label('store32').load(R.c, R.b, arg(0)).load32(R.a, R.b, arg(1)).store32(R.c, 0, R.a);
  end();
  code.label('tsc').bytes(0x0f, 0x31).store32(R.b, result(0), R.a).store32(R.b, result(1), R.d);
  end();
  code.label('flush').bytes(0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8); // CR3 onto itself
  end();
  code.label('enable').storeConstant32(R.b, M.interrupts, 1);
  end();
  code.label('disable').storeConstant32(R.b, M.interrupts, 0);
  end();
  code.label('halt').bytes(0xfb, 0xf4); // sti; hlt
  end();
}

const NMI = 2;
const FIRST_INTERRUPT = 0x20;
const WITH_ERROR: readonly number[] = [8, 10, 11, 12, 13, 14, 17, 21, 29, 30];

function emitHandlers(code: GuestCode, wide: boolean): void {
  const word = wide ? 8 : 4;
  for (let vector = 0; vector < 256; vector++) {
    if (vector === USER_RETURN) continue;
    const interrupt = vector >= FIRST_INTERRUPT || vector === NMI;
    code.label(`vector ${vector}`);
    if (!interrupt && !WITH_ERROR.includes(vector)) code.bytes(0x6a, 0);
    code
      .bytes(0x68)
      .u32(vector)
      .jump(interrupt ? 'interrupt' : 'exception');
  }
  // Stack: vector, error code, RIP, …
  code.label('exception');
  here(code, R.b);
  code.pop(R.a).bytes(0x83, 0xc0, 1).store32(R.b, M.fault, R.a); // add eax, 1
  code.popTo(R.b, M.faultError).popTo(R.b, M.faultRip);
  code.bytes(0x0f, 0x20, 0xd0).store(R.b, M.faultAddress, R.a).jump('finish'); // CR2

  code.label('interrupt').push(R.a).push(R.b).push(R.c);
  here(code, R.b);
  const vector = [0x8b, 0x44, 0x24, 3 * word]; // mov eax, [esp + 3 words]
  code.bytes(...vector, 0x83, 0xf8, NMI).jumpIf('e', 'interrupt count');
  // What a guest does with an upcall: clear evtchn_upcall_pending, then take the selector.
  code.load(R.c, R.b, M.vcpuInfo).rexW().bytes(0x85, 0xc9).jumpIf('e', 'interrupt eoi');
  code.bytes(0xc6, 0x01, 0, 0x31, 0xc0); // mov byte [ecx], 0; xor eax, eax
  code.rexW().bytes(0x87, 0x41, word); // xchg [ecx + word], eax
  code.rexW().memory32([0x09], R.a, R.b, M.selectorSeen);
  code.label('interrupt eoi').constant(R.a, LAPIC.base).storeConstant32(R.a, LAPIC.eoi, 0);
  // Last: who sees the count sees what came before it.
  code
    .label('interrupt count')
    .bytes(...vector, 0xff, 0x84, 0x83)
    .u32(M.counters); // inc dword [ebx + eax * 4 + counters]
  code.pop(R.c).pop(R.b).pop(R.a);
  code.rexW().bytes(0x83, 0xc4, word).rexW().bytes(0xcf); // drop the vector; iret
}
