// One virtual CPU's thread: the loop that runs the guest, serves its exits, and sleeps.
import { RUNSTATE } from '../abi/xen/shared-info.ts';
import { TierMismatch } from '../cpu/lockstep/tier-mismatch.ts';
import { FLAG, STATE } from '../cpu/state.ts';
import { serveApicMmio, serveApicMsr } from '../devices/apic/lapic-exits.ts';
import { EXIT, type ExitReason, GPR } from '../vcpu/contract.ts';
import { describeCrash } from './crash-report.ts';
import { enterBios } from './hvm/enter.ts';
import { CONTROL, FLUSH } from './machine-plan.ts';
import { exitName } from './profile/exit-name.ts';
import { enterPvh } from './pvh/enter.ts';
import { RunBudget } from './run-budget.ts';
import { serveHypercall, serveXenMsr } from './vcpu-exits.ts';
import { buildVcpu, type VcpuMessage, type VcpuParts, type VcpuThreadData } from './vcpu-parts.ts';
import { takeStartup } from './vcpu-startup.ts';

/** Not a vector yet: the 8259As say which when they are asked. */
const EXTERNAL = 0x100;

/** Exits served in a row before the vCPU looks at its interrupts and timers again: some microseconds. */
const QUICK_EXITS = 16;

/** Runs the vCPU until the domain ends. Blocks the thread. */
export function runVcpu(data: VcpuThreadData, post: (message: VcpuMessage) => void): void {
  const parts = buildVcpu(data, post);
  if (data.vcpuId === 0) {
    if (data.entry === undefined) enterBios(parts.engine);
    else enterPvh(parts.engine, data.entry);
  }
  const loop = new VcpuLoop(data, parts, post);
  const last = lastWord(loop);
  parts.trace.flush();
  if (parts.profile !== undefined) post({ type: 'profile', profile: parts.profile.data(data.vcpuId) });
  post(last);
}

function lastWord(loop: VcpuLoop): VcpuMessage {
  try {
    return loop.run();
  } catch (error) {
    if (!(error instanceof TierMismatch)) throw error;
    return { type: 'mismatch', report: error.message };
  }
}

class VcpuLoop {
  readonly #parts: VcpuParts;
  readonly #post: (message: VcpuMessage) => void;
  readonly #i32: Int32Array;
  readonly #budget = new RunBudget();
  /** Indices of the shared words. */
  readonly #request: number;
  readonly #stop: number;
  readonly #pause: number;
  readonly #parked: number;
  readonly #flush: number;
  #halted = false;
  #lapicWasEnabled = false;
  /** The domain's shutdown has been told. */
  #toldShutdown = false;

  constructor(data: VcpuThreadData, parts: VcpuParts, post: (message: VcpuMessage) => void) {
    this.#parts = parts;
    this.#post = post;
    this.#i32 = parts.memory.i32;
    const control = data.plan.control.at;
    this.#request = (parts.regions.cpu.at + STATE.request) >>> 2;
    this.#stop = (control + CONTROL.stop) >>> 2;
    this.#pause = (control + CONTROL.pause) >>> 2;
    this.#parked = (control + CONTROL.parked) >>> 2;
    this.#flush = ((control + CONTROL.flush) >>> 2) + data.vcpuId;
  }

