// The program that runs code natively: a static ELF executable of one page, assembled here. It has nothing in its address
// space but what `address-map.ts` lists, so that stray accesses of the code under test fault instead of hitting something.
// It takes batches of records from the shared file (descriptor 3), loads each state, enters the code with IRETQ, and gets
// control back through a jump to `exit` or through a signal.

import type { NativeDescriptor } from './address-map.ts';
import {
  CODE_BASE,
  CODE_SIZE,
  CONTROL_BASE,
  CONTROL_SIZE,
  DATA_BASE,
  DATA_SIZE,
  LDT,
  SELECTOR,
  SHARED_BASE,
  STUB_BASE,
  STUB_SIZE,
} from './address-map.ts';
import { Assembler, at, based, CONDITION, REG } from './assembler.ts';
import { IMAGE } from './cpu-image.ts';
import type { ServerProgram } from './shared-file.ts';
import { CONTROL, RECORD, SHARED, SHARED_SIZE, SIGVTALRM } from './shared-file.ts';

const { rax, rcx, rdx, rbx, rsp, rsi, rdi, r10, r15 } = REG;

/** x86-64 Linux system calls. */
const SYS = {
  mmap: 9,
  munmap: 11,
  rt_sigaction: 13,
  rt_sigreturn: 15,
  setitimer: 38,
  sigaltstack: 131,
  modify_ldt: 154,
  prctl: 157,
  futex: 202,
  exit_group: 231,
  close_range: 436,
} as const;
const PROT = { read: 1, write: 2, exec: 4 } as const;
const MAP_SHARED_FIXED = 0x11;
const FUTEX = { wait: 0, wake: 1 } as const;
const PRCTL = { setParentDeathSignal: 1, setSeccomp: 22, setNoNewPrivileges: 38 } as const;
const SIGTRAP = 5,
  SIGKILL = 9;
/** ILL TRAP BUS FPE SEGV VTALRM SYS. */
const SIGNALS = [4, SIGTRAP, 7, 8, 11, SIGVTALRM, 31];
/** Counts the process's own time in user mode, so that a busy host makes no case look endless. */
const ITIMER_VIRTUAL = 1;
const TICK_US = 20_000;
/** SA_SIGINFO, SA_RESTORER, SA_ONSTACK, SA_NODEFER. */
const SIGNAL_FLAGS = 0x4 | 0x0400_0000 | 0x0800_0000 | 0x4000_0000;
const MODIFY_LDT_WRITE = 1,
  USER_DESC_SIZE = 16;
const TASK_SIZE = 0x7fff_ffff_f000;
const SHARED_DESCRIPTOR = 3;

/** Offsets in the `ucontext_t` the kernel hands to a signal handler. */
const UCONTEXT = {
  r8: 40,
  rdi: 104,
  rsi: 112,
  rbp: 120,
  rbx: 128,
  rdx: 136,
  rax: 144,
  rcx: 152,
  rsp: 160,
  rip: 168,
  rflags: 176,
  cs: 184,
  ss: 190,
  errorCode: 192,
  trapNumber: 200,
  cr2: 216,
  fpstate: 224,
} as const;
/** Offset of each general register there, in the order of the encoding. */
const UCONTEXT_GPR = [
  UCONTEXT.rax,
  UCONTEXT.rcx,
  UCONTEXT.rdx,
  UCONTEXT.rbx,
  UCONTEXT.rsp,
  UCONTEXT.rbp,
  UCONTEXT.rsi,
  UCONTEXT.rdi,
  ...Array.from({ length: 8 }, (_, i) => UCONTEXT.r8 + 8 * i),
];

export interface ServerFeatures {
  /** XSAVE and AVX: upper halves of the YMM registers are loaded and stored too. */
  readonly avx: boolean;
  /** WRFSBASE and its kin work in user mode: FS and GS bases are loaded and stored. */
  readonly fsgsbase: boolean;
}

