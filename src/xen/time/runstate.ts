// Runstate of one vCPU: how long it ran, waited and slept; and the copies of it that the guest asked for.
import { RUNSTATE_INFO as INFO, type Runstate, XEN_RUNSTATE_UPDATE_BYTE } from '../../abi/xen/shared-info.ts';
import { VMASST_TYPE_runstate_update_flag } from '../../abi/xen/version.ts';
import type { GuestCaller } from '../../vcpu/contract.ts';
import type { XenDomain } from '../domain.ts';
import { DomainHeader, VcpuStateLayout as State } from '../domain-layout.ts';
import type { VcpuState } from '../vcpu-state.ts';

const TIMES = [State.time_running, State.time_runnable, State.time_blocked, State.time_offline] as const;

/** Belongs to the vCPU's thread. */
export class RunstateClock {
  readonly #domain: XenDomain;
  readonly #state: VcpuState;
  readonly #caller: GuestCaller;
  readonly #bytes = new Uint8Array(INFO.sizeof.wide);
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #byte = new Uint8Array(1);

  constructor(domain: XenDomain, state: VcpuState, caller: GuestCaller) {
    this.#domain = domain;
    this.#state = state;
    this.#caller = caller;
  }

  get current(): Runstate {
    return State.runstate.get(this.#domain.memory.view, this.#state.at) as Runstate;
  }

  /**
   * Enters a state at `nowNs`, and updates the registered areas. A time before the last change counts as that, so that the
   * four times always add up to the time of the last change.
   */
  enter(state: Runstate, nowNs: number): void {
    const { view, i32 } = this.#domain.memory;
    const { at } = this.#state;
    const time = TIMES[this.current];
    const version = (at + State.runstate_version.offset) >>> 2;
    Atomics.add(i32, version, 1);
    const before = State.runstate_entry_ns.get(view, at);
    const entry = Math.max(before, Math.floor(nowNs));
    time.set(view, at, time.get(view, at) + entry - before);
    State.runstate_entry_ns.set(view, at, entry);
    State.runstate.set(view, at, state);
    Atomics.add(i32, version, 1);
    const { trace } = this.#domain;
    if (trace.runstate.on) trace.runstate(this.#state.id, state);
    this.publish();
  }

  /** Writes the state into the areas registered by physical and by virtual address. */
  publish(): void {
    this.#publishPhysical();
    this.#publishVirtual();
  }

  /** The state as `struct vcpu_runstate_info`; with `nowNs`, the time since the last change is counted in. */
  encode(narrow: boolean, nowNs?: number): Uint8Array {
    return encodeRunstate(this.#domain, this.#state, this.#view, narrow, nowNs);
  }

  #publishPhysical(): void {
    const { memory } = this.#domain;
    const at = State.runstate_at.get(memory.view, this.#state.at);
    if (at === 0) return;
    const narrow = State.runstate_narrow.get(memory.view, this.#state.at) !== 0;
    const info = this.encode(narrow);
    const flag = at + INFO.state_entry_time[narrow ? 'narrow' : 'wide'] + 7;
    Atomics.or(memory.u8, flag, XEN_RUNSTATE_UPDATE_BYTE);
    info[flag - at] = (info[flag - at] ?? 0) | XEN_RUNSTATE_UPDATE_BYTE;
    memory.u8.set(info, at);
    Atomics.and(memory.u8, flag, ~XEN_RUNSTATE_UPDATE_BYTE & 0xff);
  }

  #publishVirtual(): void {
    const { memory, at, narrow } = this.#domain;
    const address = State.runstate_va.get(memory.view, this.#state.at);
    if (address === 0n) return;
    const info = this.encode(narrow);
    const top = INFO.state_entry_time[narrow ? 'narrow' : 'wide'] + 7;
    const assist = DomainHeader.vm_assist.get(memory.view, at);
    if ((assist & (1 << VMASST_TYPE_runstate_update_flag)) === 0) {
      this.#caller.writeVirtual(address, info);
      return;
    }
    const plain = info[top] ?? 0;
    this.#byte[0] = plain | XEN_RUNSTATE_UPDATE_BYTE;
    if (!this.#caller.writeVirtual(address + BigInt(top), this.#byte)) return;
    info[top] = plain | XEN_RUNSTATE_UPDATE_BYTE;
    this.#caller.writeVirtual(address, info);
    this.#byte[0] = plain;
    this.#caller.writeVirtual(address + BigInt(top), this.#byte);
  }
}

/** Looks at a state that its vCPU is changing; a change takes well below a microsecond. */
const LOOKS = 1000;

/**
 * Any vCPU's runstate in guest form, into `into` (48 bytes); returns the bytes that count. A change that its own thread makes
 * meanwhile is waited for.
 */
export function encodeRunstate(domain: XenDomain, state: VcpuState, into: DataView, narrow: boolean, nowNs?: number): Uint8Array {
  const { i32 } = domain.memory;
  const version = (state.at + State.runstate_version.offset) >>> 2;
  for (let look = 0; look < LOOKS; look++) {
    const before = Atomics.load(i32, version);
    if ((before & 1) !== 0) continue;
    encode(domain, state, into, narrow, nowNs);
    if (Atomics.load(i32, version) === before) break;
  }
  return new Uint8Array(into.buffer, into.byteOffset, INFO.sizeof[narrow ? 'narrow' : 'wide']);
}

function encode(domain: XenDomain, state: VcpuState, into: DataView, narrow: boolean, nowNs?: number): void {
  const { view } = domain.memory;
  const { at } = state;
  const width = narrow ? 'narrow' : 'wide';
  const current = State.runstate.get(view, at);
  const entry = State.runstate_entry_ns.get(view, at);
  into.setUint32(INFO.state, current, true);
  if (!narrow) into.setUint32(4, 0, true);
  into.setBigUint64(INFO.state_entry_time[width], BigInt(entry), true);
  for (const [i, time] of TIMES.entries()) {
    const since = nowNs !== undefined && i === current ? Math.max(0, Math.floor(nowNs) - entry) : 0;
    into.setBigUint64(INFO.time[width] + i * 8, BigInt(time.get(view, at) + since), true);
  }
}
