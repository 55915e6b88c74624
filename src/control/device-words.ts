// Specifications of devices as words of a command line: the arguments of block-attach and network-attach.
import type { ConfigPosition } from './xl-config/config-error.ts';
import { type DiskSpec, parseDiskSpec } from './xl-config/disk-spec.ts';
import type { PlacedString } from './xl-config/setting-reader.ts';
import { parseVifSpec, type VifSpec } from './xl-config/vif-spec.ts';

/** In errors the line is the number of the word. There is no quote before it, which is what column 1 would be. */
const placed = (text: string, index: number): PlacedString => ({
  text,
  position: { file: 'command line', line: index + 1, column: 0 },
});

/** @throws XlConfigError */
export function diskOfWords(words: readonly string[]): DiskSpec {
  const [first = placed('', 0), ...more] = words.map(placed);
  return atColumn1(parseDiskSpec(first, more));
}

/** @param devid its number unless the words say another @throws XlConfigError */
export function vifOfWords(words: readonly string[], devid: number): VifSpec {
  return atColumn1(parseVifSpec(placed(words.join(','), 0), devid));
}

/** The whole word, for what is found out about it later. */
const atColumn1 = <T extends { readonly position: ConfigPosition }>(spec: T): T => ({
  ...spec,
  position: { ...spec.position, column: 1 },
});
