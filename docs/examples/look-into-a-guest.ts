// Looks into a guest that runs, and pokes it: event channels, grants, registers, the inspection tree.
import { bootLinux } from 'dom1/testing';

await using domain = await bootLinux({ memory: '128MiB' });

// The console's event channel, as `dom1 event-list` shows it. An event too many does no harm: a driver finds nothing to do.
const port = Number(domain.xenstore.read(`/local/domain/${domain.id}/console/port`));
const channel = domain.eventChannels().find((each) => each.port === port);
console.log(`port ${port}: ${channel?.type}`);
domain.injectEvent(port);

// Guest time stands still while the domain is paused.
await domain.pause();
const before = (await domain.sh('true', { timeout: 200 }).catch((error: Error) => error)) as Error;
console.log(`${domain.state}: ${before.name}`);
const { registers } = await domain.registers(0);
console.log(`rip = 0x${registers['rip']?.toString(16)}`);
domain.unpause();

// Everything there is to see, as a tree of plain values and of functions that compute them.
console.log(Object.keys(domain.inspect()).join(' '));
console.log((await domain.sh('echo it goes on', { timeout: 30_000 })).output.trim());

// Prints:
//   port 2: interdomain
//   paused: ConsoleError
//   rip = 0x…
//   …state…xen…
//   it goes on
