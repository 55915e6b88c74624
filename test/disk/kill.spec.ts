// A process that writes to an image is killed at any moment. What it flushed is there, and the image is sound: at worst some clusters
// are counted that nobody uses.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkImage } from '../../src/image/qcow2/check-image.ts';
import { createImage, type NewImage } from '../../src/image/qcow2/create-image.ts';
import { DiskFile } from '../../src/node/disk-file.ts';
import { hasQemuImg, qemuCheck } from '../../src/node/fixtures/qemu-img.ts';
import { openDisk } from '../../src/node/open-disk.ts';
import { workOf } from './kill-work.js';

const WRITER = fileURLToPath(new URL('./kill-writer-main.js', import.meta.url));
const SECTORS = 12_000;
const ROUNDS = 6;
const STEPS = 6000;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dom1-kill-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Lets the writer work, kills it, and answers up to which step it had flushed. */
function workAndKill(path: string, seed: number, first: number, afterMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [WRITER, path, `${SECTORS}`, `${seed}`, `${first}`]);
    let output = '';
    let errors = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output === '') setTimeout(() => child.kill('SIGKILL'), afterMs);
      output += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text;
    });
    child.on('close', (_, signal) => {
      if (signal !== 'SIGKILL') return reject(new Error(`the writer ended by itself: ${errors}`));
      const flushed = [...output.matchAll(/flushed (\d+)\n/g)].at(-1);
      resolve(flushed === undefined ? -1 : Number(flushed[1]));
    });
  });
}

describe('an image whose writer is killed', () => {
  it.each<readonly [string, Partial<NewImage>]>([
    ['clusters of 64 KiB', {}],
    ['clusters of 4 KiB', { clusterSize: 4096 }],
    ['clusters of 512 bytes and counts of 64 bits', { clusterSize: 512, refcountBits: 64 }],
    ['version 2', { version: 2, clusterSize: 4096 }],
  ])(
    'has all that was flushed: %s',
    async (_, options) => {
      const path = join(directory, 'image');
      const file = await DiskFile.open(path, { create: true });
      await createImage(file, { size: SECTORS * 512, ...options });
      await file.close();
      /** What each sector may hold. */
      let allowed = Array.from({ length: SECTORS }, () => new Set([0]));
      let steps = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const seed = round * 7919 + 13;
        const flushed = await workAndKill(path, seed, steps + 1, 20 + ((round * 97) % 260));
        workOf(seed, SECTORS, STEPS).forEach((step, i) => {
          for (let sector = step.at; sector < step.at + step.length; sector++) {
            const values = allowed[sector] as Set<number>;
            const value = step.do === 'write' ? steps + 1 + i : 0;
            if (step.do === 'flush') continue;
            // What came after the last flush may have happened or not.
            if (i <= flushed && step.do !== 'discard') values.clear();
            values.add(value);
          }
        });
        const check = await DiskFile.open(path, { readOnly: true });
        expect(await checkImage(check)).toMatchObject({ errors: 0 });
        await check.close();
        if (hasQemuImg) expect(qemuCheck(path).corruptions ?? 0).toBe(0);

        const disk = await openDisk({ path, readOnly: true });
        const words = new Uint32Array((SECTORS * 512) / 4);
        await disk.store.read(0, new Uint8Array(words.buffer));
        await disk.close();
        allowed = allowed.map((values, sector) => {
          const value = words[sector * 128] as number;
          expect(values.has(value), `sector ${sector} holds ${value}, round ${round}, flushed ${flushed}`).toBe(true);
          return new Set([value]);
        });
        steps += STEPS;
      }
    },
    120_000,
  );
});
