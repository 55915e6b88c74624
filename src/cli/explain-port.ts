// An event channel of a domain that runs: what it is, where it leads, and who uses it.
import type { ControlClient } from '../node/control-client.ts';
import type { CommandIo } from './command-io.ts';
import type { Topic } from './explain-topics.ts';
import { InputError } from './failure.ts';
import { openDomain } from './open-domain.ts';

interface Channel {
  readonly port: number;
  readonly vcpu: number;
  readonly type: string;
  readonly 'remote-domain': string;
  readonly target: number;
  readonly pending: boolean;
  readonly masked: boolean;
}

/** @throws InputError when it is closed, ControlConnectionError */
export async function explainPort(port: number, domain: string, io: CommandIo): Promise<Topic> {
  using client = await openDomain(domain, io);
  const channels = (await client.execute('xen-event-list')) as readonly Channel[];
  const channel = channels.find((one) => one.port === port);
  if (channel === undefined)
    throw new InputError(`event channel ${port} of ${domain} is closed; \`dom1 event-list ${domain}\` shows those that are not`);
  const user = await userOf(port, client);
  return {
    kind: 'evtchn',
    name: `${port} of ${domain}`,
    number: port,
    text: [
      leadsTo(channel),
      `Virtual CPU ${channel.vcpu} is told. It is ${channel.pending ? 'pending' : 'not pending'} and ${channel.masked ? 'masked' : 'not masked'}.`,
      user === undefined ? 'XenStore does not say what it is for.' : `It is for ${user}.`,
    ],
  };
}

function leadsTo({ type, target, 'remote-domain': remote }: Channel): string {
  switch (type) {
    case 'interdomain':
      return `Its other end is port ${target} of ${remote === 'loopback' ? 'the same domain' : remote}.`;
    case 'virq':
      return `The hypervisor sends it: virtual interrupt ${target}; see \`dom1 explain virq ${target}\`.`;
    case 'pirq':
      return `It stands for the physical interrupt ${target}.`;
    case 'ipi':
      return 'The guest sends it to itself: an interrupt from one virtual CPU to another.';
    default:
      return `It is ${type}: nobody is at the other end yet.`;
  }
}

const USE = /^\/?(?:(store|console)\/port|device\/([^/]+)\/([^/]+)\/(?:queue-\d+\/)?event-channel(?:-[tr]x)?)$/;

/** By what the guest and its toolstack have written into XenStore. */
async function userOf(port: number, client: ControlClient): Promise<string | undefined> {
  const { domain } = await client.greeting;
  const nodes = (await client.execute('xenstore-ls', { path: `/local/domain/${domain.domid}` })) as readonly {
    readonly path: string;
    readonly value?: string;
  }[];
  for (const { path, value } of nodes) {
    const [, ring, type, id] = (value === String(port) ? USE.exec(path) : null) ?? [];
    if (ring !== undefined) return ring === 'store' ? 'XenStore' : 'the console';
    if (type !== undefined) return `the device ${type} ${id}`;
  }
  return undefined;
}
