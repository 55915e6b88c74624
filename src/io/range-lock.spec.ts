import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RangeLock } from './range-lock.ts';

describe('a range lock', () => {
  it('never lets two in that must not meet, and lets everybody in at last', async () => {
    const range = fc.tuple(fc.nat(20), fc.nat(6), fc.boolean(), fc.nat(3));
    await fc.assert(
      fc.asyncProperty(fc.array(range, { maxLength: 30 }), async (wanted) => {
        const lock = new RangeLock();
        const inside: { readonly first: number; readonly last: number; readonly exclusive: boolean }[] = [];
        let done = 0;
        await Promise.all(
          wanted.map(async ([first, length, exclusive, turns]) => {
            const hold = await lock.acquire(first, first + length, exclusive);
            for (const other of inside) {
              const meet = other.first <= hold.last && hold.first <= other.last;
              expect(meet && (other.exclusive || exclusive)).toBe(false);
            }
            inside.push(hold);
            for (let i = 0; i < turns; i++) await Promise.resolve();
            inside.splice(inside.indexOf(hold), 1);
            lock.release(hold);
            done++;
          }),
        );
        expect(done).toBe(wanted.length);
        expect(lock.tryAcquire(0, 100, true)).toBeDefined();
      }),
    );
  });

  it('does not let newcomers overtake one who waits', async () => {
    const lock = new RangeLock();
    const reader = await lock.acquire(0, 9, false);
    const writer = lock.acquire(5, 5, true);
    expect(lock.tryAcquire(5, 6, false)).toBeUndefined();
    expect(lock.tryAcquire(6, 9, false)).toBeDefined();
    lock.release(reader);
    await writer;
  });
});
