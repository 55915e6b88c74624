import { describe, expect, it } from 'vitest';
import { buildElf, pvhNote } from '../../image/fixtures/build-elf.ts';
import { loadKernel } from '../../image/kernel.ts';
import { ArenaPlanner, allocateArena } from '../../memory/arena.ts';
import { GuestMemory, P2M_BYTES } from '../../memory/guest-memory.ts';
import { PvhImage } from './pvh-image.ts';

const MIB = 1 << 20;

describe("a PVH domain's image", () => {
  it('keeps no unpacked kernel while the guest runs: each load takes one that was unpacked for it', async () => {
    let unpacked = 0;
    const elf = buildElf({ segments: [{ paddr: MIB, data: Uint8Array.of(1, 2, 3, 4) }], notes: [pvhNote(MIB, 4)] });
    const image = await PvhImage.plan({ commandLine: '', ramBytes: 8 * MIB, vcpus: 1 }, () => {
      unpacked++;
      return loadKernel(elf);
    });
    const planner = new ArenaPlanner();
    const p2m = planner.reserve(P2M_BYTES);
    const ram = planner.reserve(image.backingBytes);
    const memory = new GuestMemory(allocateArena(planner.size).buffer as unknown as SharedArrayBuffer, p2m.at);
    image.map(memory, ram);

    image.load(memory);
    expect(unpacked).toBe(1);
    expect(() => image.load(memory)).toThrow('prepare()');

    memory.u8.fill(0, ram.at, ram.at + ram.size);
    await image.prepare();
    await image.prepare();
    expect(image.load(memory)).toMatchObject({ entry: MIB });
    expect(unpacked).toBe(2);
    expect([...memory.u8.subarray(ram.at + MIB, ram.at + MIB + 4)]).toEqual([1, 2, 3, 4]);
  });
});