const control = (offset: number) => at(CONTROL_BASE + offset);
const STACK_TOP = CONTROL_BASE + CONTROL_SIZE;
const SEGMENTS = { es: 0, cs: 1, ss: 2, ds: 3, fs: 4, gs: 5 } as const;

/** Assembles the server for a host with these features. */
export function assembleServer(features: ServerFeatures): ServerProgram {
  const a = new Assembler(STUB_BASE);
  a.jump('start');
  emitData(a);
  emitStart(a);
  emitLoop(a, features);
  emitExit(a, features);
  emitHandler(a, features);
  const code = a.finish();
  if (code.length > STUB_SIZE) throw new Error(`the server has ${code.length} bytes`);
  return { elf: wrapElf(code), exit: a.addressOf('exit') };
}

function emitStart(a: Assembler): void {
  a.label('start');
  const map = (address: number, size: number, protection: number, offset: number) => {
    a.syscall(SYS.mmap, address, size, protection, MAP_SHARED_FIXED, SHARED_DESCRIPTOR, offset);
    a.constant(rcx, address).compare(rax, rcx).jumpIf(CONDITION.ne, 'die');
  };
  map(SHARED_BASE, SHARED_SIZE, PROT.read | PROT.write, 0);
  map(CONTROL_BASE, CONTROL_SIZE, PROT.read | PROT.write, SHARED.control);
  a.constant(rsp, STACK_TOP);
  a.syscall(SYS.munmap, 0, STUB_BASE);
  a.syscall(SYS.munmap, CONTROL_BASE + CONTROL_SIZE, SHARED_BASE - CONTROL_BASE - CONTROL_SIZE);
  const end = SHARED_BASE + Math.ceil(SHARED_SIZE / 0x1000) * 0x1000;
  a.syscall(SYS.munmap, end, TASK_SIZE - end);
  map(CODE_BASE, CODE_SIZE, PROT.read | PROT.exec, SHARED.code);
  map(DATA_BASE, DATA_SIZE, PROT.read | PROT.write, SHARED.data);
  a.syscall(SYS.close_range, 0, 0xffff_ffff, 0);
  a.syscall(SYS.prctl, PRCTL.setParentDeathSignal, SIGKILL, 0, 0, 0);
  a.syscall(SYS.sigaltstack, a.addressOf('stack'), 0);
  for (const signal of SIGNALS) {
    a.syscall(SYS.rt_sigaction, signal, a.addressOf('action'), 0, 8);
    a.compareConstant(rax, 0).jumpIf(CONDITION.ne, 'die');
  }
  a.syscall(SYS.setitimer, ITIMER_VIRTUAL, a.addressOf('timer'), 0);
  // A kernel without LDTs refuses; then the selectors are not valid, which can be asked with LAR.
  for (const entry of LDT.keys()) a.syscall(SYS.modify_ldt, MODIFY_LDT_WRITE, a.addressOf(`ldt${entry}`), USER_DESC_SIZE);
  // From here on only the server's own system calls pass; one made by the code under test becomes SIGSYS.
  a.syscall(SYS.prctl, PRCTL.setNoNewPrivileges, 1, 0, 0, 0);
  a.syscall(SYS.prctl, PRCTL.setSeccomp, 2, a.addressOf('filter'), 0, 0);
  a.compareConstant(rax, 0).jumpIf(CONDITION.ne, 'die');
  a.jump('finish');
}

/** Copies `size` bytes between linear addresses held in RSI and RDI. */
function emitCopy(a: Assembler, size: number): void {
  a.constant(rcx, size).bytes(0xf3, 0xa4);
}

