import fc from 'fast-check';
import { expect, it } from 'vitest';
import { instructionSet } from '../instruction-set.ts';
import { RegionReader } from './region.ts';

const { decoder, variants } = instructionSet();

/** The region at the start of a page that begins with these bytes, all of which was run. */
function read(code: ArrayLike<number>) {
  const page = new Uint8Array(4096).fill(0xf4);
  page.set(Uint8Array.from(code));
  const source = { page: (number: number) => (number === 0 ? page : undefined), known: () => true, targets: () => [] };
  return new RegionReader(source, decoder, variants).read(0);
}

it('goes no further than its entries can say: a jump to a library at the other end of the address space leads out', () => {
  // jmp rax; there: inc eax, ret.
  const [here, there] = [
    [0xff, 0xe0],
    [0xff, 0xc0, 0xc3],
  ].map((bytes) => {
    const page = new Uint8Array(4096).fill(0xf4);
    page.set(bytes);
    return page;
  });
  const pagesOf = (far: number) => {
    const source = {
      page: (number: number) => (number === 0 ? here : number === far ? there : undefined),
      known: () => true,
      targets: (place: number) => (place === 0 ? [far * 4096] : []),
    };
    return new RegionReader(source, decoder, variants).read(0)?.pages;
  };
  for (const far of [3, -0x7_0000, 0x7_ffff]) expect(pagesOf(far)).toEqual([0, far]);
  for (const far of [0x8_0000, -0x8_0001, 2 ** 31, -(2 ** 34)]) expect(pagesOf(far)).toEqual([0]);
});

it('follows jumps to addresses only as far as V8 can take: from everywhere to everywhere it would need hundreds of MiB', () => {
  // jmp rax, 100 times; each went to eight others.
  const page = new Uint8Array(4096).fill(0xf4);
  for (let place = 0; place < 200; place += 2) page.set([0xff, 0xe0], place);
  const targets = (place: number) => Array.from({ length: 8 }, (_, i) => (place + 2 + 22 * i) % 200);
  const source = { page: (number: number) => (number === 0 ? page : undefined), known: () => true, targets };
  const blocks = new RegionReader(source, decoder, variants).read(0)?.blocks ?? [];
  const edges = blocks.reduce((sum, block) => sum + block.targets.length, 0);
  expect(edges).toBeGreaterThan(64);
  expect(edges).toBeLessThanOrEqual(96);
});

/** Branches between prefixes and short instructions: the same bytes are read from many places. */
const code = fc
  .array(
    fc.oneof(
      fc.constantFrom(0x66, 0x48, 0xf2, 0x90, 0xc3, 0xe8, 0x00, 0x01),
      fc.tuple(fc.constantFrom(0x74, 0xeb, 0x75), fc.nat(200)),
    ),
    {
      minLength: 20,
      maxLength: 300,
    },
  )
  .map((parts) => parts.flat());

it('has each instruction in one block only, and no more of them than it may', () => {
  fc.assert(
    fc.property(code, (bytes) => {
      const blocks = read(bytes)?.blocks ?? [];
      const places = blocks.flatMap(({ call, instructions }) => instructions.map(({ place }) => `${call.id}:${place}`));
      expect(new Set(places).size).toBe(places.length);
      expect(places.length).toBeLessThanOrEqual(400);
    }),
    { numRuns: 300 },
  );
});

it('shares the tail that overlapping instructions run into', () => {
  // je +1 … into a run of prefixes, each a place of its own, before one long tail.
  const jumps = Array.from({ length: 12 }, (_, i) => [0x74, 24 - 2 * (i + 1) + i]).flat();
  const tail = Array.from({ length: 60 }, () => [0x48, 0x01, 0xd8]).flat();
  const blocks = read([...jumps, ...new Array<number>(12).fill(0x66), ...tail, 0xc3])?.blocks ?? [];
  expect(blocks.length).toBeGreaterThan(12);
  expect(blocks.reduce((sum, { instructions }) => sum + instructions.length, 0)).toBeLessThan(150);
});
