// The two tiers do not agree: what a person needs to find out why.
import { offsetOfPlace, pageOfPlace, type Region } from '../translator/region.ts';
import type { Difference } from './state-differences.ts';

/** Differences and instructions that a report shows. */
const SHOWN = { differences: 40, instructions: 256 } as const;

export interface MismatchReport {
  /** Linear address that the region was entered at, and of the page that its places count from. */
  readonly entry: bigint;
  readonly home: bigint;
  readonly region: Region;
  /** Bytes of a page of the region, counted from the head's; undefined when it is not there any more. */
  readonly code: (page: number) => Uint8Array | undefined;
  /** Instructions that were run in both tiers. */
  readonly instructions: number;
  readonly differences: readonly Difference[];
}

/** A region did something else than the interpreter. A bug of the engine, never the guest's doing. */
export class TierMismatch extends Error {
  override readonly name = 'TierMismatch';
  /** Linear address that the region was entered at. */
  readonly entry: bigint;
  readonly differences: readonly Difference[];

  constructor(report: MismatchReport) {
    super(describe(report));
    this.entry = report.entry;
    this.differences = report.differences;
  }
}

const address = (value: bigint): string => BigInt.asUintN(64, value).toString(16).padStart(16, '0');

function describe({ entry, home, region, code, instructions, differences }: MismatchReport): string {
  const width = Math.max(4, ...differences.map(({ what }) => what.length));
  return [
    `translated code at ${address(entry)} and the interpreter disagree after ${instructions} instructions; ` +
      'this is a bug in dom1: run the guest with --interpret meanwhile, and report what follows',
    `  ${''.padEnd(width)}  translated, interpreted`,
    ...differences
      .slice(0, SHOWN.differences)
      .flatMap(({ what, translated, interpreted }) => [
        `  ${what.padEnd(width)}  ${translated}`,
        `  ${''.padEnd(width)}  ${interpreted}`,
      ]),
    ...(differences.length > SHOWN.differences ? [`  and ${differences.length - SHOWN.differences} more`] : []),
    '  instructions of the region, by block:',
    ...disassemble(region, home, code).slice(0, SHOWN.instructions),
  ].join('\n');
}

/** A line an instruction: address, bytes, mnemonic. */
function disassemble({ blocks }: Region, origin: bigint, code: MismatchReport['code']): string[] {
  return blocks.flatMap(({ index, call, instructions }) => [
    `  block ${index}${call.depth > 0 ? `, call ${call.depth} deep` : ''}`,
    ...instructions.map(({ place, insn, handler, target }) => {
      const bytes: string[] = [];
      for (let at = place; at < place + insn.length; at++) {
        const byte = code(pageOfPlace(at))?.[offsetOfPlace(at)];
        bytes.push(byte === undefined ? '??' : byte.toString(16).padStart(2, '0'));
      }
      const to = target === undefined ? '' : ` ${address(origin + BigInt(target))}`;
      return `    ${address(origin + BigInt(place))}  ${bytes.join(' ').padEnd(30)}  ${handler.mnemonic}${to}`;
    }),
  ]);
}