function emitLoop(a: Assembler, { avx, fsgsbase }: ServerFeatures): void {
  a.label('wait').load32(rax, control(CONTROL.request)).load32(rcx, control(CONTROL.done));
  a.compare(rax, rcx).jumpIf(CONDITION.ne, 'batch');
  a.move(rdx, rax)
    .syscall(SYS.futex, CONTROL_BASE + CONTROL.request, FUTEX.wait, undefined, 0)
    .jump('wait');

  a.label('batch').constant(r15, SHARED_BASE + SHARED.records);
  a.load32(rax, control(CONTROL.count)).store32(control(CONTROL.remaining), rax);

  a.label('case').load32(rax, control(CONTROL.remaining)).compareConstant(rax, 0).jumpIf(CONDITION.e, 'finish');
  a.store(control(CONTROL.record), r15).lea(rax, based(r15, RECORD.output)).store(control(CONTROL.output), rax);
  a.load32(rax, control(CONTROL.started)).bytes(0xff, 0xc0).store32(control(CONTROL.started), rax); // INC EAX
  a.lea(rsi, based(r15, RECORD.input + IMAGE.data)).constant(rdi, DATA_BASE);
  emitCopy(a, DATA_SIZE);
  // The code goes in through another linear address than it runs at: IRETQ, which serializes, comes before it runs.
  a.lea(rsi, based(r15, RECORD.code))
    .load(rdi, based(r15, RECORD.codeTarget))
    .load(rcx, based(r15, RECORD.codeCount))
    .bytes(0xf3, 0xa4);
  for (const segment of [SEGMENTS.es, SEGMENTS.ds, SEGMENTS.fs, SEGMENTS.gs])
    a.loadSegment(segment, based(r15, IMAGE.selectors + 2 * segment));
  // In legacy modes the base is the descriptor's.
  a.load(rax, based(r15, RECORD.frame + 8))
    .compareConstant(rax, SELECTOR.code64)
    .jumpIf(CONDITION.ne, 'based');
  if (fsgsbase) {
    a.load(rax, based(r15, IMAGE.fsBase)).register([0x0f, 0xae], 2, rax, [0xf3]);
    a.load(rax, based(r15, IMAGE.gsBase)).register([0x0f, 0xae], 3, rax, [0xf3]);
  }
  a.label('based');
  for (let offset = 0; offset < 40; offset += 8)
    a.load(rax, based(r15, RECORD.frame + offset)).store(control(CONTROL.frame + offset), rax);
  a.constant(rax, 7).constant(rdx, 0);
  a.memory([0x0f, 0xae], avx ? 5 : 1, based(r15, IMAGE.fxsave)); // XRSTOR64 or FXRSTOR64
  for (let reg = 0; reg < r15; reg++) if (reg !== rsp) a.load(reg, based(r15, IMAGE.gpr + 8 * reg));
  a.constant(rsp, CONTROL_BASE + CONTROL.frame)
    .load(r15, based(r15, IMAGE.gpr + 8 * r15))
    .bytes(0x48, 0xcf); // IRETQ

  a.label('ended').load(r15, control(CONTROL.record));
  a.load(rdi, based(r15, RECORD.codeTarget)).load(rcx, based(r15, RECORD.codeCount)).constant(rax, 0xcc).bytes(0xf3, 0xaa);
  a.constant(rsi, DATA_BASE).lea(rdi, based(r15, RECORD.output + IMAGE.data));
  emitCopy(a, DATA_SIZE);
  a.lea(r15, based(r15, RECORD.size)).load32(rax, control(CONTROL.remaining)).bytes(0xff, 0xc8); // DEC EAX
  a.store32(control(CONTROL.remaining), rax).jump('case');

  a.label('finish').load32(rax, control(CONTROL.request)).store32(control(CONTROL.done), rax);
  a.syscall(SYS.futex, CONTROL_BASE + CONTROL.done, FUTEX.wake, 1).jump('wait');
  a.label('die').syscall(SYS.exit_group, 70);
}

