// What hvmloader does to PCI devices before the BIOS starts (tools/firmware/hvmloader/pci.c): addresses for all BARs, largest first,
// interrupt lines, the links of the PCI-ISA bridge and the edge/level register. SeaBIOS leaves it alone under Xen.

import type { PicPair } from '../../devices/pc/pic-pair.ts';
import { COMMAND, PCI, PCI_BARS } from '../../devices/pci/config-header.ts';
import { ISA_BRIDGE_LINKS } from '../../devices/pci/isa-bridge.ts';
import type { PciBus } from '../../devices/pci/pci-bus.ts';
import type { PciFunction } from '../../devices/pci/pci-function.ts';
import { intxLink } from '../../xen/events/callback-line.ts';
import { PCI_HOLE } from './memory-map.ts';

/** Where the links lead. Xen's PCI_ISA_IRQ_MASK: 5, 10 and 11. */
export const LINK_IRQS = [5, 10, 11, 5] as const;
const ELCR = [0x20, 0x0c] as const;
const FIRST_PORT = 0xc000;

interface Request {
  readonly devfn: number;
  readonly register: number;
  readonly io: boolean;
  readonly size: number;
}

export function setUpPci(bus: PciBus, isaBridgeDevfn: number, pic: PicPair): void {
  for (const [link, irq] of LINK_IRQS.entries()) bus.writeConfig(isaBridgeDevfn, ISA_BRIDGE_LINKS + link, 1, irq);
  for (const [i, value] of ELCR.entries()) pic.elcrPorts.write(i, 1, value);
  const requests: Request[] = [];
  for (const [devfn, pci] of bus.functions()) {
    requests.push(...requestsOf(devfn, pci));
    const pin = pci.options.identity.interruptPin ?? 0;
    if (pin !== 0) bus.writeConfig(devfn, PCI.interruptLine, 1, LINK_IRQS[intxLink(devfn >> 3, pin - 1)] as number);
  }
  requests.sort((a, b) => b.size - a.size);
  const next = { io: FIRST_PORT, memory: PCI_HOLE.at as number };
  const enable = new Map<number, number>();
  for (const { devfn, register, io, size } of requests) {
    const space = io ? 'io' : 'memory';
    const at = Math.ceil(next[space] / size) * size;
    next[space] = at + size;
    bus.writeConfig(devfn, register, 4, at);
    enable.set(devfn, (enable.get(devfn) ?? 0) | (io ? COMMAND.io : COMMAND.memory));
  }
  for (const [devfn, pci] of bus.functions()) {
    const fixed = (pci.options.fixed ?? []).reduce((bits, { kind }) => bits | (kind === 'io' ? COMMAND.io : COMMAND.memory), 0);
    bus.writeConfig(devfn, PCI.command, 2, (enable.get(devfn) ?? 0) | fixed | COMMAND.master);
  }
}

function requestsOf(devfn: number, { options }: PciFunction): Request[] {
  const requests: Request[] = [];
  for (let bar = 0; bar < PCI_BARS; bar++) {
    const what = options.bars?.[bar];
    if (what !== undefined) requests.push({ devfn, register: PCI.bar + bar * 4, io: what.kind === 'io', size: what.size });
  }
  if (options.rom !== undefined) requests.push({ devfn, register: PCI.rom, io: false, size: options.rom.bytes.length });
  return requests;
}
