// The board of an HVM domain: makes the chips, puts them on the buses, wires their interrupts. It lives on the thread of vCPU 0, which
// reaches every chip by a plain call; what it says to the host leaves through `BoardSinks`, what the host says comes through `receive`.
import { SHUTDOWN } from '../../abi/xen/sched.ts';
import { AhciController } from '../../devices/ahci/ahci-controller.ts';
import type { ApicBus } from '../../devices/apic/apic-bus.ts';
import type { Ioapic } from '../../devices/apic/ioapic.ts';
import type { LocalApic } from '../../devices/apic/lapic.ts';
import { type ApicMessage, REG, SVR_ENABLE } from '../../devices/apic/registers.ts';
import { DEBUG_PORT, DebugPort, FIRMWARE_DEBUG_ANSWER, FIRMWARE_DEBUG_PORT } from '../../devices/debug-port.ts';
import { AtaDisk } from '../../devices/ide/ata-disk.ts';
import { Cdrom } from '../../devices/ide/cdrom.ts';
import { IDE_IRQS, IdeController } from '../../devices/ide/ide-controller.ts';
import type { DriveMaker } from '../../devices/ide/ide-drive.ts';
import { PARALLEL, SERIAL } from '../../devices/ide/identify.ts';
import { gated } from '../../devices/interrupt-line.ts';
import type { IoBus } from '../../devices/io-bus.ts';
import { ACPI_GPE0, ACPI_PM, AcpiPm, SLEEP_TYPE } from '../../devices/pc/acpi-pm.ts';
import { FW_CFG_PORTS, FwCfg } from '../../devices/pc/fw-cfg.ts';
import { Hpet } from '../../devices/pc/hpet.ts';
import { HPET_MMIO } from '../../devices/pc/hpet-place.ts';
import { PIC_ELCR, PIC_MASTER, PIC_SLAVE, PicPair } from '../../devices/pc/pic-pair.ts';
import { PIT_PORTS, Pit, SPEAKER_PORT } from '../../devices/pc/pit.ts';
import { PORT_92, Port92 } from '../../devices/pc/port-92.ts';
import { RTC_PORTS, Rtc } from '../../devices/pc/rtc.ts';
import { SERIAL_PORTS, Uart } from '../../devices/pc/uart.ts';
import { PCI_CONFIG_PORTS, PciConfigPorts } from '../../devices/pci/config-ports.ts';
import { hostBridge, isaBridge, powerManagement } from '../../devices/pci/isa-bridge.ts';
import { PciBus } from '../../devices/pci/pci-bus.ts';
import { I8042, I8042_COMMAND, I8042_DATA } from '../../devices/ps2/i8042.ts';
import { Ps2Keyboard } from '../../devices/ps2/keyboard.ts';
import { Ps2Mouse } from '../../devices/ps2/mouse.ts';
import { Rtl8139 } from '../../devices/rtl8139/rtl8139.ts';
import { Vga } from '../../devices/vga/vga.ts';
import type { Region } from '../../memory/arena.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { Clock } from '../../time/clock.ts';
import type { XenDomain } from '../../xen/domain.ts';
import { PLATFORM_PORTS, PlatformDevice, UNPLUG } from '../../xen/platform-device.ts';
import type { BoardConfig, DiskController } from './board-config.ts';
import type { VgaRegions } from './board-memory.ts';
import { cmosContents } from './cmos.ts';
import { DebugLog } from './debug-log.ts';
import { DrivePort } from './drive-port.ts';
import type { DriveRequest } from './drive-region.ts';
import { GuestWindows } from './guest-windows.ts';
import { Interrupts } from './interrupts.ts';
import { NicLink } from './nic-link.ts';
import type { NicConfig, NicFrame } from './nic-region.ts';
import { setUpPci } from './pci-setup.ts';

