import { expect, it } from 'vitest';
import { Random } from '../native/random.ts';
import { PacketFuzz } from './packets.ts';

it('a network in user mode stands nonsense from both sides', async () => {
  let [framesIn, framesOut] = [0, 0];
  for (let seed = 1; seed <= 12; seed++) {
    const fuzz = await PacketFuzz.create(new Random(seed));
    await fuzz.run(600).catch((error: unknown) => {
      throw new Error(`FUZZ_SEED=${seed} FUZZ_ROUNDS=1 FUZZ_STEPS=600`, { cause: error });
    });
    framesIn += fuzz.framesIn;
    framesOut += fuzz.framesOut;
  }
  // It is no use when the network has nothing to say to it.
  expect(framesIn).toBeGreaterThan(3000);
  expect(framesOut).toBeGreaterThan(500);
});
