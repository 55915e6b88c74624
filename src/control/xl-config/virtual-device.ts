// Names of virtual disks and the numbers that guests know them by: xen-vbd-interface(7).

/**
 * The number of a device such as xvda1, hdc, sdb2 or d0p1; undefined when there is none of that name. Disks that do not fit
 * the old numbering of their kind get the extended one, if their kind has it.
 */
export function virtualDeviceNumber(name: string): number | undefined {
  const [, plain, plainPart = '0'] = /^d(\d{1,7})(?:p([1-9]\d{0,2}))?$/.exec(name) ?? [];
  if (plain !== undefined) return extended(Number(plain), Number(plainPart));
  const [, kind, letters, part = '0'] = /^(xvd|hd|sd)([a-z]{1,6})([1-9]\d{0,2})?$/.exec(name) ?? [];
  if (kind === undefined || letters === undefined) return undefined;
  const disk = diskIndex(letters);
  const partition = Number(part);
  const fits = disk <= 15 && partition <= 15;
  if (kind === 'xvd') return fits ? (202 << 8) | (disk << 4) | partition : extended(disk, partition);
  if (kind === 'sd') return fits ? (8 << 8) | (disk << 4) | partition : undefined;
  return disk <= 3 && partition <= 63 ? ((disk < 2 ? 3 : 22) << 8) | ((disk & 1) << 6) | partition : undefined;
}

/** a is 0, z is 25, aa is 26. */
function diskIndex(letters: string): number {
  let index = 0;
  for (const letter of letters) index = index * 26 + (letter.charCodeAt(0) - 96);
  return index - 1;
}

const extended = (disk: number, partition: number): number | undefined =>
  disk < 1 << 20 && partition <= 255 ? (1 << 28) | (disk << 8) | partition : undefined;
