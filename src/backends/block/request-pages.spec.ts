import { describe, expect, it } from 'vitest';
import { GNTST, GTF } from '../../abi/xen/grant-table.ts';
import { P2M } from '../../memory/guest-memory.ts';
import { BackendGuest } from '../fixtures/backend-guest.ts';
import type { BlockRequest } from './block-request.ts';
import { PagePool, type RequestPages } from './request-pages.ts';

function setup(persistent: boolean, most?: number) {
  const guest = new BackendGuest();
  const pool = new PagePool(guest.backend, guest.memory, persistent, most);
  // Frames in the order of memory.
  const gfns = Array.from({ length: 6 }, () => guest.allocPage()).reverse();
  const refs = gfns.map((gfn) => guest.share(gfn));
  const request = (segments: readonly (readonly [page: number, first: number, last: number])[]): BlockRequest => ({
    idLow: 0,
    idHigh: 0,
    operation: 0,
    status: 0,
    offset: 0,
    length: 0,
    refs: segments.map(([page]) => refs[page] ?? page),
    spans: segments.map(([, first, last]) => first | (last << 8)),
  });
  const used = () => refs.map((ref) => guest.inUse(ref) !== 0);
  return { guest, pool, gfns, refs, request, used };
}

const pagesOf = (result: RequestPages | number): RequestPages => {
  if (typeof result === 'number') throw new Error(`not mapped: ${result}`);
  return result;
};

describe.each([false, true])('persistent: %s', (persistent) => {
  it('gives neighbours as one piece, and others apart', () => {
    const { guest, pool, gfns, request } = setup(persistent);
    const { pieces } = pagesOf(
      pool.map(
        request([
          [0, 2, 7],
          [1, 0, 7],
          [2, 0, 3],
          [2, 5, 5],
          [5, 0, 0],
          [4, 0, 0],
          [4, 1, 1],
        ]),
        false,
      ),
    );
    const at = (page: number, sector: number) => guest.page(gfns[page] as number).byteOffset + sector * 512;
    expect(pieces.map(({ byteOffset, length }) => [byteOffset, length / 512])).toEqual([
      [at(0, 2), 18],
      [at(2, 5), 1],
      [at(5, 0), 1],
      [at(4, 0), 2],
    ]);
  });

  it('maps nothing when one page is not granted', () => {
    const { pool, request, used } = setup(persistent, 0);
    expect(pool.map(request([[0, 0, 7], [1, 0, 7], [7, 0, 7]]), false)).toBe(GNTST.general_error); // biome-ignore format: one request
    expect(used()).toEqual(Array(6).fill(false));
  });

  it('says what was written, for code in these pages, and only that', () => {
    const { guest, pool, gfns, request } = setup(persistent);
    const told: number[] = [];
    guest.memory.flag(gfns[0] as never, P2M.code, 0);
    guest.memory.onChange((gfn) => told.push(gfn));
    pagesOf(pool.map(request([[0, 0, 7]]), true)).release();
    expect(told).toEqual([]);
    pagesOf(pool.map(request([[0, 0, 7]]), false)).release();
    expect(told).toEqual([gfns[0]]);
  });
});

it('keeps as many pages as it may, and gives the others back with each request', () => {
  const { pool, request, used } = setup(true, 2);
  const all = request([0, 1, 2, 3].map((page) => [page, 0, 7] as const));
  for (let i = 0; i < 3; i++) {
    const pages = pagesOf(pool.map(all, false));
    expect(used()).toEqual([true, true, true, true, false, false]);
    pages.release();
    expect(used()).toEqual([true, true, false, false, false, false]);
  }
  expect(pool.kept).toBe(2);
  pool.close();
  expect([...used(), pool.kept]).toEqual([...Array(6).fill(false), 0]);
});

it('reads from a page that is granted for reading only, unless it is kept', () => {
  for (const persistent of [false, true]) {
    const { guest, pool, gfns, refs, request } = setup(persistent);
    guest.grant(refs[0] as number, { frame: gfns[0] as number, flags: GTF.permit_access | GTF.readonly });
    expect(typeof pool.map(request([[0, 0, 7]]), true)).toBe(persistent ? 'number' : 'object');
  }
});
