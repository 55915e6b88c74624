// A network card as a person writes it, plugged into what it leads to on this host.
import { randomBytes } from 'node:crypto';
import { VifDevice } from '../backends/net/vif-device.ts';
import type { LinkSpec } from '../control/xl-config/link-spec.ts';
import type { FrameSink } from '../io/frame-sink.ts';
import { CapturingSink } from '../net/capturing-sink.ts';
import type { UserNetworkOptions } from '../net/user/network-plan.ts';
import { UserNetwork } from '../net/user/user-network.ts';
import { EventLoopClock } from '../time/event-loop-clock.ts';
import { NodeSockets } from './node-sockets.ts';
import { PcapFile } from './pcap-file.ts';
import { SharedSwitch } from './shared-switch.ts';
import { SocketLink } from './socket-link.ts';
import { openNamedTap } from './tap-device.ts';
import { VifError, vifFailure } from './vif-error.ts';

/** A network card of a domain. */
export interface VifConfig extends Omit<UserNetworkOptions, 'mac' | 'mtu'> {
  /** The card's number. Default: the lowest that is free. */
  readonly id?: number;
  /** Of the guest's card. Default: a random one of Xen's. */
  readonly mac?: string;
  readonly mtu?: number;
  /** Whether an HVM domain has an emulated card in the same place. Default true. */
  readonly emulated?: boolean;
  /** What it is plugged into: a port of a `Switch`, something of one's own. */
  readonly sink?: FrameSink;
  /** Where it leads to when there is no sink. Default: a network in user mode, which the other options describe. */
  readonly link?: LinkSpec;
  /** The name that the guest's toolstack directory shows; there are no bridges. */
  readonly bridge?: string;
  /** A file that all frames are written to, in libpcap's format. */
  readonly pcap?: string;
  /** Where the card is asked for, in front of what goes wrong: "a.cfg:3:9". */
  readonly place?: string;
}

/** @throws VifError when the host does not give what the card leads to; NetworkOptionError for options that make no sense */
export async function openVifDevice(config: VifConfig): Promise<VifDevice> {
  const { id, mac, mtu, emulated = true, sink, link = { kind: 'user' }, bridge, pcap, place, ...options } = config;
  const card = {
    ...(id !== undefined && { id }),
    ...(mac !== undefined && { mac }),
    ...(mtu !== undefined && { mtu }),
    ...(bridge !== undefined && { bridge }),
    emulated,
  };
  const opened =
    sink === undefined
      ? await openLink(link, options, mtu).catch((error: unknown): never => {
          throw vifFailure(error, link, place);
        })
      : asOpenLink(sink);
  try {
    const capture = pcap === undefined ? undefined : await PcapFile.open(pcap);
    const close = async (): Promise<void> => {
      await opened.close();
      await capture?.close();
    };
    const plugged = capture === undefined ? opened.sink : new CapturingSink(opened.sink, capture.write);
    return new VifDevice({ ...card, sink: plugged, close });
  } catch (error) {
    await opened.close();
    throw new VifError(place, `the capture ${pcap} cannot be written: ${(error as Error).message}`, 'check the path of pcap=', {
      cause: error,
    });
  }
}

interface OpenLink {
  readonly sink: FrameSink;
  close(): Promise<void>;
}

const asOpenLink = (sink: FrameSink): OpenLink => ({ sink, close: () => sink.close() });

async function openLink(link: LinkSpec, options: UserNetworkOptions, mtu: number | undefined): Promise<OpenLink> {
  switch (link.kind) {
    case 'user':
      return openUserNetwork({ ...options, ...(mtu !== undefined && { mtu }) });
    case 'switch': {
      const { name, directory } = link;
      const where = { ...(directory !== undefined && { directory }), ...(mtu !== undefined && { mtu }) };
      return asOpenLink(await SharedSwitch.join({ name, ...where }));
    }
    case 'tap':
      return asOpenLink(await openNamedTap(link.ifname, mtu));
    case 'socket':
      return asOpenLink(
        link.role === 'connect' ? await SocketLink.connect(link.address, mtu) : (await SocketLink.listen(link.address, mtu)).link,
      );
  }
}

async function openUserNetwork(options: UserNetworkOptions): Promise<OpenLink> {
  const clock = new EventLoopClock();
  const random = (): number => randomBytes(4).readUInt32LE();
  try {
    const sink = await UserNetwork.open({ sockets: new NodeSockets(), clock, random }, options);
    const close = async (): Promise<void> => {
      await sink.close();
      clock.close();
    };
    return { sink, close };
  } catch (error) {
    clock.close();
    throw error;
  }
}
