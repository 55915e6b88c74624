// The instruction set with its handlers.
import { Variants } from './interpreter/variants.ts';
import { Decoder } from './x86/decoder.ts';
import { ROWS } from './x86/table/rows.ts';

/** Immutable, so it is shared by every engine of a thread. */
export interface InstructionSet {
  readonly decoder: Decoder;
  readonly variants: Variants;
}

let made: InstructionSet | undefined;

/** Made once a thread. */
export function instructionSet(): InstructionSet {
  made ??= { decoder: new Decoder(ROWS), variants: new Variants(ROWS) };
  return made;
}