/** Reached by a jump from the code under test, with its registers and flags untouched. */
function emitExit(a: Assembler, features: ServerFeatures): void {
  a.label('exit').store(control(CONTROL.savedRsp), rsp).load(rsp, control(CONTROL.output));
  for (let reg = 0; reg <= r15; reg++) if (reg !== rsp) a.store(based(rsp, IMAGE.gpr + 8 * reg), reg);
  a.move(rbx, rsp)
    .load(rax, control(CONTROL.savedRsp))
    .store(based(rbx, IMAGE.gpr + 8 * rsp), rax);
  a.constant(rsp, STACK_TOP).bytes(0x9c, 0x58).store(based(rbx, IMAGE.rflags), rax); // PUSHFQ, POP RAX
  emitResetFlags(a);
  a.constant(rax, a.addressOf('exit')).store(based(rbx, IMAGE.rip), rax);
  a.constant(rax, 7).constant(rdx, 0);
  a.memory([0x0f, 0xae], features.avx ? 4 : 0, based(rbx, IMAGE.fxsave)); // XSAVE64 or FXSAVE64
  a.storeSegment(based(rbx, IMAGE.selectors + 2 * SEGMENTS.ss), SEGMENTS.ss);
  a.load(rax, based(rbx, RECORD.frame + 8 - RECORD.output)).store16(based(rbx, IMAGE.selectors + 2 * SEGMENTS.cs), rax);
  emitStoreSegments(a, features);
  a.storeConstant32(based(rbx, RECORD.signal - RECORD.output), 0).jump('ended');
}

/** The handler of every signal: RDI is its number, RDX the context. It does not return to the code under test. */
function emitHandler(a: Assembler, features: ServerFeatures): void {
  a.label('handler');
  emitResetFlags(a);
  a.load(rax, based(rdx, UCONTEXT.rip)).lea(rcx, based(rax, -STUB_BASE));
  a.compareConstant(rcx, STUB_SIZE).jumpIf(CONDITION.ae, 'outside');
  // Inside the server: a tick, or the trap of a TF which the code under test has just set.
  a.compareConstant(rdi, SIGVTALRM).jumpIf(CONDITION.e, 'return');
  a.compareConstant(rdi, SIGTRAP).jumpIf(CONDITION.ne, 'die');
  a.compareConstant(rax, a.addressOf('exit')).jumpIf(CONDITION.ne, 'die').jump('caught');
  // A tick is let pass unless the one before it met the same case.
  a.label('outside').compareConstant(rdi, SIGVTALRM).jumpIf(CONDITION.ne, 'caught');
  a.load32(rcx, control(CONTROL.started))
    .load32(rbx, control(CONTROL.startedAtTick))
    .store32(control(CONTROL.startedAtTick), rcx);
  a.compare(rcx, rbx).jumpIf(CONDITION.ne, 'return');

  a.label('caught').load(rbx, control(CONTROL.output));
  a.store(based(rbx, IMAGE.rip), rax).store(based(rbx, RECORD.signal - RECORD.output), rdi);
  for (const [reg, offset] of UCONTEXT_GPR.entries()) a.load(rax, based(rdx, offset)).store(based(rbx, IMAGE.gpr + 8 * reg), rax);
  const copies = [
    [UCONTEXT.rflags, IMAGE.rflags],
    [UCONTEXT.trapNumber, RECORD.trapNumber - RECORD.output],
    [UCONTEXT.errorCode, RECORD.errorCode - RECORD.output],
    [UCONTEXT.cr2, RECORD.cr2 - RECORD.output],
  ] as const;
  for (const [from, to] of copies) a.load(rax, based(rdx, from)).store(based(rbx, to), rax);
  a.load32(rax, based(rdx, UCONTEXT.cs)).store16(based(rbx, IMAGE.selectors + 2 * SEGMENTS.cs), rax);
  a.memory([0x0f, 0xb7], rax, based(rdx, UCONTEXT.ss), false).store16(based(rbx, IMAGE.selectors + 2 * SEGMENTS.ss), rax); // MOVZX
  emitStoreSegments(a, features);
  a.load(rsi, based(rdx, UCONTEXT.fpstate)).lea(rdi, based(rbx, IMAGE.fxsave));
  emitCopy(a, features.avx ? IMAGE.data - IMAGE.fxsave : 512);
  a.jump('ended');

  a.label('return').bytes(0xc3);
  a.label('restorer').syscall(SYS.rt_sigreturn);
}