  /** Returns the message that the thread ends with. */
  run(): VcpuMessage {
    const { board, clock, domain, engine, profile, virtual } = this.#parts;
    const i32 = this.#i32;
    for (;;) {
      if (Atomics.load(i32, this.#stop) !== 0) return { type: 'stopped', report: describeCrash(engine) };
      Atomics.store(i32, this.#request, 0);
      if (Atomics.load(i32, this.#pause) !== 0 || domain.shutdownReason >= 0) {
        this.#park();
        continue;
      }
      if (virtual?.owes && !virtual.settle()) continue;
      if (Atomics.load(i32, this.#flush) !== 0) this.#forget(Atomics.exchange(i32, this.#flush, 0));
      if (!(profile === undefined ? this.#prepare() : profile.exit('timers, events', () => this.#prepare()))) {
        this.#sleep();
        continue;
      }
      // What was prepared may have told the I/O side something.
      if (virtual?.owes) continue;
      const startNs = clock.nowNs();
      const startRetired = engine.retired;
      const deadlineNs = clock.nextDeadlineNs();
      const budget = virtual?.budget(deadlineNs) ?? this.#budget.before(deadlineNs - startNs);
      let exit = engine.run(budget);
      virtual?.note();
      let quick = QUICK_EXITS;
      while (this.#served(exit) && quick > 0 && !this.#mustLook(deadlineNs)) {
        quick--;
        exit = engine.run(budget - (engine.retired - startRetired));
      }
      if (exit === EXIT.shutdown) {
        if (board === undefined) return { type: 'crash', report: describeCrash(engine) };
        // What a PC does, and an HVM domain of Xen (HVM_PARAM_TRIPLE_FAULT_REASON): it resets. Xen logs where, too.
        board.reset(`a triple fault\n${describeCrash(engine)}`);
        continue;
      }
      if (quick === QUICK_EXITS && exit === EXIT.budget) {
        this.#budget.ran(engine.retired - startRetired, clock.nowNs() - startNs);
      }
      this.#watchApic();
    }
  }

  /** Drops what other threads have made untrue; `what` is FLUSH bits. */
  #forget(what: number): void {
    const { engine, frameChanges, vcpu } = this.#parts;
    if (what & FLUSH.tlb) engine.flushTlb();
    if (what & FLUSH.frames) {
      frameChanges.take(
        vcpu.id,
        (gfn) => engine.mmu.frameChanged(gfn),
        () => {
          engine.code.flush();
          engine.flushTlb();
        },
      );
    }
  }

  /** Does what is due before the guest runs. False when the vCPU has to sleep. */
  #prepare(): boolean {
    const { board, clock, trace, vcpu } = this.#parts;
    clock.runDue();
    board?.service();
    vcpu.service();
    trace.flushDue();
    return this.#enter();
  }

  #served(exit: ExitReason): boolean {
    const { engine, profile } = this.#parts;
    if (profile === undefined || exit === EXIT.budget) return this.#serve(exit);
    return profile.exit(exitName(exit, engine), () => this.#serve(exit));
  }

  /** Takes what is to be taken before the guest runs. False when the vCPU has to sleep. */
  #enter(): boolean {
    const { board, engine, lapic, vcpu } = this.#parts;
    if (takeStartup(this.#parts)) this.#halted = false;
    if (lapic.takeNmi() || vcpu.state.takeNmi()) {
      engine.nmi();
      this.#halted = false;
    }
    const callback = vcpu.callbackVector();
    const pic = callback < 0 && board?.picInterrupt === true;
    const vector = callback >= 0 ? callback : pic ? EXTERNAL : lapic.hasInterrupt();
    const deliverable = vector >= 0 && engine.canInterrupt;
    if (deliverable) this.#halted = false;
    if (this.#halted || !vcpu.mayRun(deliverable)) return false;
    vcpu.enter(RUNSTATE.running);
    if (deliverable) {
      if (pic && board !== undefined) engine.interrupt(board.acknowledgePic());
      else {
        if (callback < 0) lapic.acknowledge(vector);
        engine.interrupt(vector);
      }
    } else if (vector >= 0) engine.requestInterruptWindow();
    return true;
  }

  /** Whether something came up since the vCPU last looked: a kick, a wait, another deadline. */
  #mustLook(deadlineNs: number): boolean {
    const { clock, vcpu, virtual } = this.#parts;
    if (Atomics.load(this.#i32, this.#request) !== 0 || vcpu.state.waiting !== 0 || virtual?.owes) return true;
    return clock.nextDeadlineNs() !== deadlineNs;
  }

  /** Serves an exit. True when the guest may run on at once unless the vCPU `mustLook`. */
  #serve(exit: ExitReason): boolean {
    const { board, bus, domain, engine, hypercalls, lapic, vcpu } = this.#parts;
    switch (exit) {
      case EXIT.hlt:
        this.#halted = true;
        // As in Xen, that is how a guest without another way powers off: a PVH Linux has none.
        if ((engine.cpu.get32(STATE.eflags) & FLAG.if) === 0) domain.takeDown(vcpu.id);
        return false;
      case EXIT.hypercall:
        serveHypercall(engine, hypercalls);
        return true;
      case EXIT.pio:
        bus.serve(engine.exit);
        return board?.picInterrupt !== true;
      case EXIT.mmio:
        // A write to a register of the APIC may make an interrupt deliverable.
        if (serveApicMmio(lapic, engine.exit)) return !engine.exit.write;
        bus.serve(engine.exit);
        return true;
      case EXIT.msr: {
        const apic = serveApicMsr(lapic, engine.exit);
        engine.completeMsr(apic === 'other' ? serveXenMsr(vcpu, engine) : apic === 'ok');
        return false;
      }
      default:
        return false;
    }
  }

  /** An upcall that the guest's disabled APIC dropped is raised again once it is enabled. */
  #watchApic(): void {
    const { lapic, vcpu } = this.#parts;
    const { enabled } = lapic.page;
    if (enabled && !this.#lapicWasEnabled) vcpu.lapicEnabled();
    this.#lapicWasEnabled = enabled;
  }

  /** Blocks until somebody kicks, or the next timer is due. */
  #sleep(): void {
    const { clock, engine, profile, trace, vcpu, virtual } = this.#parts;
    vcpu.enter(RUNSTATE.blocked);
    engine.publishCounters();
    trace.flush();
    const dueNs = clock.nextDeadlineNs();
    if (virtual?.skip(dueNs)) return;
    const ns = dueNs - clock.nowNs();
    const wait = (): boolean => ns <= 0 || Atomics.wait(this.#i32, this.#request, 0, ns / 1e6) === 'timed-out';
    if (profile === undefined ? wait() : profile.idle(wait)) vcpu.woken(dueNs);
  }

  /** Stays out of the guest while the domain is paused or shut down. Guest time stands still meanwhile. */
  #park(): void {
    const { board, domain, engine, profile, trace, vcpu, virtual } = this.#parts;
    const reason = domain.shutdownReason;
    trace.flush();
    // A guest's last words come before its end.
    board?.flush();
    if (reason >= 0 && !this.#toldShutdown) this.#post({ type: 'shutdown', reason, report: describeCrash(engine) });
    this.#toldShutdown = reason >= 0;
    vcpu.runStateChanged(false);
    Atomics.add(this.#i32, this.#parked, 1);
    this.#post({ type: 'parked' });
    engine.publishCounters();
    const wait = (): void => void Atomics.wait(this.#i32, this.#request, 0);
    for (;;) {
      const mayGo = Atomics.load(this.#i32, this.#pause) === 0 && domain.shutdownReason < 0;
      if (mayGo || Atomics.load(this.#i32, this.#stop) !== 0) break;
      if (profile === undefined) wait();
      else profile.idle(wait);
      Atomics.store(this.#i32, this.#request, 0);
    }
    Atomics.sub(this.#i32, this.#parked, 1);
    this.#toldShutdown = false;
    virtual?.owe();
    // What lies where may have changed while nobody ran.
    engine.flushTlb();
    if (vcpu.state.takeSuspendCancelled()) engine.setGpr(GPR.rax, 1n);
    vcpu.runStateChanged(true);
  }
}
