// The monitor of a running domain: JSON commands and events, shaped like QMP. This is how `dom1 list`, `dom1 pause` and the
// others talk to a domain in another process; `connectControl('web')` connects to one that `dom1 create` has started.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectControl, listDomains, serveControl } from 'dom1';
import { bootLinux } from 'dom1/testing';

// Where domains are found; without it, a directory of the user's.
const directory = await mkdtemp(join(tmpdir(), 'dom1-example-'));
await using domain = await bootLinux({ name: 'web', memory: '128MiB' });
{
  await using _served = await serveControl(domain, { version: '1.0.0', directory });
  console.log('running:', (await listDomains({ directory })).map(({ name }) => name).join(', '));

  using client = await connectControl('web', { directory });
  const events = client.onEvent(({ event }) => console.log('event', event));
  await client.execute('stop');
  console.log(await client.execute('query-status'));
  await client.execute('cont');
  console.log(await client.execute('xenstore-read', { path: 'name' }));
  await client.execute('nonsense').catch((error: Error) => console.log(`${error.name}: ${error.message}`));
  events[Symbol.dispose]();
}
await rm(directory, { recursive: true });

// Prints:
//   running: web
//   event STOP
//   { status: 'paused', running: false }
//   event RESUME
//   { value: 'web' }
//   ControlCommandError: there is no command "nonsense"…
