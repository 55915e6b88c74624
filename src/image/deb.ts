// Debian binary packages: deb(5). An ar archive whose member data.tar.* holds the files.
import { readAr } from './ar.ts';
import type { Chunks } from './byte-stream.ts';
import { unpack } from './decompress.ts';
import { ImageError } from './image-error.ts';
import { readTar, type TarEntry, type TarHeader } from './tar.ts';

/**
 * The files of a package, as they come. Leaving the loop early spares unpacking the rest.
 * @param want entries it refuses are skipped without being held in memory
 * @throws ImageError 'not-an-archive', 'truncated', 'corrupt', 'unsupported-compression'
 */
export async function* readDeb(
  bytes: Uint8Array,
  want: (header: TarHeader) => boolean = () => true,
  what = 'the package',
): AsyncGenerator<TarEntry> {
  const members = readAr(bytes, what);
  if (members[0]?.name !== 'debian-binary')
    throw new ImageError('not-an-archive', `${what} is not a Debian package`, 'give a .deb file');
  const data = members.find(({ name }) => name === 'data.tar' || name.startsWith('data.tar.'));
  if (data === undefined) throw new ImageError('not-an-archive', `${what} has no data.tar`, 'give a .deb file of format 2.0');
  const files: Chunks = data.name === 'data.tar' ? [data.data] : unpack(data.data, `${what}'s ${data.name}`);
  yield* readTar(files, { want, what: `${what}'s ${data.name}` });
}
