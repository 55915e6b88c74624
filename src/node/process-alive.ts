// Whether a process that a record names is still the one that wrote it.
import { readFile } from 'node:fs/promises';

/** When a process was started, in ticks since the host's boot; undefined where the system does not tell. */
export async function processStart(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined;
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // proc(5): field 22; the second field is in parentheses and may hold anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

/** @param start what `processStart` said when the record was written */
export async function processAlive(pid: number, start: string | undefined): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it is there, and somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return start === undefined || (await processStart(pid)) === start;
}
