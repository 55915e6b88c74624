// The host's own CPU as the truth about instructions: runs a few of them from a given state and reports the state after.

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CODE_BASE, CODE_SIZE, SELECTOR, SHARED_BASE, STACK16_ESP_HIGH } from './address-map.ts';
import { describeImage } from './compare.ts';
import type { CpuFault, CpuMode, CpuResult } from './cpu-image.ts';
import { CpuImage, FLAG, IMAGE } from './cpu-image.ts';
import type { SharedMemory } from './host-memory.ts';
import { HostMemory } from './host-memory.ts';
import { type HostVendor, readCpuinfo, vendorOf } from './host-vendor.ts';
import { assembleServer } from './server-program.ts';
import { BATCH, CONTROL, RECORD, SHARED, SHARED_SIZE, SIGVTALRM } from './shared-file.ts';

/** A piece of code with the state it starts from. */
export interface NativeCase {
  readonly code: Uint8Array;
  readonly state: CpuImage;
  /**
   * What stands behind the code: a jump back (fast), or INT3 (1 µs slower), with which a branch may also land just behind
   * the code. Default: `jump`.
   */
  readonly end?: 'jump' | 'trap';
}

const INT3 = 0xcc;
const SIGSYS = 31;
const VECTOR_DB = 1,
  VECTOR_BP = 3,
  VECTOR_PF = 14;
/** After so long without an answer it is looked at whether the process still lives. */
const PATIENCE_MS = 100;
/** After so long without a case finished it is taken for stuck: a split lock can do that. */
const STUCK_MS = 10_000;
const LOADABLE_FLAGS =
  FLAG.cf | FLAG.pf | FLAG.af | FLAG.zf | FLAG.sf | FLAG.tf | FLAG.df | FLAG.of | FLAG.nt | FLAG.rf | FLAG.ac | FLAG.id;
/** What an image may have in ES, DS, FS and GS, and in SS. */
const LOADABLE_SELECTORS = new Set<number>([
  0,
  1,
  2,
  3,
  ...Object.values(SELECTOR).filter((selector) => selector !== SELECTOR.code16),
]);
const STACK16 = new Set<number>([SELECTOR.data16, SELECTOR.expandDown16]);
const STACK_SELECTORS = new Set<number>([
  SELECTOR.data,
  SELECTOR.data16,
  SELECTOR.tight,
  SELECTOR.expandDown,
  SELECTOR.expandDown16,
]);
const JUMP_SIZE = { 16: 8, 32: 7, 64: 5 } as const;

/** The longest code a case can have, in bytes. */
export const MAX_CODE = RECORD.codeCapacity - JUMP_SIZE[16];

interface Slot {
  readonly input: CpuImage;
  readonly output: CpuImage;
  readonly view: DataView;
  readonly code: Uint8Array;
}

/**
 * A process that runs code natively. What differs from the bare CPU, because a kernel lies below: SYSCALL, SYSENTER and
 * INT 0x80 end with `syscall`; SGDT, SIDT and SMSW may be emulated by the kernel; the error code of a page fault at a
 * kernel address always has P set; VMCALL and VMMCALL do what the hypervisor does, if the host has one; RDTSC, RDRAND,
 * RDSEED, RDPMC, CPUID, XGETBV, LAR, LSL, VERR, STR and SLDT answer for this host.
 */
export class NativeCpu {
  readonly #memory: SharedMemory;
  readonly #control: DataView;
  readonly #slots: readonly Slot[];
  readonly #exit: number;
  readonly #server: ChildProcess;
  readonly #fsgsbase: boolean;
  /** Whose CPU it is. */
  readonly vendor: HostVendor;
  /** Upper halves of the YMM registers are loaded, and told. */
  readonly avx: boolean;
  /** The modes code can run in: 64, and as a rule 32 and 16, but kernels can be built or started without these. */
  readonly modes: ReadonlySet<CpuMode> = new Set([64]);

