// What the logs of Debian's kernels say here and under another Xen, where they differ, and why: kernel-logs.spec.ts holds every line
// against it, and docs/kernel-logs.md is made from it. "There" is QEMU 10's Xen on KVM, on an AMD host; "here" is dom1.
import type { Difference } from './compare-logs.ts';

export const LOG_DIFFERENCES: readonly Difference[] = [
  {
    what: 'The processor',
    both: [
      'smpboot: CPU0: *',
      'Last level ?TLB entries: *',
      '(XEN) CPU Vendor: *',
      '(XEN) BSP microcode revision: *',
      '(XEN) mwait-idle: *',
      'Performance Events: *',
    ],
    there: [
      'AMD Zen1 *',
      '(XEN) Unrecognised CPU *, assuming vulnerable to Entrysign',
      '(XEN) Mismatch between expected (*) and real (*) levelling caps: missing 0',
      '(XEN) Fam 0x17, model 0x1 level 0xd',
      '(XEN) If not running virtualised, please report a bug',
    ],
    here: [
      'intel_pstate: CPU model not supported',
      'x86/cpu: User Mode Instruction Prevention (UMIP) activated',
      '(XEN) CPU0: TSC: * Hz * 10 / 1 = * Hz',
      '(XEN) CPU0: bus: * base: * max: *',
    ],
    why:
      "There it is the host's, an AMD EPYC of 2017 with two errata to work around. Here it is dom1's: the signature of an Atom of Intel that does " +
      'not speculate, UMIP, no power states, no MWAIT and no PMU, which CPUID says in other words than KVM.',
  },
  {
    what: 'Speculation',
    both: ['(XEN)   Hardware hints: *', '(XEN)   Hardware features:*', '(XEN)   Xen settings: *'],
    there: [
      'Spectre V? : *',
      'RETBleed: *',
      'active return thunk: *',
      'Speculative Store Bypass: *',
      'Speculative Return Stack Overflow: *',
    ],
    why: "A guest's barriers would not reach the host's processor, which runs WebAssembly: dom1's CPUID says that there is nothing for the guest to mitigate.",
  },
  {
    what: 'Machine checks',
    there: ['(XEN) CPU0: AMD Fam17h machine check reporting enabled', '(XEN) mcheck_poll: Machine check polling timer started.'],
    here: ['(XEN) CPU0: No MCE banks present. Machine check support disabled'],
    why: "dom1's processor has no banks: no hardware is there whose errors they could report.",
  },
  {
    what: 'Clocks',
    both: [
      'tsc: Detected * MHz processor',
      '(XEN) Detected * MHz processor.',
      'Calibrating delay loop (skipped), value calculated using timer frequency.. * BogoMIPS (lpj=*)',
      'clocksource: tsc*: mask: 0xffffffffffffffff max_cycles: *, max_idle_ns: * ns',
      'smpboot: Total of ? processors activated (* BogoMIPS)',
    ],
    there: [
      'tsc: Fast TSC calibration failed',
      'calibrate_delay_direct() dropping min bogoMips estimate *',
      'calibrate_delay_direct() failed to get a good estimate for loops_per_jiffy.',
      'Probably due to long platform interrupts. Consider using "lpj=" boot option.',
      'sched: DL replenish lagged too much',
    ],
    why: "dom1's TSC counts nanoseconds, whatever the host. The complaints are better: here the PIT keeps time, and delays have their length.",
  },
  {
    what: 'Times',
    both: [
      'audit: type=2000 audit(*:1): state=initialized audit_enabled=0 res=1',
      'sched_clock: Marking stable *',
      'rtc_cmos *: setting system clock to *',
    ],
    sometimes: ['node 0 deferred pages initialised in *ms'],
    why: 'They are those of the run.',
  },
  {
    what: 'The initrd',
    both: ['RAMDISK: [mem *]', 'Freeing initrd memory: *', '(XEN)  Init. ramdisk: *'],
    why: 'It is another one.',
  },
  {
    what: 'RAM',
    both: [
      '*[mem 0x0000000000100000-*] usable',
      'last_pfn = * max_arch_pfn = 0x400000000',
      'Faking a node at [mem 0x0000000000000000-*]',
      'NODE_DATA(0) allocated [mem *]',
      '  DMA32    [mem 0x0000000001000000-*]',
      '  node   0: [mem 0x0000000000100000-*]',
      'Initmem setup node 0 [mem 0x0000000000001000-*]',
      'On node 0, zone DMA32: * pages in unavailable ranges',
      '[mem *] available for PCI devices',
      'Built 1 zonelists, mobility grouping on.  Total pages: *',
      'Memory: * available (*)',
      'e820: reserve RAM buffer [mem *-0x1fffffff]',
      'BIOS-e820: [mem *-0x000000001fffffff] reserved',
    ],
    there: [
      'BIOS-e820: [mem 0x00000000feff8000-0x00000000feffffff] reserved',
      'BIOS-e820: [mem 0x00000000fffc0000-0x00000000ffffffff] reserved',
      'BIOS-e820: [mem 0x000000fd00000000-0x000000ffffffffff] reserved',
    ],
    here: [
      'BIOS-e820: [mem 0x00000000fc000000-0x00000000fc001fff] ACPI NVS',
      'BIOS-e820: [mem 0x00000000fc002000-0x00000000ffffffff] reserved',
      'ACPI: PM: Registering ACPI NVS region [mem 0xfc000000-0xfc001fff] (8192 bytes)',
    ],
    why:
      "There SeaBIOS keeps ACPI's tables in the last 128 KiB of RAM. Here they are at 0xfc000000, below Xen's special pages, where hvmloader and " +
      "libxl put them, and all that follows to 4 GiB is reserved; the guest has the RAM. The last ranges there are QEMU's ROM and AMD's HyperTransport.",
  },
  {
    what: "The shim's memory",
    both: [
      '(XEN)  [*, *] (*)',
      '(XEN) *-e820 RAM map:',
      '(XEN) New Xen image base address: *',
      '(XEN) System RAM: 511MB (*kB)',
      '(XEN) Faking a node at 0000000000000000-*',
      '(XEN) shim used pages * reserving 0x100 free pages',
      '(XEN)  Dom0 alloc.:   0000000010000000->0000000018000000 (* pages to be allocated)',
      '(XEN)  Phys-Mach map: 0000008000000000->*',
    ],
    sometimes: ['(XEN) Initial low memory virq threshold set at * pages.'],
    why:
      "Xen finds SeaBIOS and its E820 there. Here its real-mode code finds a BIOS without functions and takes Multiboot's map: all RAM, ACPI's tables, and " +
      "the special pages that libxl has. The shim's image lies below its modules, and so it has other pages left, and warns sooner or later when few are.",
  },
  {
    what: 'How the shim was started',
    both: ['(XEN) Bootloader: *', '(XEN) Command line: *'],
    there: ['(XEN) Initialised PV console at *'],
    why:
      "The loader has its name. There the shim writes to the guest's console, with console=xen,pv; here, as for type: 'pv', to the hypervisor's log, " +
      'and the guest has its console to itself.',
  },
  {
    what: "ACPI's tables",
    both: [
      'ACPI: RSDP *',
      'ACPI: FACP *',
      'ACPI: DSDT *',
      'ACPI: FACS *',
      'ACPI: APIC *',
      'ACPI: HPET 0x*',
      'ACPI: WAET *',
      'ACPI: Reserving * table memory at [mem *]',
      '(XEN) ACPI: RSDP *',
      '(XEN) ACPI: FACP *',
      '(XEN) ACPI: DSDT *',
      '(XEN) ACPI: APIC *',
    ],
    there: ['ACPI: RSDT *', '(XEN) ACPI: RSDT *', '(XEN) ACPI: FACS *', '(XEN) ACPI: HPET *', '(XEN) ACPI: WAET *'],
    here: ['ACPI: XSDT *', '(XEN) ACPI: XSDT *'],
    why:
      "There they are QEMU's, of ACPI 1. Here they are libacpi's of Xen, with an XSDT: those of a PC for an HVM domain, and reduced-hardware ones, which " +
      'need no FACS and know no HPET, for a PVH domain such as the shim.',
  },
  {
    what: 'A PVH domain is no PC',
    there: [
      '(XEN) found SMP MP-table at *',
      '(XEN) DMI 2.8 present.',
      '(XEN) ACPI: PM-Timer IO Port: *',
      '(XEN) ACPI: SLEEP INFO: *',
      '(XEN) ACPI:             wakeup_vec[*], vec_size[20]',
      '(XEN) ACPI: IOAPIC (*)',
      '(XEN) IOAPIC[0]: *',
      '(XEN) ACPI: INT_SRC_OVR (*)',
      '(XEN) ACPI: IRQ* used by override.',
      '(XEN) Using ACPI (MADT) for SMP configuration information',
      '(XEN) Enabled directed EOI with ioapic_ack_old on!',
      '(XEN) ENABLING IO-APIC IRQs',
      '(XEN)  -> Using old ACK method',
      '(XEN) ..TIMER: *',
    ],
    here: [
      '(XEN) DMI not present.',
      '(XEN) ACPI: v5 SLEEP INFO: control[0:0], status[0:0]',
      '(XEN) ACPI: No IOAPIC entries present',
      '(XEN) Found and enabled local APIC!',
    ],
    both: ['(XEN) IRQ limits: * GSI, * MSI/MSI-X', '(XEN) Enabling APIC mode.  Using ? I/O APICs'],
    why: 'QEMU runs the shim on a PC. Xen gives a PVH domain neither a PM timer nor an I/O APIC, SMBIOS or legacy interrupts, and neither does dom1.',
  },
  {
    what: 'XenStore',
    there: ['xen:cpu_hotplug: Unable to read cpu state'],
    sometimes: [
      '(XEN) d?v? failed to allocate * extents of order 0 for onlining',
      '(XEN) *Over-allocation for *',
      'Built 1 zonelists, mobility grouping on.  Total pages: *',
      'Fallback order for Node 0: 0',
      'Policy zone: Normal',
    ],
    why:
      "Better: cpu/0/availability is there, as libxl writes it. memory/target is there, too: it is all of the domain's memory, and of that the shim keeps " +
      "its part, so the guest's balloon makes room for more, and is refused. With type 'pv' the domain has the shim's part on top, and the balloon nothing to do.",
  },
  {
    what: "Xen's newer interfaces",
    both: ['Xen version *', 'xen:events: Using *', 'blkfront: xvda: *'],
    why: 'Better: dom1 is Xen 4.20, with event channels in FIFO queues, and its disks take indirect descriptors. Within the shim event channels are of two levels, as there.',
  },
  {
    what: 'The firmware',
    both: ['SMBIOS 2.? present.', 'DMI: * BIOS *'],
    there: ['found SMP MP-table at [mem *]', 'ACPI: LAPIC_NMI (*)'],
    why: "SMBIOS is hvmloader's. Its MP table is not there: no guest with ACPI looks at it. libacpi's MADT has no NMI of the local APIC.",
  },
  {
    what: 'The I/O APIC',
    both: ['IOAPIC[0]: *'],
    why: "Xen's has 48 pins and the number 1.",
  },
  {
    what: 'Timers',
    both: ['ACPI: PM-Timer IO Port: *', 'clocksource: hpet: *', 'hpet0: 3 comparators, 64-bit * MHz counter'],
    why: "Xen's PM timer is at 0xb008, its HPET runs at 62.5 MHz.",
  },
  {
    what: 'Power',
    both: ['ACPI: PM: (supports *)', 'rtc_cmos *: alarms up to one day, y3k, 242 bytes nvram*'],
    there: ['rtc_cmos *: RTC can wake from S4', 'ACPI: Enabled 2 GPEs in block 00 to 0F', 'acpiphp: Slot [*] registered'],
    why:
      "dom1 offers no suspend to RAM and no PCI hot plug. Xen's FADT does not say that the RTC wakes from S4, and on Intel's processors Linux takes ACPI's alarm, " +
      "not the HPET's.",
  },
  {
    what: 'Interrupts of devices',
    there: [
      'xen: --> pirq=* -> irq=* (gsi=*)',
      'ACPI: PCI: Interrupt link LNK? configured for IRQ *',
      'ACPI: \\_SB_.LNKB: Enabled at IRQ 10',
    ],
    why: "hvm_pirq is off, as xl has it (test/guest/hvm.spec.ts has it on), and Xen's DSDT routes PCI's pins to GSIs where there is an I/O APIC.",
  },
  {
    what: 'PCI',
    both: [
      'PCI: * E820 reservations for host bridge windows',
      'acpi PNP0A03:00: _OSC: OS supports [*]',
      'pci_bus 0000:00: root bus resource [mem *]',
      'pci_bus 0000:00: resource 7 [mem *]',
      'pci 0000:00:01.1: BAR 4 [io *]',
      'pci 0000:00:02.0: BAR 1 [mem * pref]',
    ],
    there: [
      'PCI: Using configuration type 1 for extended access',
      'pci_bus 0000:00: resource 8 [mem *]',
      'pci 0000:00:01.3: quirk: [io *] claimed by PIIX4 *',
    ],
    here: [
      'acpi PNP0A03:00: _OSC: not requesting OS control; OS requires [*]',
      "acpi PNP0A03:00: fail to add MMCONFIG information, can't access extended * configuration space under this bridge.",
      "acpi PNP0A03:00: fail to add MMCONFIG information, can't access extended configuration space under this bridge",
    ],
    sometimes: ['pci 0000:00:00.0: quirk_* took * usecs'],
    why:
      'The window is that of hvmloader, 0xf0000000 to 0xfbffffff; Linux takes it as it is from a BIOS of 2023 or later. An i440FX has no extended configuration space: Linux tries ' +
      "AMD's way to it on AMD's processors alone. 00:01.3 has Xen's registers, not a PIIX4's, and quirks that took long say so.",
  },
  {
    what: 'The screen',
    both: ['Console: colour *'],
    here: ['pci 0000:00:03.0: *'],
    why: 'There QEMU ran without one.',
  },
  {
    what: 'ISA devices',
    both: [
      'pnp: PnP ACPI: found ? devices',
      'i8042: PNP: PS/2 Controller [*] at 0x60,0x64 irq 1,12',
      'rtc_cmos 00:0?: registered as rtc0',
    ],
    there: ['pnp 00:02: [dma 2]'],
    sometimes: ['input: AT Translated Set 2 keyboard as /devices/platform/i8042/serio0/input/input?'],
    why:
      "There is no floppy drive and no parallel port. Xen's DSDT calls the keyboard PS2K. Linux counts its attempts at the keyboard: on a busy host one may take longer than the " +
      '200 ms that it waits, and the next one succeeds.',
  },
  {
    what: 'One processor',
    both: [
      'smpboot: Allowing ? CPUs, 0 hotplug CPUs',
      'cblist_init_generic: Setting shift to ? and lim to 1 rcu_task_cpu_ids=?.',
      'CPU topo: Allowing ? present CPUs plus 0 hotplug CPUs',
      'CPU topo: Num. cores per package:     ?',
      'CPU topo: Num. threads per package:   ?',
      'Invalid max_queues (4), will use default max: ?.',
      'NR_IRQS: 524544, nr_irqs: *, preallocated irqs: 16',
      'RCU Tasks*: Setting shift to ? and lim to 1 rcu_task_cb_adjust=1 rcu_task_cpu_ids=?.',
      'SLUB: HWalign=64, Order=0-3, MinObjects=0, CPUs=?, Nodes=1',
      'futex hash table entries: *',
      'pcpu-alloc: *',
      'percpu: Embedded * pages/cpu *',
      'rcu: *nr_cpu_ids=*',
      'setup_percpu: *',
      'smp: Brought up 1 node, *',
      'xen: PV spinlocks *abled',
    ],
    there: [
      '.... node  #0, CPUs:      #1',
      'PV qspinlock hash table entries: *',
      'Timer migration: *',
      'cpu ? spinlock event irq *',
      'installing Xen timer for CPU 1',
      'smpboot: x86: Booting SMP configuration:',
      'x86: Booting SMP configuration:',
    ],
    why: 'Two of the HVM guests there have two. An HVM domain has one here.',
  },
];