/** Where the chips are on PCI bus 0, as QEMU has them under Xen. */
export const PCI_PLACE = {
  hostBridge: [0, 0],
  isaBridge: [1, 0],
  ide: [1, 1],
  power: [1, 3],
  platform: [2, 0],
  vga: [3, 0],
  nic: [4, 0],
} as const;

/** Local APIC after hvmloader: virtual wire mode (tools/firmware/hvmloader/hvmloader.c, apic_setup). */
const VIRTUAL_WIRE = { svr: SVR_ENABLE | 0xff, lint0: 0x700, lint1: 0x400 } as const;

/** Keys that wait for a guest which does not read its keyboard: more than anybody types ahead. */
const MOST_WAITING_KEYS = 4096;

export interface BoardSinks {
  readonly serial: (byte: number) => void;
  /** Bytes of the debug ports and of the platform device, a line at a time. */
  readonly log: (bytes: Uint8Array) => void;
  readonly drive: (request: DriveRequest) => void;
  readonly frame: (frame: NicFrame) => void;
}

export interface BoardOptions {
  readonly config: BoardConfig;
  readonly memory: GuestMemory;
  readonly io: IoBus;
  readonly clock: Clock;
  readonly domain: XenDomain;
  readonly ioapic: Ioapic;
  readonly lapic: LocalApic;
  readonly apicBus: ApicBus;
  readonly sinks: BoardSinks;
}

/** A VGA over its part of the shared memory. */
function makeVga({ rom, state, vram }: VgaRegions, { u8 }: GuestMemory, clock: Clock): Vga {
  const bytes = ({ at, size }: Region): Uint8Array => u8.subarray(at, at + size);
  return new Vga({
    state: bytes(state),
    vram: { bytes: bytes(vram), writable: true },
    rom: { bytes: bytes(rom), writable: false },
    nowNs: () => clock.nowNs(),
  });
}

export class Board {
  readonly pic: PicPair;
  readonly pci: PciBus;
  readonly interrupts: Interrupts;
  readonly keyboard = new Ps2Keyboard();
  readonly mouse = new Ps2Mouse();
  readonly serial: Uart;
  readonly power: AcpiPm;
  readonly #domain: XenDomain;
  readonly #lapic: LocalApic;
  /** By place. */
  readonly #drivePorts = new Map<number, DrivePort>();
  readonly #nics = new Map<number, NicLink>();
  readonly #waitingSerial: number[] = [];
  #waitingKeys: (readonly number[])[] = [];
  readonly #log: DebugLog;

