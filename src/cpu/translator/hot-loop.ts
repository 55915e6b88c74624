// Reads a hot loop from a page of guest code: instructions in address order from its head to the branch back there.

import { SPECIAL_COUNT } from '../interpreter/record.ts';
import type { Handler, Variants } from '../interpreter/variants.ts';
import { CODE_MODE } from '../state.ts';
import { DECODE, type Decoder, Instruction } from '../x86/decoder.ts';
import type { Row } from '../x86/row.ts';
import { Untranslatable } from './untranslatable.ts';

const PAGE = 4096;
/** About what 16 KiB of WebAssembly hold: beyond it V8's compile time grows faster than the code. */
const MOST_INSTRUCTIONS = 200;

export interface LoopInstruction {
  /** Linear address; in 64-bit mode also RIP. */
  readonly rip: bigint;
  readonly insn: Instruction;
  readonly row: Row;
  readonly handler: Handler;
  /** Where a relative branch goes, undefined for everything else. */
  readonly target: bigint | undefined;
}

export interface HotLoop {
  readonly head: bigint;
  /** Address after the last instruction. */
  readonly end: bigint;
  readonly instructions: readonly LoopInstruction[];
}

/**
 * Decodes the loop whose head is at `offset` of a page of 64-bit code; `pageRip` is the page's linear address. The first
 * branch back to the head ends it.
 * @throws Untranslatable when there is no such branch, or an instruction cannot be decoded
 */
export function readHotLoop(page: Uint8Array, pageRip: bigint, offset: number, decoder: Decoder, variants: Variants): HotLoop {
  const head = pageRip + BigInt(offset);
  const instructions: LoopInstruction[] = [];
  for (let at = offset; ; ) {
    const insn = new Instruction();
    const status = at < PAGE ? decoder.decode(page, at, PAGE, CODE_MODE.code64, insn) : DECODE.truncated;
    const { row } = insn;
    if (status !== DECODE.ok || row === undefined) throw new Untranslatable(`no branch back to ${head.toString(16)} in its page`);
    const handler = variants.handlers[variants.find(row, insn, true) - SPECIAL_COUNT];
    if (handler === undefined) throw new Untranslatable(`${row.mnemonic} has no semantics`);
    const rip = pageRip + BigInt(at);
    const relative = row.operands.some(({ source }) => source === 'J');
    const target = relative ? BigInt.asUintN(64, rip + BigInt(insn.length + insn.immediate)) : undefined;
    instructions.push({ rip, insn, row, handler, target });
    at += insn.length;
    if (target === head) return { head, end: pageRip + BigInt(at), instructions };
    if (instructions.length === MOST_INSTRUCTIONS)
      throw new Untranslatable(`no branch back to ${head.toString(16)} in ${MOST_INSTRUCTIONS} instructions`);
  }
}
