// The state in which a PVH guest's first instruction runs: docs/misc/pvh.pandoc of Xen. Multiboot's is the same but for EAX:
// Multiboot Specification 0.6.96, section 3.2.
import { GPR, type Segment, type VcpuEngine } from '../../vcpu/contract.ts';
import type { PvhEntry } from './load.ts';

/** Access byte (type, S, DPL, P) and, for the flat ones, G and D/B; see Segment.attributes. */
const CODE: Segment = { selector: 0, base: 0n, limit: 0xffff_ffff, attributes: 0xc09b };
const DATA: Segment = { selector: 0, base: 0n, limit: 0xffff_ffff, attributes: 0xc093 };
/** A busy 32-bit TSS of the smallest size. */
const TASK: Segment = { selector: 0, base: 0n, limit: 0x67, attributes: 0x008b };
/** Not present. */
const NULL: Segment = { selector: 0, base: 0n, limit: 0, attributes: 0 };

const CR0_PE = 1n << 0n;
/** Reads as 1 on every processor with an FPU inside. */
const CR0_ET = 1n << 4n;
/** Bit 1 is always set; IF, VM and TF are clear. */
const RFLAGS_RESET = 2n;

/**
 * Sets a vCPU to the PVH entry: 32-bit protected mode without paging, flat segments, EBX the start info.
 * The protocol leaves the rest undefined. FS and GS are flat as Xen leaves them (construct_vmcs, construct_vmcb: limit ~0,
 * attributes 0xc093): a 32-bit Linux reads its stack canary through FS before it loads it. Other registers and LDTR are 0.
 */
export function enterPvh(engine: VcpuEngine, at: PvhEntry): void {
  engine.setControl('efer', 0n);
  engine.setControl('cr4', 0n);
  engine.setControl('cr3', 0n);
  engine.setControl('cr0', CR0_PE | CR0_ET);
  for (const index of Object.values(GPR)) engine.setGpr(index, 0n);
  engine.setGpr(GPR.rax, BigInt(at.magic ?? 0));
  engine.setGpr(GPR.rbx, BigInt(at.startInfoGpa));
  engine.setSegment('cs', CODE);
  for (const name of ['ds', 'es', 'ss', 'fs', 'gs'] as const) engine.setSegment(name, DATA);
  engine.setSegment('ldtr', NULL);
  engine.setSegment('tr', TASK);
  engine.rflags = RFLAGS_RESET;
  engine.rip = BigInt(at.entry);
}