  constructor(options: BoardOptions) {
    const { apicBus, config, clock, domain, io, ioapic, lapic, memory, sinks } = options;
    this.#domain = domain;
    this.#lapic = lapic;
    this.#log = new DebugLog(sinks.log);
    const log = (byte: number): void => this.#log.put(byte);

    this.pic = new PicPair(() => {});
    const deliver = (message: ApicMessage): void => void apicBus.deliver(message);
    this.interrupts = new Interrupts({ pic: this.pic, ioapic, pirqs: domain.events.pirqs, deliver });
    const isa = (irq: number) => this.interrupts.isa(irq);

    io.registerPorts('pic master', PIC_MASTER, this.pic.masterPorts);
    io.registerPorts('pic slave', PIC_SLAVE, this.pic.slavePorts);
    io.registerPorts('elcr', PIC_ELCR, this.pic.elcrPorts);

    // Legacy routing of the HPET takes the lines of the timer and the RTC.
    const timerLine = gated(isa(0));
    const rtcLine = gated(isa(8));
    const pit = new Pit({ clock, interrupt: timerLine });
    const hpet = new Hpet({
      clock,
      isa,
      gsi: (gsi) => this.interrupts.gsi(gsi),
      legacy: (on) => {
        pit.heard = !on;
        timerLine.open(!on);
        rtcLine.open(!on);
      },
    });
    io.registerMmio('hpet', HPET_MMIO, hpet);
    io.registerPorts('pit', PIT_PORTS, pit.ports);
    io.registerPorts('speaker', SPEAKER_PORT, pit.speakerPort);

    const rtc = new Rtc({ clock, interrupt: rtcLine, startSeconds: config.startSeconds, cmos: cmosContents(config) });
    io.registerPorts('rtc', RTC_PORTS, rtc.ports);

    this.power = new AcpiPm({
      clock,
      sci: isa(9),
      sleep: (type) => {
        // What sleeps in S4 is on its disk: the machine is off.
        if (type === SLEEP_TYPE.s5 || type === SLEEP_TYPE.s4) domain.shutdown(SHUTDOWN.poweroff);
      },
    });
    io.registerPorts('acpi pm', ACPI_PM, this.power.ports);
    io.registerPorts('acpi gpe0', ACPI_GPE0, this.power.gpePorts);

    this.keyboard.onRoom = () => this.#feedKeys();
    const i8042 = new I8042({
      keyboard: this.keyboard,
      mouse: this.mouse,
      keyboardInterrupt: isa(1),
      mouseInterrupt: isa(12),
      reset: () => this.reset('the keyboard controller'),
    });
    io.registerPorts('i8042 data', I8042_DATA, i8042.dataPort);
    io.registerPorts('i8042 command', I8042_COMMAND, i8042.commandPort);
    io.registerPorts('port 92', PORT_92, new Port92(() => this.reset('port 92h')).ports);

    const [com1] = SERIAL_PORTS;
    this.serial = new Uart({ interrupt: isa(com1.irq), send: sinks.serial, ready: () => this.#feedSerial() });
    io.registerPorts('com1', com1.ports, this.serial.ports);

    io.registerPorts('fw_cfg', FW_CFG_PORTS, new FwCfg(config.files));
    io.registerPorts('xen debug', DEBUG_PORT, new DebugPort(log));
    io.registerPorts('firmware debug', FIRMWARE_DEBUG_PORT, new DebugPort(log, FIRMWARE_DEBUG_ANSWER));

    this.pci = new PciBus({
      io,
      memory,
      windows: new GuestWindows(memory),
      interrupt: (device, pin) => this.interrupts.intx(device, pin),
      message: (address, data) => this.interrupts.message(address, data),
    });
    io.registerPorts('pci config', PCI_CONFIG_PORTS, new PciConfigPorts(this.pci, () => this.reset('port cf9h')));
    const platform = new PlatformDevice({ unplug: (what) => this.#unplug(what), log });
    io.registerPorts('xen platform', PLATFORM_PORTS, platform.fixedPorts);
    this.pci.add(...PCI_PLACE.hostBridge, hostBridge());
    this.pci.add(
      ...PCI_PLACE.isaBridge,
      isaBridge((link, irq) => this.interrupts.route(link, irq)),
    );
    const { ahci, ide } = this.#makeDrives(options);
    this.pci.add(...PCI_PLACE.ide, ide.pci);
    this.pci.add(...PCI_PLACE.power, powerManagement());
    this.pci.add(...PCI_PLACE.platform, platform.pci);

    if (config.vga !== undefined) this.pci.add(...PCI_PLACE.vga, makeVga(config.vga, memory, clock).pci);

    for (const nic of config.nics) this.#addNic(nic, options);
    // The next place that is free, as QEMU does it for what is added.
    if (ahci !== undefined) this.pci.add(PCI_PLACE.nic[0] + config.nics.length, 0, ahci.pci);

    setUpPci(this.pci, PCI_PLACE.isaBridge[0] * 8, this.pic);
    lapic.write(REG.svr, VIRTUAL_WIRE.svr);
    lapic.write(REG.lvtLint0, VIRTUAL_WIRE.lint0);
    lapic.write(REG.lvtLint1, VIRTUAL_WIRE.lint1);
  }

  /** Whether the 8259As ask for an interrupt that the local APIC lets through: LINT0 in mode ExtINT, or no local APIC at all. */
  get picInterrupt(): boolean {
    if (!this.pic.requesting) return false;
    const { page } = this.#lapic;
    return !page.hardwareEnabled || (page.get(REG.lvtLint0) & 0x1_0700) === VIRTUAL_WIRE.lint0;
  }

  /** Every way to reset ends in a domain that is built anew, as under hvmloader; `way` is for who reads the log. */
  reset(way: string): void {
    this.#log.say(`reset by ${way}`);
    this.#domain.shutdown(SHUTDOWN.reboot);
  }

  /** Bytes for COM1; what does not fit waits for the guest to read. */
  typeSerial(bytes: Uint8Array): void {
    this.#waitingSerial.push(...bytes);
    this.#feedSerial();
  }

  /** A key goes down or up; what does not fit waits for the guest to read. Nothing happens while the guest has turned the keys off. */
  typeKey(codes: readonly number[]): void {
    if (!this.keyboard.scanning) this.#waitingKeys = [];
    else if (this.#waitingKeys.length < MOST_WAITING_KEYS) this.#waitingKeys.push(codes);
    this.#feedKeys();
  }

  /** The I/O side has answered a drive's request. */
  driveAnswered(place: number, ok: boolean): void {
    this.#drivePorts.get(place)?.answered(ok);
  }

  /** A frame for a network card. */
  frameArrived(index: number, frame: Uint8Array): void {
    this.#nics.get(index)?.arrived(frame);
  }

  #addNic(config: NicConfig, { clock, memory, sinks }: BoardOptions): void {
    const link = new NicLink(config, memory, sinks.frame);
    const card = new Rtl8139({ mac: config.mac, port: link, clock, linkUp: () => link.linkUp });
    link.plug(card);
    this.#nics.set(config.index, link);
    const [device, number] = PCI_PLACE.nic;
    this.pci.add(device + config.index, number, card.pci);
  }

  #makeDrives({ config, memory, sinks }: BoardOptions): {
    readonly ide: IdeController;
    readonly ahci: AhciController | undefined;
  } {
    const drives: Record<DiskController, DriveMaker[]> = { ide: [], ahci: [] };
    for (const drive of config.drives) {
      const port = new DrivePort(drive, memory, sinks.drive);
      this.#drivePorts.set(drive.place, port);
      const serial = `DOM1-${drive.place + 1}`;
      const attachment = drive.controller === 'ide' ? PARALLEL : SERIAL;
      drives[drive.controller][drive.place] = (host) =>
        drive.cdrom ? new Cdrom(host, port, serial, attachment) : new AtaDisk(host, port, serial, attachment);
    }
    const [primary, secondary] = IDE_IRQS;
    return {
      ide: new IdeController({
        interrupts: [this.interrupts.isa(primary), this.interrupts.isa(secondary)],
        drives: drives.ide,
        unplugBits: UNPLUG,
      }),
      ahci: config.diskController === 'ahci' ? new AhciController({ drives: drives.ahci, unplugBits: UNPLUG }) : undefined,
    };
  }

  #feedKeys(): void {
    // The controller may take a byte at once, and ask for more: what is being typed does not wait any more by then.
    for (let codes = this.#waitingKeys.shift(); codes !== undefined; codes = this.#waitingKeys.shift()) {
      if (this.keyboard.key(codes)) continue;
      this.#waitingKeys.unshift(codes);
      return;
    }
  }

  #feedSerial(): void {
    while (this.#waitingSerial.length > 0 && this.serial.room > 0) this.serial.receive(this.#waitingSerial.shift() as number);
  }

  /** Takes devices off the bus by their class, as QEMU does (hw/i386/xen/xen_platform.c). */
  #unplug(what: number): void {
    for (const [, pci] of this.pci.functions()) {
      const kind = pci.options.identity.classCode >>> 8;
      if (kind === 0x0200 && what & UNPLUG.nics) this.pci.remove(pci);
      pci.options.unplug?.(what);
    }
  }
}
