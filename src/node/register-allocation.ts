// A choice of V8's that costs the interpreter a quarter of its speed, undone.
import { setFlagsFromString } from 'node:v8';

/** The first V8 that always allocates registers well; Node 22 has 12.4. */
const FIRST_GOOD_MAJOR = 12;

/**
 * Older V8s compile functions as large as the interpreter's loop with a quicker register allocator, which keeps the loop's
 * variables on the stack. Call it before an engine is made; it holds for the whole process.
 */
export function allocateRegistersWell(): void {
  if (Number.parseInt(process.versions.v8, 10) < FIRST_GOOD_MAJOR)
    setFlagsFromString('--no-turbo-use-mid-tier-regalloc-for-huge-functions');
}
