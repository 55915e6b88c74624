// Messages of 9P that are nearly right, for rings that carry them.
import type { Random } from '../native/random.ts';
import { wild } from './hostile-guest.ts';

/** Version and attach first; then walk, create, open, read, write, readdir, clunk, or something else. @param nth of its connection */
export function request9p(random: Random, nth: number): Uint8Array {
  const u16 = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff];
  const u32 = (value: number): number[] => [...u16(value & 0xffff), ...u16(value >>> 16)];
  const text = (value: string): number[] => [...u16(value.length), ...new TextEncoder().encode(value)];
  const fid = u32(nth < 2 ? 0 : random.below(3));
  const size = u32(random.oneIn(4) ? wild(random) : random.below(5000));
  const offset = [...u32(random.oneIn(6) ? wild(random) : random.below(100)), ...u32(random.oneIn(9) ? wild(random) : 0)];
  const bodies: (readonly [number, readonly number[]])[] = [
    [100, [...u32(random.pick([4096, 4096, 8192, 65536, 100])), ...text('9P2000.L')]],
    [104, [...fid, ...u32(0xffff_ffff), ...text('root'), ...text(''), ...u32(0)]],
    [110, [...fid, ...u32(random.below(3)), ...u16(1), ...text(random.pick(['file', 'none', '..', 'a/b']))]],
    [110, [...fid, ...u32(random.below(3)), ...u16(0)]],
    [14, [...fid, ...text('file'), ...u32(2), ...u32(0o644), ...u32(0)]],
    [12, [...fid, ...u32(random.pick([0, 1, 2, 0x8000]))]],
    [116, [...fid, ...offset, ...size]],
    [118, [...fid, ...offset, ...u32(40), ...Array.from({ length: 40 }, () => random.below(256))]],
    [40, [...fid, ...offset, ...size]],
    [120, fid],
    [108, u16(random.below(4))],
    [random.below(256), Array.from({ length: random.below(60) }, () => random.below(256))],
  ];
  const [type, body] = nth < 2 ? (bodies[nth] as (typeof bodies)[number]) : random.pick(bodies);
  const length = random.oneIn(60) ? wild(random) : 7 + body.length;
  return Uint8Array.from([...u32(length), type, ...u16(type === 100 ? 0xffff : random.below(8)), ...body]);
}
