// The inspection tree of a domain: what `dom1 inspect` shows.
import { HVM_PARAM } from '../abi/xen/hvm.ts';
import { HYPERVISOR } from '../abi/xen/hypercall.ts';
import { RUNSTATE } from '../abi/xen/shared-info.ts';
import { inspectBackends } from '../backends/xenbus/inspect-backends.ts';
import { type EngineCounts, readCounters } from '../cpu/engine-counters.ts';
import type { InspectTree } from '../util/inspect/inspect-node.ts';
import type { XenDomain } from '../xen/domain.ts';
import { DomainHeader, NOT_MAPPED, OVERLAY, VCPU_WAIT, VcpuStateLayout as Vcpu } from '../xen/domain-layout.ts';
import { inspectEvents } from '../xen/events/inspect-events.ts';
import { inspectGrants } from '../xen/grants/inspect-grants.ts';
import { inspectStore } from '../xen/store/inspect-store.ts';
import type { XenStore } from '../xen/store/store.ts';
import type { Domain } from './domain.ts';
import type { MachinePlan } from './machine-plan.ts';
import type { PlatformSide } from './platform-side.ts';

export function inspectDomain(
  domain: Domain,
  plan: MachinePlan,
  platform: PlatformSide,
  store: XenStore,
  nowNs: number,
): InspectTree {
  const { xen, backends } = platform;
  return {
    id: domain.id,
    name: domain.name,
    uuid: domain.uuid,
    state: domain.state,
    memory: () => inspectMemory(domain, xen),
    vcpu: () => inspectVcpus(xen),
    engine: () => inspectEngines(domain, plan),
    devices: () => inspectBackends(backends),
    time: { system_ns: Math.floor(nowNs), retired: domain.retired },
    xen: {
      evtchn: () => inspectEvents(xen) as unknown as InspectTree,
      grants: () => inspectGrants(xen),
      overlays: () => inspectOverlays(xen),
      params: () => Object.fromEntries(Object.entries(HVM_PARAM).map(([name, index]) => [name, xen.param(index)])),
      hypercalls: () => inspectHypercalls(xen),
      store: () => inspectStore(store) as unknown as InspectTree,
    },
  };
}

function inspectMemory(domain: Domain, xen: XenDomain): InspectTree {
  const { view } = xen.memory;
  return {
    start_bytes: domain.memoryBytes,
    pages: DomainHeader.tot_pages.get(view, xen.at),
    max_pages: DomainHeader.max_pages.get(view, xen.at),
  };
}

const RUNSTATES = Object.fromEntries(Object.entries(RUNSTATE).map(([name, value]) => [value, name]));

function inspectVcpus(xen: XenDomain): InspectTree {
  const { view } = xen.memory;
  return Object.fromEntries(
    xen.vcpus.map((vcpu) => [
      String(vcpu.id),
      {
        up: (vcpu.waiting & VCPU_WAIT.down) === 0,
        blocked: (vcpu.waiting & VCPU_WAIT.blocked) !== 0,
        runstate: RUNSTATES[Vcpu.runstate.get(view, vcpu.at)] ?? '?',
        runstate_entry_ns: Vcpu.runstate_entry_ns.get(view, vcpu.at),
        time_running: Vcpu.time_running.get(view, vcpu.at),
        time_runnable: Vcpu.time_runnable.get(view, vcpu.at),
        time_blocked: Vcpu.time_blocked.get(view, vcpu.at),
        time_offline: Vcpu.time_offline.get(view, vcpu.at),
        upcall_vector: Vcpu.upcall_vector.get(view, vcpu.at),
        upcall_pending: vcpu.upcallPending,
        vcpu_info_registered: vcpu.infoRegistered,
        singleshot_deadline: Vcpu.singleshot_deadline.get(view, vcpu.at),
        periodic_period: Vcpu.periodic_period.get(view, vcpu.at),
      },
    ]),
  );
}

/** What each vCPU's engine counts, as of its last sample or sleep. */
function inspectEngines({ memory, retired }: Domain, plan: MachinePlan): InspectTree {
  const each = plan.vcpus.map(({ cpu }) => readCounters(memory, cpu.at));
  const one = (counts: EngineCounts): InspectTree => {
    const { lockstep_checked, lockstep_given_up, region_instructions, ...others } = counts;
    return {
      region_instructions,
      ...(plan.vcpus.length === 1 && { interpreted_instructions: Math.max(0, retired - region_instructions) }),
      ...others,
      ...(plan.sharing !== undefined && { lockstep_checked, lockstep_given_up }),
    };
  };
  return Object.fromEntries(each.map((counts, id) => [String(id), one(counts)]));
}

function inspectOverlays(xen: XenDomain): InspectTree {
  const frames = DomainHeader.grant_frames.get(xen.memory.view, xen.at);
  const place = (page: number): number | null => {
    const gfn = xen.overlays.gfn(page);
    return gfn === NOT_MAPPED ? null : gfn;
  };
  return {
    shared_info: place(OVERLAY.shared_info),
    grant: Object.fromEntries(Array.from({ length: frames }, (_, frame) => [String(frame), place(OVERLAY.grant + frame)])),
  };
}

/** Calls made so far, and how many of them were answered -ENOSYS. */
function inspectHypercalls(xen: XenDomain): InspectTree {
  const made = Object.entries(HYPERVISOR)
    .map(([name, nr]) => [name, xen.hypercallCounts(nr)] as const)
    .filter(([, { calls }]) => calls > 0);
  return Object.fromEntries(made.map(([name, { calls, unimplemented }]) => [name, { calls, unimplemented }]));
}
