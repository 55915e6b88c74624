// The directory in which running domains are found: sockets and records that only their owner may touch.
import { lstat, mkdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { ControlConnectionError, nodeErrorCode } from './control-error.ts';

/** Longest path of a Unix socket in bytes, without its NUL: sun_path has 108 bytes on Linux, 104 on the BSDs and macOS. */
export const MAX_SOCKET_PATH = process.platform === 'linux' ? 107 : 103;
/** What follows the directory: a slash, an id of five digits, and ".sock". */
const NAME_BYTES = 11;

/** $XDG_RUNTIME_DIR/dom1 if there is such a directory, else dom1-<uid> in the directory for temporary files. */
export async function defaultRuntimeDirectory(environment: NodeJS.ProcessEnv = process.env): Promise<string> {
  const base = environment['XDG_RUNTIME_DIR'];
  // The XDG specification ignores relative paths.
  if (base !== undefined && isAbsolute(base) && (await isDirectory(base))) return join(base, 'dom1');
  return join(tmpdir(), `dom1-${process.getuid?.() ?? 'user'}`);
}

const isDirectory = async (path: string): Promise<boolean> => {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
};

/** @throws ControlConnectionError 'unsupported' */
export function requireUnixSockets(platform: NodeJS.Platform = process.platform): void {
  if (platform !== 'win32') return;
  throw new ControlConnectionError(
    'unsupported',
    'a running domain is controlled through a Unix socket, which dom1 does not have on Windows',
    'run dom1 on Linux, on macOS or in WSL',
  );
}

/**
 * Makes the directory if it is not there, and checks that it is ours alone: what lies in a directory that others can write
 * to may be theirs.
 * @throws ControlConnectionError
 */
export async function openRuntimeDirectory(path: string): Promise<void> {
  if (Buffer.byteLength(path) + NAME_BYTES > MAX_SOCKET_PATH) {
    const limit = MAX_SOCKET_PATH - NAME_BYTES;
    throw new ControlConnectionError(
      'path-too-long',
      `${path}: the path is too long for sockets in it (${limit} bytes at most)`,
      'set XDG_RUNTIME_DIR to a directory with a shorter path',
    );
  }
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (cause) {
    if (nodeErrorCode(cause) !== 'EEXIST')
      throw unusable(path, `cannot be made (${nodeErrorCode(cause) ?? String(cause)})`, cause);
  }
  await checkRuntimeDirectory(path);
}

/** Whether the directory is there. @throws ControlConnectionError when it is, and is not ours alone */
export async function checkRuntimeDirectory(path: string): Promise<boolean> {
  let status: Awaited<ReturnType<typeof lstat>>;
  try {
    status = await lstat(path);
  } catch (cause) {
    if (nodeErrorCode(cause) === 'ENOENT' || nodeErrorCode(cause) === 'ENOTDIR') return false;
    throw unusable(path, `cannot be looked at (${nodeErrorCode(cause) ?? String(cause)})`, cause);
  }
  if (!status.isDirectory()) throw unusable(path, 'is no directory');
  if (process.getuid !== undefined && status.uid !== process.getuid())
    throw unusable(path, `belongs to another user (uid ${status.uid})`);
  if ((status.mode & 0o077) !== 0) {
    throw new ControlConnectionError('permission', `${path}: other users may enter the directory`, `run \`chmod 700 ${path}\``);
  }
  return true;
}

const unusable = (path: string, problem: string, cause?: unknown): ControlConnectionError =>
  new ControlConnectionError(
    'permission',
    `${path}: the runtime directory ${problem}`,
    'set XDG_RUNTIME_DIR to a directory of your own',
    {
      cause,
    },
  );
