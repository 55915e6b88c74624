import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { qcow2Case, runQcow2Case } from './qcow2.ts';
import { runChainCase } from './qcow2-chains.ts';
import { ownImages } from './qcow2-images.ts';

it('no image makes us fail otherwise than by a typed error, hang, or lose what it holds', async () => {
  const samples = await ownImages();
  const totals = { opened: 0, clean: 0 };
  for (let seed = 1; seed <= 120; seed++) {
    const result = await runQcow2Case(qcow2Case(seed, samples));
    expect(result.problem, `FUZZ_SEED=${seed} FUZZ_ROUNDS=1 FUZZ_QEMU=0`).toBe(undefined);
    if (result.opened) totals.opened++;
    if (result.clean) totals.clean++;
  }
  // It is no use when none opens, or all are sound.
  expect(totals.opened).toBeGreaterThan(40);
  expect(totals.clean).toBeGreaterThan(15);
  expect(totals.clean).toBeLessThan(90);
}, 60_000);

it('no chain of backing files makes us fail otherwise, leave files open, or write to any but the first', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dom1-chains-'));
  try {
    let opened = 0;
    for (let seed = 1; seed <= 80; seed++) {
      const result = await runChainCase(seed, folder);
      expect(result.problem, `seed ${seed}`).toBe(undefined);
      if (result.opened) opened++;
    }
    expect(opened).toBeGreaterThan(8);
    expect(opened).toBeLessThan(72);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
