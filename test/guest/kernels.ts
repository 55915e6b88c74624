// Debian's kernels and the demo's initramfs, from the cache or fetched; and the built library that runs them.
import { readFile } from 'node:fs/promises';
import { demoInitramfs } from '../../src/node/demo-initramfs.ts';
import { fetchBusybox, fetchKernel, type KernelFiles } from '../../src/node/guest-parts.ts';

/** The library as it is shipped: a vCPU's worker needs compiled files. */
export const dom1 = (await import(
  /* @vite-ignore */ new URL(`../../${process.env.DOM1_DIST ?? 'dist'}/index.js`, import.meta.url).href
)) as typeof import('../../src/index.ts');

export interface Guest extends KernelFiles {
  readonly initrd: Uint8Array;
}

/** The newest kernel whose package matches; a line on stderr and undefined where it cannot be had. */
export async function guest(pattern: string): Promise<Guest | undefined> {
  try {
    const kernel = await fetchKernel(pattern);
    return { ...kernel, initrd: demoInitramfs(await readFile(await fetchBusybox())) };
  } catch (error) {
    process.stderr.write(`skipping ${pattern}: ${error instanceof Error ? error.message : String(error)}\n`);
    return undefined;
  }
}

/** How often each kernel is booted. */
export const REPEAT = Math.max(1, Number(process.env.DOM1_REPEAT ?? 1));

/** Milliseconds a guest may take to its prompt on a slow, busy host. */
export const BOOT_TIME = 120_000;
