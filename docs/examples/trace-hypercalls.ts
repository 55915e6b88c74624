// Counts the hypercalls that a kernel makes until its shell is there. `tracepointNames()` lists what else can be traced.
import { createDomain, fetchDemoGuest } from 'dom1';

// public/xen.h
const NAMES: Readonly<Record<string, string>> = {
  12: 'memory_op',
  17: 'xen_version',
  20: 'grant_table_op',
  21: 'vm_assist',
  24: 'vcpu_op',
  29: 'sched_op',
  32: 'event_channel_op',
  33: 'physdev_op',
  34: 'hvm_op',
};

await using domain = await createDomain({ memory: '128MiB', ...(await fetchDemoGuest()), trace: ['xen.hypercall'] });

const counts = new Map<string, number>();
domain.on('trace', ({ text }) => {
  // "vcpu=0 nr=29 op=0 result=0"
  const nr = /\bnr=(\d+)/.exec(text)?.[1] ?? '?';
  const name = NAMES[nr] ?? `hypercall ${nr}`;
  counts.set(name, (counts.get(name) ?? 0) + 1);
});

domain.run();
await domain.console.prompt({ timeout: 120_000 });

for (const name of [...counts.keys()].sort()) console.log(`${name}: ${counts.get(name)}`);

// Prints:
//   event_channel_op: …
//   grant_table_op: …
//   hvm_op: …
//   memory_op: …
//   vcpu_op: …
//   vm_assist: …
//   xen_version: …