/** PUSH 0x202; POPFQ: no DF, TF or AC for the server's own code. */
function emitResetFlags(a: Assembler): void {
  a.bytes(0x68).u32(0x202).bytes(0x9d);
}

/** Stores the selectors that a signal leaves alone, and the bases, to the image in RBX. */
function emitStoreSegments(a: Assembler, { fsgsbase }: ServerFeatures): void {
  for (const segment of [SEGMENTS.es, SEGMENTS.ds, SEGMENTS.fs, SEGMENTS.gs])
    a.storeSegment(based(rbx, IMAGE.selectors + 2 * segment), segment);
  if (!fsgsbase) return;
  a.register([0x0f, 0xae], 0, r10, [0xf3]).store(based(rbx, IMAGE.fsBase), r10);
  a.register([0x0f, 0xae], 1, r10, [0xf3]).store(based(rbx, IMAGE.gsBase), r10);
}

function emitData(a: Assembler): void {
  a.align(8, 0xcc);
  a.label('stack')
    .u64(SHARED_BASE + SHARED.signalStack)
    .u64(0)
    .u64(SHARED.signalStackSize);
  a.label('timer').u64(0).u64(TICK_US).u64(0).u64(TICK_US);
  a.label('action').pointer('handler').u64(SIGNAL_FLAGS).pointer('restorer').u64(0);
  for (const [entry, descriptor] of LDT.entries()) emitUserDesc(a.label(`ldt${entry}`), entry, descriptor);
  // struct sock_fprog, then four BPF instructions (code, jump if true, jump if false, constant): allow a system call
  // whose return address lies in the server, else SECCOMP_RET_TRAP.
  a.label('filter').u64(5).pointer('bpf');
  a.label('bpf');
  const bpf = [
    [0x20, 0, 0, 8],
    [0x54, 0, 0, -STUB_SIZE],
    [0x15, 0, 1, STUB_BASE],
    [0x06, 0, 0, 0x7fff_0000],
    [0x06, 0, 0, 0x0003_0000],
  ] as const;
  for (const [code, yes, no, constant] of bpf) a.bytes(code, 0, yes, no).u32(constant);
}

/** `struct user_desc` of modify_ldt(2). */
function emitUserDesc(a: Assembler, entry: number, { base, limit, type, bits }: NativeDescriptor): void {
  const contents = { data: 0, readOnlyData: 0, expandDown: 1, code: 2 }[type];
  a.u32(entry)
    .u32(base)
    .u32(limit)
    .u32((bits === 32 ? 1 : 0) | (contents << 1) | (type === 'readOnlyData' ? 8 : 0));
}

/** One loadable segment (readable, executable) at STUB_BASE, entered at its first byte; no executable stack. */
function wrapElf(code: Uint8Array): Uint8Array {
  const elf = new Uint8Array(0x1000 + code.length);
  const view = new DataView(elf.buffer);
  elf.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true); // ET_EXEC
  view.setUint16(18, 62, true); // EM_X86_64
  view.setUint32(20, 1, true);
  view.setBigUint64(24, BigInt(STUB_BASE), true); // entry
  view.setBigUint64(32, 64n, true); // program headers
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 2, true);
  const header = (
    offset: number,
    type: number,
    flags: number,
    fileOffset: number,
    address: number,
    size: number,
    align: number,
  ) => {
    view.setUint32(offset, type, true);
    view.setUint32(offset + 4, flags, true);
    const fields = [fileOffset, address, address, size, size, align];
    for (const [i, value] of fields.entries()) view.setBigUint64(offset + 8 + 8 * i, BigInt(value), true);
  };
  header(64, 1, 5, 0x1000, STUB_BASE, code.length, 0x1000); // PT_LOAD
  header(120, 0x6474_e551, 6, 0, 0, 0, 16); // PT_GNU_STACK
  elf.set(code, 0x1000);
  return elf;
}
