// A hostile guest on the Xen platform alone: random calls with random structures, and what must hold after each.
import { type Gfn, PAGE_SIZE } from '../../src/abi/types.ts';
import { HYPERVISOR, NR_HYPERCALLS } from '../../src/abi/xen/hypercall.ts';
import { XENMEM } from '../../src/abi/xen/memory.ts';
import { P2M, P2M_BYTES, P2M_FRAMES, pageOf } from '../../src/memory/guest-memory.ts';
import { CONTINUE } from '../../src/xen/calls/hypercall-context.ts';
import { DomainHeader as Header, NOT_MAPPED } from '../../src/xen/domain-layout.ts';
import { RAM_PAGES, SPARE_PAGES, TestGuest } from '../../src/xen/fixtures/test-guest.ts';
import { softReset } from '../../src/xen/soft-reset.ts';
import type { Random } from '../native/random.ts';

export interface FuzzStatistics {
  calls: number;
  /** Results of at least 0. */
  successes: number;
  continuations: number;
  softResets: number;
  slowestMs: number;
  slowest: string;
}

/** How many sub-operations each call has, to choose from; a few beyond are tried as well. */
const SUBOPS = new Map<number, number>([
  [HYPERVISOR.memory_op, 30],
  [HYPERVISOR.xen_version, 16],
  [HYPERVISOR.console_io, 3],
  [HYPERVISOR.grant_table_op, 14],
  [HYPERVISOR.vm_assist, 3],
  [HYPERVISOR.vcpu_op, 17],
  [HYPERVISOR.sched_op, 9],
  [HYPERVISOR.event_channel_op, 16],
  [HYPERVISOR.physdev_op, 31],
  [HYPERVISOR.hvm_op, 27],
]);
const COMMON = [...SUBOPS.keys(), HYPERVISOR.memory_op, HYPERVISOR.grant_table_op, HYPERVISOR.multicall, HYPERVISOR.set_timer_op];

/** Where structures and lists are put: inside a page, across two, and at the end of RAM. */
const PLACES = [0x8000, 0x8400, 0x9ff8, 0x9ffc, 0xa800, 0x3_ff80, 0x3_fff0] as const;
const WORDS = [
  0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 129, 255, 256, 511, 512, 1023, 1024, 4095, 4096, 0x1_0000, 0x7ff0,
  0x7ff1, 0x7ff2, 0xf_efff, 0xf_effc, 0xf_ffff, 0x10_0000, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0xffff_fffe, 0xffff_ffff,
] as const; // prettier-ignore
const MOVES = [XENMEM.add_to_physmap, XENMEM.add_to_physmap_batch, XENMEM.remove_from_physmap] as const;
const GUARD = 0x5a;
/** A call this slow is a bug; a loaded machine delays one now and then. */
const LIMIT_MS = 2000;

export class HypercallFuzz {
  readonly statistics: FuzzStatistics = { calls: 0, successes: 0, continuations: 0, softResets: 0, slowestMs: 0, slowest: '' };
  readonly #random: Random;
  readonly #guest: TestGuest;
  readonly #spare: readonly [from: number, to: number];
  /** The last calls, for a report. */
  readonly #recent: string[] = [];

