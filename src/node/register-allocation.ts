// Choices of V8's that cost generated code a quarter of its speed, undone.
import { setFlagsFromString } from 'node:v8';

/** The first V8 that always allocates registers well; Node 22 has 12.4. */
const FIRST_GOOD_MAJOR = 12;
/** The first V8 that follows branch hints by itself. */
const FIRST_HINTED = 13.7;

/**
 * Older V8s compile functions as large as the interpreter's loop with a quicker register allocator, which keeps the loop's
 * variables on the stack. And they do not look at branch hints: then the calls behind a TLB miss, which hardly ever come, make them
 * keep a hot loop's variables on the stack too. Call it before an engine is made; it holds for the whole process.
 */
export function allocateRegistersWell(): void {
  const version = Number.parseFloat(process.versions.v8);
  if (version < FIRST_GOOD_MAJOR) setFlagsFromString('--no-turbo-use-mid-tier-regalloc-for-huge-functions');
  if (version < FIRST_HINTED) setFlagsFromString('--experimental-wasm-branch-hinting');
}
