// The image of a probe guest: its program, and the tables that its processor needs, all of them made here.
import { buildElf, concat, pvhNote } from '../../src/image/fixtures/build-elf.ts';
import type { Width } from './guest-code.ts';
import { AT, SELECTOR, USER_RETURN, VCPUS, WINDOW } from './probe-layout.ts';
import { assembleProbe, type ProbeProgram } from './probe-program.ts';

const PAGE = 0x1000;
export const PTE = { present: 1, writable: 2, user: 4, large: 0x80 } as const;
const { present: P, writable: W, user: U } = PTE;

export interface ProbeImage extends ProbeProgram {
  /** An ELF file with a PVH entry. */
  readonly elf: Uint8Array;
}

export function buildProbe(width: Width): ProbeImage {
  const program = assembleProbe(width);
  const wide = width === 64;
  const segment = (paddr: number, data: Uint8Array): { paddr: number; data: Uint8Array } => ({ paddr, data });
  const elf = buildElf({
    segments: [
      segment(AT.code, program.code),
      segment(AT.gdt, globalDescriptors(wide)),
      segment(AT.idt, interruptDescriptors(program.handlers, wide)),
      segment(AT.tss, taskSegments(wide)),
      segment(AT.pml4, pageTables(wide)),
      segment(AT.userCode, program.userCode),
      { paddr: AT.mailbox, data: new Uint8Array(0), memSize: AT.end - AT.mailbox },
    ],
    notes: [pvhNote(program.entry)],
  });
  return { ...program, elf };
}

const quadwords = (...values: readonly bigint[]): Uint8Array => new Uint8Array(BigUint64Array.from(values).buffer);

function globalDescriptors(wide: boolean): Uint8Array {
  const table = new BigUint64Array(32);
  const set = (selector: number, value: bigint): void => {
    table[selector >> 3] = value;
  };
  set(SELECTOR.code, wide ? 0x00af_9a00_0000_ffffn : 0x00cf_9a00_0000_ffffn);
  set(SELECTOR.compatCode, 0x00cf_9a00_0000_ffffn);
  set(SELECTOR.stack, 0x00cf_9200_0000_ffffn);
  set(SELECTOR.userCode, wide ? 0x00af_fa00_0000_ffffn : 0x00cf_fa00_0000_ffffn);
  set(SELECTOR.data, 0x00cf_f200_0000_ffffn);
  for (let id = 0; id < VCPUS; id++) {
    const base = BigInt(AT.tss + id * TSS_BYTES);
    set(SELECTOR.tss + id * 16, 0x0000_8900_0000_0067n | ((base & 0xff_ffffn) << 16n) | ((base >> 24n) << 56n));
  }
  return new Uint8Array(table.buffer);
}

/** Interrupt gates; level 3 may use one of them. */
function interruptDescriptors(handlers: readonly number[], wide: boolean): Uint8Array {
  return concat(
    ...handlers.map((handler, vector) => {
      const access = vector === USER_RETURN ? 0xeen : 0x8en;
      const at = BigInt(handler);
      const low = (at & 0xffffn) | (BigInt(SELECTOR.code) << 16n) | (access << 40n) | ((at >> 16n) << 48n);
      return wide ? quadwords(low, 0n) : quadwords(low);
    }),
  );
}

const TSS_BYTES = 128;

function taskSegments(wide: boolean): Uint8Array {
  const bytes = new Uint8Array(VCPUS * TSS_BYTES);
  const view = new DataView(bytes.buffer);
  for (let id = 0; id < VCPUS; id++) {
    view.setUint32(id * TSS_BYTES + 4, AT.stacks + (id + 1) * 2 * PAGE, true); // RSP0 or ESP0
    if (!wide) view.setUint32(id * TSS_BYTES + 8, SELECTOR.stack, true);
    view.setUint16(id * TSS_BYTES + 0x66, 0x68, true); // no I/O bitmap
  }
  return bytes;
}

/** 4 GiB where they are, for the supervisor; the window's pages one by one, for everybody. PML4, PDPT, four PDs and the PT. */
function pageTables(wide: boolean): Uint8Array {
  const tables = new BigUint64Array((AT.userCode - AT.pml4) / 8);
  const set = (table: number, index: number, value: number): void => {
    tables[(table - AT.pml4) / 8 + index] = BigInt(value);
  };
  set(AT.pml4, 0, AT.pdpt | P | W | U);
  for (let i = 0; i < 4; i++) set(AT.pdpt, i, (AT.pd + i * PAGE) | (wide ? P | W | U : P));
  for (let i = 0; i < 2048; i++) set(AT.pd, i, i * 0x20_0000 + (P | W | PTE.large));
  set(AT.pd, WINDOW.at / 0x20_0000, AT.pt | P | W | U);
  set(AT.pt, (WINDOW.userCode - WINDOW.at) / PAGE, AT.userCode | P | U);
  set(AT.pt, (WINDOW.userStack - WINDOW.at) / PAGE, (AT.userCode + PAGE) | P | W | U);
  return new Uint8Array(tables.buffer);
}