  constructor(random: Random) {
    this.#random = random;
    this.#guest = new TestGuest({
      vcpus: 1 + random.below(3),
      config: { balloonPages: this.#oneOf([0, 8, 128]), consoleIo: true, emulation: { pirq: random.below(2) === 1 } },
    });
    const { memory, region } = this.#guest;
    const end = region.at + Math.ceil(region.size / PAGE_SIZE) * PAGE_SIZE;
    memory.u8.fill(GUARD, 0, PAGE_SIZE);
    memory.u8.fill(GUARD, end, end + PAGE_SIZE);
    this.#spare = [end + PAGE_SIZE, end + PAGE_SIZE + SPARE_PAGES * PAGE_SIZE];
    if (Header.free_pages_max.get(memory.view, region.at) >= SPARE_PAGES - 4) this.#guest.addSpare(SPARE_PAGES - 4);
    if (random.below(2) === 0) this.#guest.domain.offerRing('store');
    this.#guest.domain.offerRing('console');
  }

  /** Makes `count` calls. @throws Error naming the call after which something did not hold. */
  run(count: number): void {
    for (let i = 0; i < count; i++) {
      this.#step();
      if (i % 64 === 63) this.#checkMemory();
    }
    this.#checkMemory();
  }

  #step(): void {
    const random = this.#random;
    const guest = this.#guest;
    for (let i = random.below(3); i >= 0; i--) this.#scribble(this.#oneOf(PLACES), 24);
    const id = random.below(guest.vcpus.length);
    const calls = guest.calls[id];
    const caller = guest.callers[id];
    const vcpu = guest.vcpus[id];
    if (calls === undefined || caller === undefined || vcpu === undefined) throw new Error('no such vCPU');
    caller.longMode = random.below(3) !== 0;
    caller.cpl = random.below(50) === 0 ? 3 : 0;
    const nr = random.below(12) === 0 ? random.below(NR_HYPERCALLS + 4) - 1 : this.#oneOf(COMMON);
    for (let i = 0; i < 6; i++) {
      calls.args.u32[i * 2] = this.#argument(nr, i);
      calls.args.u32[i * 2 + 1] = caller.longMode && random.below(20) === 0 ? this.#word() : 0;
    }
    if (nr === HYPERVISOR.memory_op && random.below(4) !== 0) this.#layMemoryOp(calls.args.u32, caller.longMode);
    if (nr === HYPERVISOR.multicall) this.#layMulticall(Number(calls.args.low(0)), caller.longMode);
    const text = `vcpu ${id} ${caller.longMode ? 64 : 32}-bit call ${nr}(${[...calls.args.u64].map((v) => v.toString(16)).join(', ')})`;
    this.#recent.push(text);
    if (this.#recent.length > 8) this.#recent.shift();
    this.statistics.calls++;
    const started = performance.now();
    let result: number;
    try {
      result = calls.call(caller, nr);
      this.#aftermath(vcpu, result);
    } catch (error) {
      throw this.#failure(`threw ${error instanceof Error ? error.stack : String(error)}`);
    }
    const ms = performance.now() - started;
    if (ms > this.statistics.slowestMs) Object.assign(this.statistics, { slowestMs: ms, slowest: text });
    if (ms > LIMIT_MS) throw this.#failure(`took ${Math.round(ms)} ms`);
    if (!Number.isInteger(result) || (result !== CONTINUE && result <= -4096)) throw this.#failure(`answered ${result}`);
    if (result === CONTINUE) this.statistics.continuations++;
    else if (result >= 0) this.statistics.successes++;
    const { view } = guest.memory;
    if (Header.lock.get(view, guest.domain.at) !== 0) throw this.#failure('left the lock of the domain held');
  }

  /** What the machine does between two runs of a vCPU. */
  #aftermath(vcpu: TestGuest['vcpus'][number], result: number): void {
    const random = this.#random;
    const { domain, clock, channels } = this.#guest;
    vcpu.service();
    vcpu.mayRun(random.below(2) === 0);
    if (random.below(4) === 0) vcpu.enter(this.#oneOf([0, 2] as const));
    if (random.below(8) === 0) clock.advance(this.#oneOf([1, 1000, 1e6, 1e9]));
    channels.dispatch();
    domain.vcpus[vcpu.id]?.takeInitialContext();
    if (domain.shutdownReason >= 0 && result !== CONTINUE) {
      if (random.below(4) === 0) {
        softReset(domain);
        domain.offerRing('store');
        domain.offerRing('console');
        this.statistics.softResets++;
      }
      domain.resume({ cancelled: random.below(2) === 0 });
      vcpu.state.takeSuspendCancelled();
    }
  }

  /** The p2m leads to RAM and the platform's pages only; free pages are nowhere else; nothing else was written to. */
  #checkMemory(): void {
    const { memory, region, domain } = this.#guest;
    const { view, u8 } = memory;
    const ramAt = PAGE_SIZE + P2M_BYTES;
    const ramEnd = ramAt + RAM_PAGES * PAGE_SIZE;
    const pagesAt = region.at + domain.plan.sharedInfo;
    const regionEnd = region.at + Math.ceil(region.size / PAGE_SIZE) * PAGE_SIZE;
    const isRam = (at: number) => (at >= ramAt && at < ramEnd) || (at >= this.#spare[0] && at < this.#spare[1]);
    const seen = new Map<number, number>();
    for (let gfn = 0; gfn < P2M_FRAMES; gfn++) {
      const entry = memory.entry(gfn as Gfn);
      if (entry === 0) continue;
      const at = pageOf(entry);
      if (!isRam(at) && !(at >= pagesAt && at < regionEnd)) throw this.#failure(`frame ${gfn.toString(16)} leads to ${at}`);
      if (seen.has(at) && (entry & P2M.grant) === 0 && ((seen.get(at) ?? 0) & P2M.grant) === 0)
        throw this.#failure(`frame ${gfn.toString(16)} has a page that another frame has`);
      seen.set(at, entry);
    }
    const free = Header.free_pages.get(view, domain.at);
    if (free > Header.free_pages_max.get(view, domain.at)) throw this.#failure(`${free} free pages`);
    const stack = new Set<number>();
    for (let i = 0; i < free; i++) {
      const at = view.getUint32(domain.at + domain.plan.freePages + i * 4, true);
      if (!isRam(at)) throw this.#failure(`a free page at ${at}`);
      if (stack.has(at)) throw this.#failure('a page is free twice');
      if (seen.has(at) && ((seen.get(at) ?? 0) & P2M.grant) === 0) throw this.#failure('a free page is at a frame');
      stack.add(at);
    }
    if (Header.tot_pages.get(view, domain.at) > Header.max_pages.get(view, domain.at)) throw this.#failure('too many pages');
    for (let page = 0; page < 1 + Header.grant_frames_max.get(view, domain.at); page++) {
      const gfn = domain.overlays.gfn(page);
      if (gfn !== NOT_MAPPED && domain.overlays.at(gfn) !== page)
        throw this.#failure(`overlay ${page} is not where it should be`);
    }
    const guard = (from: number) => u8.subarray(from, from + PAGE_SIZE).every((byte) => byte === GUARD);
    if (!guard(0) || !guard(this.#spare[0] - PAGE_SIZE)) throw this.#failure('wrote where nothing belongs to the guest');
  }

  #layMulticall(at: number, wide: boolean): void {
    const size = wide ? 64 : 32;
    const count = 1 + this.#random.below(4);
    for (let n = 0; n < count; n++) {
      const nr = this.#oneOf(COMMON);
      const words = [nr, 0, ...Array.from({ length: 6 }, (_, i) => this.#argument(nr, i))];
      this.#guest.poke(at + n * size, ...(wide ? words.flatMap((word) => [word, 0]) : words));
    }
  }

  /** Arguments of memory_op that get far enough to move pages: random bytes hardly ever do. */
  #layMemoryOp(args: Uint32Array, wide: boolean): void {
    const random = this.#random;
    const [list, second, third] = [0xb000, 0xb400, 0xb800];
    const op = this.#oneOf([XENMEM.decrease_reservation, XENMEM.populate_physmap, ...MOVES]);
    const at = this.#oneOf(PLACES);
    args[0] = op;
    args[2] = at;
    args[3] = 0;
    const self = 0x7ff0;
    const count = random.below(6);
    const frames = Array.from({ length: 8 }, () => this.#frame());
    this.#pokeLongs(list, frames, wide);
    this.#pokeLongs(
      second,
      Array.from({ length: 8 }, () => this.#frame()),
      wide,
    );
    if (op === XENMEM.add_to_physmap) {
      const space = random.below(4);
      const idx = space < 2 ? random.below(6) : this.#frame();
      this.#guest.poke(at, self | (random.below(4) << 16), space);
      this.#pokeLongs(at + 8, [idx, this.#frame()], wide);
    } else if (op === XENMEM.add_to_physmap_batch) {
      const space = this.#oneOf([0, 1, 2, 2, 4]);
      if (space < 2)
        this.#pokeLongs(
          list,
          Array.from({ length: 8 }, () => random.below(6)),
          wide,
        );
      this.#guest.poke(at, self | (space << 16), count);
      this.#pokeLongs(at + 8, [list, second, third], wide);
    } else if (op === XENMEM.remove_from_physmap) {
      this.#pokeLongs(at, [self, this.#frame()], wide);
    } else {
      this.#pokeLongs(at, [list, count], wide);
      this.#guest.poke(at + (wide ? 16 : 8), this.#oneOf([0, 0, 0, 1, 2]), 0, self);
    }
  }

  /** A frame of RAM, of its surroundings, or of the rings. */
  #frame(): number {
    return this.#random.below(8) === 0
      ? this.#oneOf([0xf_efff, 0xf_effc, 0xf_ffff, 0x10_0000])
      : this.#random.below(RAM_PAGES + 16);
  }

  #pokeLongs(at: number, values: readonly number[], wide: boolean): void {
    this.#guest.poke(at, ...(wide ? values.flatMap((value) => [value, 0]) : values));
  }

  /** Register `index` of a call: a sub-operation first where there are some, then mostly a pointer. */
  #argument(nr: number, index: number): number {
    const random = this.#random;
    const subops = SUBOPS.get(nr);
    if (index === 0 && subops !== undefined && random.below(20) !== 0)
      return random.below(subops + 1) | (nr === HYPERVISOR.memory_op && random.below(16) === 0 ? this.#word() << 6 : 0);
    if (nr === HYPERVISOR.multicall && index === 1) return random.below(6);
    if (nr === HYPERVISOR.grant_table_op && index === 2) return this.#oneOf([0, 1, 1, 1, 2, 3]);
    if (nr === HYPERVISOR.console_io && index === 1) return random.below(4096);
    if (nr === HYPERVISOR.vcpu_op && index === 1) return random.below(4);
    return random.below(5) === 0 ? this.#word() : this.#oneOf(PLACES);
  }

  #scribble(at: number, count: number): void {
    const words = Array.from({ length: count }, () => this.#word());
    // Most structures begin with a domain or hold pointers to lists; a free page is no place to write to.
    if (this.#random.below(2) === 0) words[0] = this.#oneOf([0x7ff0, 7, 0, 0x1_7ff0, 0x2_7ff0]);
    // Members of 64 bits make sense with an upper half of 0 only.
    if (this.#random.below(2) === 0) for (let i = 1; i < count; i += 2) words[i] = 0;
    this.#guest.poke(at, ...words);
  }

  #word(): number {
    const random = this.#random;
    switch (random.below(8)) {
      case 0:
        return random.u32();
      case 1:
      case 2:
        return this.#oneOf(WORDS);
      case 3:
        return this.#oneOf(PLACES);
      case 4:
        return 0;
      default:
        return random.below(RAM_PAGES + 8);
    }
  }

  #oneOf<T>(list: readonly T[]): T {
    return list[this.#random.below(list.length)] as T;
  }

  #failure(what: string): Error {
    return new Error(`${what}\nafter ${this.statistics.calls} calls, the last of them:\n  ${this.#recent.join('\n  ')}`);
  }
}