  /** Starts the process. Where that is impossible, `unavailable` says why in words for the person running the tests. */
  static open(): NativeCpu | { readonly unavailable: string } {
    if (process.platform !== 'linux' || process.arch !== 'x64')
      return { unavailable: `this host is ${process.platform} ${process.arch}, not linux x64` };
    let memory: HostMemory;
    try {
      memory = new HostMemory();
    } catch (error) {
      return { unavailable: `koffi cannot be loaded: ${reasonOf(error)}` };
    }
    try {
      return new NativeCpu(memory);
    } catch (error) {
      return { unavailable: `the native process cannot be started: ${reasonOf(error)}` };
    }
  }

  private constructor(host: HostMemory) {
    const cpuinfo = readCpuinfo();
    this.vendor = vendorOf(cpuinfo);
    const flags = /^flags\s*:(.*)$/m.exec(cpuinfo)?.[1]?.split(' ') ?? [];
    this.avx = flags.includes('avx') && flags.includes('xsave');
    const program = assembleServer({ avx: this.avx, fsgsbase: host.fsgsbase });
    this.#exit = program.exit;
    this.#fsgsbase = host.fsgsbase;
    this.#memory = host.share(SHARED_SIZE);
    this.#control = new DataView(this.#memory.buffer, SHARED.control, 0x1000);
    this.#slots = Array.from({ length: BATCH }, (_, i) => makeSlot(this.#memory.buffer, SHARED.records + i * RECORD.size));
    new Uint8Array(this.#memory.buffer, SHARED.code, CODE_SIZE).fill(INT3);
    // `done` differs from `request` until the server has set itself up.
    this.#control.setUint32(CONTROL.done, 0xffff_ffff, true);
    try {
      this.#server = startServer(program.elf, this.#memory.descriptor);
    } finally {
      this.#memory.closeDescriptor();
    }
    try {
      this.#await();
      const legacy = (
        [
          [32, SELECTOR.code32],
          [16, SELECTOR.code16],
        ] as const
      ).filter(([, selector]) => this.#isPresent(selector));
      this.modes = new Set<CpuMode>([64, ...legacy.map(([mode]) => mode)]);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Runs one case. The result is the caller's to keep. Costs about 50 µs; `runBatch` 4 µs a case, 5 more for a fault. */
  run(code: Uint8Array, state: CpuImage, end: 'jump' | 'trap' = 'jump'): CpuResult {
    const results: CpuResult[] = [];
    this.runBatch([{ code, state, end }], (_, result) => results.push({ ...result, image: result.image.clone() }));
    const [result] = results;
    if (result === undefined) throw new Error('the native process answered nothing');
    return result;
  }

  /**
   * Runs any number of cases; calls `visit` for each, in order, with a result that is valid only during the call; `visit`
   * must not run other cases here.
   * Throws a RangeError on a state that cannot be loaded, and an Error when the process has died.
   */
  runBatch(cases: readonly NativeCase[], visit: (index: number, result: CpuResult) => void): void {
    for (let first = 0; first < cases.length; first += BATCH) {
      const count = Math.min(BATCH, cases.length - first);
      for (let i = 0; i < count; i++) this.#fill(this.#slots[i]!, cases[first + i]!);
      this.#control.setUint32(CONTROL.count, count, true);
      this.#control.setUint32(CONTROL.request, (this.#control.getUint32(CONTROL.request, true) + 1) >>> 0, true);
      this.#memory.wake(SHARED.control + CONTROL.request);
      this.#await();
      for (let i = 0; i < count; i++) visit(first + i, resultOf(this.#slots[i]!, cases[first + i]!, this.#exit));
    }
  }

  /** Ends the process. Results of an earlier `run` stay valid. */
  close(): void {
    this.#server.kill('SIGKILL');
  }

  #fill(slot: Slot, { code, state, end }: NativeCase): void {
    const { view } = slot;
    const { mode } = state;
    const start = state.linearRip - CODE_BASE;
    if (!(start >= 0 && start < CODE_SIZE)) throw new RangeError(`RIP ${state.rip.toString(16)} is not in the code page`);
    if (code.length > MAX_CODE) throw new RangeError(`${code.length} bytes of code; ${MAX_CODE} at most`);
    if (state.mxcsr > 0xffff) throw new RangeError(`MXCSR ${state.mxcsr.toString(16)} has reserved bits`);
    state.selectors.forEach((selector, i) => {
      if (i === 1 ? !this.modes.has(mode) : !(i === 2 ? STACK_SELECTORS : LOADABLE_SELECTORS).has(selector)) {
        throw new RangeError(`selector ${selector.toString(16)} cannot be loaded`);
      }
      if ((selector & 4) !== 0 && !this.modes.has(16)) throw new RangeError('this kernel has no LDT');
    });
    if (STACK16.has(state.selectors[2]!) && mode !== 64 && (state.gpr32[8]! & 0xffff_0000) !== (STACK16_ESP_HIGH | 0)) {
      throw new RangeError(`with a 16-bit stack, bits 31:16 of RSP must be ${(STACK16_ESP_HIGH >>> 16).toString(16)}`);
    }
    if (mode === 64 && !this.#fsgsbase && (state.fsBase !== 0n || state.gsBase !== 0n))
      throw new RangeError('this kernel cannot load FS and GS bases');
    slot.input.copyFrom(state);
    // XSTATE_BV: x87, SSE and AVX state are all to be loaded from the image.
    slot.input.bytes.fill(0, IMAGE.xsaveHeader, IMAGE.ymmHigh)[IMAGE.xsaveHeader] = 7;

    slot.code.set(code);
    let length = code.length;
    if ((end ?? 'jump') === 'trap') slot.code[length++] = INT3;
    else length += writeJump(slot, state, code.length, this.#exit);
    view.setUint32(RECORD.codeCount, Math.min(length, CODE_SIZE - start), true);
    view.setBigUint64(RECORD.codeTarget, BigInt(SHARED_BASE + SHARED.code + start), true);

    const frame = [
      state.rip,
      BigInt(state.selectors[1]!),
      BigInt((state.rflags & LOADABLE_FLAGS) | FLAG.if | 2),
      mode === 64 ? state.gpr[4]! : state.gpr[4]! & 0xffff_ffffn,
      BigInt(state.selectors[2]!),
    ];
    frame.forEach((value, i) => view.setBigUint64(RECORD.frame + 8 * i, value, true));
    view.setUint32(RECORD.signal, 0xffff_ffff, true);
  }

  /** Asks the CPU with LAR EAX, ECX whether there is a segment. */
  #isPresent(selector: number): boolean {
    const state = new CpuImage();
    state.gpr[1] = BigInt(selector);
    const { image } = this.run(Uint8Array.of(0x0f, 0x02, 0xc1), state);
    return (image.rflags & FLAG.zf) !== 0 && (image.gpr32[0]! & 0x8000) !== 0;
  }

  /** The case that runs, for error messages. */
  #current(): string {
    const control = this.#control;
    const slot = this.#slots[control.getUint32(CONTROL.count, true) - control.getUint32(CONTROL.remaining, true)];
    return slot === undefined
      ? 'no case'
      : `${Buffer.from(slot.code).toString('hex')} in ${slot.input.mode}-bit mode, ${describeImage(slot.input).slice(0, 5).join(', ')}`;
  }

  /** Waits until the server has finished the batch. */
  #await(): void {
    const control = this.#control;
    const request = control.getUint32(CONTROL.request, true);
    let remaining = -1;
    let since = performance.now();
    for (;;) {
      const done = control.getUint32(CONTROL.done, true);
      if (done === request) return;
      const started = performance.now();
      this.#memory.wait(SHARED.control + CONTROL.done, done, PATIENCE_MS);
      if (performance.now() - started > PATIENCE_MS / 2 && !isRunning(this.#server.pid))
        throw new Error(`the native process has died in ${this.#current()}`);
      const left = control.getUint32(CONTROL.remaining, true);
      if (left !== remaining) {
        remaining = left;
        since = performance.now();
      } else if (performance.now() - since > STUCK_MS) {
        throw new Error(`the native process is stuck in ${this.#current()}`);
      }
    }
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.split('\n')[0]! : String(error);
}

function makeSlot(buffer: ArrayBuffer, offset: number): Slot {
  return {
    input: new CpuImage(buffer, offset + RECORD.input),
    output: new CpuImage(buffer, offset + RECORD.output),
    view: new DataView(buffer, offset, RECORD.size),
    code: new Uint8Array(buffer, offset + RECORD.code, RECORD.codeCapacity),
  };
}

/** Puts a jump to the server's exit behind the code; returns its length. Unless the code is 64-bit, it is a far one. */
function writeJump(slot: Slot, state: CpuImage, offset: number, exit: number): number {
  const { mode } = state;
  const at = RECORD.code + offset;
  if (mode === 64) {
    slot.code[offset] = 0xe9;
    slot.view.setInt32(at + 1, exit - (Number(state.rip) + offset + JUMP_SIZE[64]), true);
    return JUMP_SIZE[64];
  }
  const prefix = mode === 16 ? 1 : 0;
  if (mode === 16) slot.code[offset] = 0x66;
  slot.code[offset + prefix] = 0xea;
  slot.view.setUint32(at + prefix + 1, exit, true);
  slot.view.setUint16(at + prefix + 5, SELECTOR.code64, true);
  return JUMP_SIZE[mode];
}

function resultOf(slot: Slot, { code, state }: NativeCase, exit: number): CpuResult {
  const { output: image, view } = slot;
  if (state.mode !== 64) for (let i = 0; i < 16; i++) image.gpr[i] = i < 8 ? image.gpr[i]! & 0xffff_ffffn : 0n;
  const start = Number(state.rip);
  const end = start + code.length;
  const signal = view.getUint32(RECORD.signal, true);
  const vector = view.getUint32(RECORD.trapNumber, true);
  let rip = image.rip;
  if (rip === BigInt(exit)) image.rip = rip = BigInt(end);
  if (
    signal === 0 ||
    (signal !== SIGVTALRM && signal !== SIGSYS && vector === VECTOR_DB && rip === BigInt(end) && !(state.rflags & FLAG.tf))
  ) {
    return { outcome: 'done', image };
  }
  if (signal === SIGVTALRM) return { outcome: 'timeout', image };
  if (signal === SIGSYS) return { outcome: 'syscall', image };
  // An INT3 outside the code: the filling of the page, so this is where the code has branched to.
  const trap = Number(rip) - 1;
  const page = state.mode === 16 ? 0 : CODE_BASE;
  if (vector === VECTOR_BP && trap >= page && trap < page + CODE_SIZE && (trap < start || trap >= end)) {
    image.rip = BigInt(trap);
    return { outcome: 'done', image };
  }
  const fault: CpuFault = {
    vector,
    errorCode: view.getUint32(RECORD.errorCode, true),
    cr2: vector === VECTOR_PF ? view.getBigUint64(RECORD.cr2, true) : 0n,
  };
  return { outcome: 'fault', fault, image };
}

function startServer(elf: Uint8Array, descriptor: number): ChildProcess {
  const folder = mkdtempSync(join(tmpdir(), 'dom1-native-'));
  const path = join(folder, 'server');
  try {
    writeFileSync(path, elf, { mode: 0o700 });
    const server = spawn(path, [], { stdio: ['ignore', 'ignore', 'ignore', descriptor] });
    server.on('error', () => undefined); // reported below: without a pid
    if (server.pid === undefined) throw new Error(`${path} cannot be executed`);
    server.unref();
    return server;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function isRunning(pid: number | undefined): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
