// One virtual CPU of a probe guest: what it is told to do through its mailbox, and what came of it.
import type { Gpa } from '../../src/abi/types.ts';
import type { Width } from './guest-code.ts';
import type { GuestRam, Member } from './guest-ram.ts';
import { AT, MAILBOX, OP, type ProbeOp } from './probe-layout.ts';

/** Longest that a command may take, in milliseconds. */
const PATIENCE = 5000;
/** Looks at the mailbox before the first pause: a hypercall takes some microseconds. */
const SPINS = 10_000;

/** From where a hypercall is made: this mode's instruction, the hypercall page, level 3, 32-bit code in long mode. */
export type CallSite = 'inline' | 'page' | 'user' | 'compat';
/** What an instruction raised. */
export interface Fault {
  readonly vector: number;
  readonly error: number;
  readonly address: number;
}

export class ProbeVcpu {
  readonly id: number;
  /** Where the guest has its hypercall page: a call from it needs that. */
  hypercallPage = 0;
  readonly #ram: GuestRam;
  readonly #at: number;
  #target: number | undefined;

  constructor(ram: GuestRam, id: number) {
    this.#ram = ram;
    this.id = id;
    this.#at = AT.mailbox + id * MAILBOX.size;
  }

  /** Whether it serves commands. */
  get ready(): boolean {
    return this.#u32(MAILBOX.ready) === 1;
  }

  /** A hypercall. Returns the result register, signed. */
  callFrom(site: CallSite, nr: number, ...args: readonly (number | bigint)[]): number {
    const op = { inline: OP.call, page: OP.callByPage, user: OP.callFromUser, compat: OP.callFromCompat }[site];
    return signed(this.command(op, nr, ...args)[0] as bigint, site === 'compat' ? 32 : this.#ram.width);
  }
  call(nr: number, ...args: readonly (number | bigint)[]): number {
    return this.callFrom('inline', nr, ...args);
  }

  /** Calls the code at a linear address with a hypercall's registers, RAX first, and returns them as they are afterwards. */
  callAt(at: number, ...registers: readonly (number | bigint)[]): readonly bigint[] {
    this.#target = at;
    try {
      return this.command(OP.callByPage, ...registers);
    } finally {
      this.#target = undefined;
    }
  }
  /** RCX of the 64-bit calls to come. */
  set rcx(value: number | bigint) {
    this.#ram.put(this.#at, [MAILBOX.rcx, 8, value]);
  }

  /** Begins a hypercall that may wait; `end` gives its result. */
  begin(nr: number, ...args: readonly (number | bigint)[]): void {
    this.#request(OP.call, [nr, ...args]);
  }
  get busy(): boolean {
    return this.#u32(MAILBOX.done) !== this.#u32(MAILBOX.request);
  }
  end(): number {
    this.#wait();
    return signed(this.#result()[0] as bigint, this.#ram.width);
  }

  /** Runs a command and returns the eight words that it left. @throws Error when it raised an exception */
  command(op: ProbeOp, ...args: readonly (number | bigint)[]): readonly bigint[] {
    const fault = this.attempt(op, ...args);
    if (fault !== undefined) throw new Error(`the guest got #${fault.vector}, error code ${fault.error.toString(16)}`);
    return this.#result();
  }

  /** Runs a command; undefined when it raised no exception. */
  attempt(op: ProbeOp, ...args: readonly (number | bigint)[]): Fault | undefined {
    this.#request(op, args);
    this.#wait();
    const vector = this.#u32(MAILBOX.fault) - 1;
    if (vector < 0) return undefined;
    const address = Number(this.#ram.get(this.#at + MAILBOX.faultAddress, this.#ram.word));
    return { vector, error: this.#u32(MAILBOX.faultError), address };
  }

  cpuid(leaf: number, subleaf = 0): readonly [number, number, number, number] {
    return this.command(OP.cpuid, leaf, subleaf).slice(0, 4).map(Number) as [number, number, number, number];
  }

  /** Reads a word through the guest's own page tables. */
  load(at: number): bigint {
    return BigInt.asUintN(this.#ram.width, this.command(OP.load, at)[0] as bigint);
  }

  tsc(): bigint {
    const [low, high] = this.command(OP.tsc) as [bigint, bigint];
    return (high << 32n) | low;
  }

  /** Lets interrupts come, or holds them back, between commands. */
  interrupts(on: boolean): void {
    this.command(on ? OP.enable : OP.disable);
  }

  /** How often a vector's handler ran. */
  count(vector: number): number {
    return this.#u32(MAILBOX.counters + vector * 4);
  }

  /** Where interrupt handlers clear evtchn_upcall_pending and take the selector; 0: nowhere. */
  set vcpuInfo(at: number) {
    this.#ram.put(this.#at, [MAILBOX.vcpuInfo, 8, at]);
  }

  /** The selector bits taken since this was asked last. */
  takeSelector(): bigint {
    const seen = this.#ram.get(this.#at + MAILBOX.selectorSeen, 8);
    this.#ram.put(this.#at, [MAILBOX.selectorSeen, 8, 0]);
    return seen;
  }

  #request(op: ProbeOp, args: readonly (number | bigint)[]): void {
    if (this.busy) throw new Error(`vCPU ${this.id} is busy`);
    const ram = this.#ram;
    const values = [...args, ...new Array<number>(7).fill(0)].slice(0, 7);
    ram.write(this.#at + MAILBOX.out, new Uint8Array(64));
    ram.put(this.#at, [MAILBOX.op, 4, op], [MAILBOX.fault, 4, 0], [MAILBOX.faultError, 8, 0]);
    ram.put(this.#at, ...values.map((value, i): Member => [MAILBOX.in + i * 8, 8, value]));
    const target = this.#target ?? this.hypercallPage + Number(values[0]) * 32;
    if (op === OP.callByPage) ram.put(this.#at, [MAILBOX.target, 8, target]);
    Atomics.add(ram.memory.i32, this.#index(MAILBOX.request), 1);
  }

  #wait(): void {
    const { i32 } = this.#ram.memory;
    const [request, done] = [this.#index(MAILBOX.request), this.#index(MAILBOX.done)];
    for (let i = 0; i < SPINS; i++) if (Atomics.load(i32, done) === Atomics.load(i32, request)) return;
    const deadline = performance.now() + PATIENCE;
    while (Atomics.load(i32, done) !== Atomics.load(i32, request)) {
      if (performance.now() > deadline)
        throw new Error(
          `vCPU ${this.id} did not finish command ${this.#u32(MAILBOX.op)} (${this.#ram.get(this.#at + MAILBOX.in, 8)})`,
        );
      Atomics.wait(CLOCK, 0, 0, 0.05);
    }
  }

  #result(): readonly bigint[] {
    return Array.from({ length: 8 }, (_, i) => this.#ram.get(this.#at + MAILBOX.out + i * 8, 8));
  }

  #index(offset: number): number {
    return this.#ram.memory.host((this.#at + offset) as Gpa) >>> 2;
  }

  #u32(offset: number): number {
    return Atomics.load(this.#ram.memory.i32, this.#index(offset)) >>> 0;
  }
}

const signed = (value: bigint, width: Width): number => Number(BigInt.asIntN(width, value));

/** Nobody changes it: waiting on it is a short sleep. */
const CLOCK = new Int32Array(new SharedArrayBuffer(4));
