// Disk names and the numbers that stand for them in XenStore: docs/man/xen-vbd-interface.7 and libxl__device_disk_dev_number.

/** Numbers of 32 bits say that they are of the extended form. */
const EXTENDED = 1 << 28;
const MAX_DISK = 1 << 20;

interface Family {
  readonly prefix: string;
  readonly disks: number;
  readonly partitions: number;
  number(disk: number, partition: number): number;
}

const XVD: Family = {
  prefix: 'xvd',
  disks: MAX_DISK,
  partitions: 256,
  number: (disk, partition) =>
    disk < 16 && partition < 16 ? (202 << 8) | (disk << 4) | partition : EXTENDED | (disk << 8) | partition,
};
const FAMILIES: readonly Family[] = [
  XVD,
  { prefix: 'sd', disks: 16, partitions: 16, number: (disk, partition) => (8 << 8) | (disk << 4) | partition },
  {
    prefix: 'hd',
    disks: 4,
    partitions: 64,
    number: (disk, partition) => ((disk < 2 ? 3 : 22) << 8) | ((disk & 1) << 6) | partition,
  },
];

/** The number of `xvda`, `xvdaa1`, `sdb`, `hdc`, `d0`, `d3p2`, or of a number as text; undefined when it names no disk. */
export function vdevNumber(name: string): number | undefined {
  const plain = /^(?:\d+|0x[0-9a-f]+)$/.exec(name);
  if (plain !== null) return Number(name) <= 0x1fff_ffff ? Number(name) : undefined;
  const short = /^d(\d{1,7})(?:p(\d{1,3}))?$/.exec(name);
  if (short !== null) return placed(XVD, Number(short[1]), Number(short[2] ?? 0));
  const long = /^(xvd|sd|hd)([a-z]{1,5})([1-9]\d{0,2})?$/.exec(name);
  const family = FAMILIES.find(({ prefix }) => prefix === long?.[1]);
  if (long === null || family === undefined) return undefined;
  return placed(family, diskOfLetters(long[2] as string), Number(long[3] ?? 0));
}

/** What a guest calls the disk of that number, as Linux does; undefined for a number that stands for none. */
export function vdevName(number: number): string | undefined {
  if (number >= EXTENDED)
    return number < EXTENDED * 2 ? written('xvd', (number & (EXTENDED - 1)) >>> 8, number & 255) : undefined;
  const minor = number & 255;
  switch (number >>> 8) {
    case 202:
      return written('xvd', minor >>> 4, minor & 15);
    case 8:
      return written('sd', minor >>> 4, minor & 15);
    case 3:
      return minor < 128 ? written('hd', minor >>> 6, minor & 63) : undefined;
    case 22:
      return minor < 128 ? written('hd', 2 + (minor >>> 6), minor & 63) : undefined;
    default:
      return undefined;
  }
}

const placed = (family: Family, disk: number, partition: number): number | undefined =>
  disk < family.disks && partition < family.partitions ? family.number(disk, partition) : undefined;

const written = (prefix: string, disk: number, partition: number): string =>
  `${prefix}${lettersOfDisk(disk)}${partition === 0 ? '' : partition}`;

/** a, b, … z, aa, ab, … */
function diskOfLetters(letters: string): number {
  let disk = 0;
  for (const letter of letters) disk = disk * 26 + letter.charCodeAt(0) - 96;
  return disk - 1;
}

function lettersOfDisk(disk: number): string {
  let letters = '';
  for (let rest = disk + 1; rest > 0; rest = Math.floor((rest - 1) / 26))
    letters = String.fromCharCode(97 + ((rest - 1) % 26)) + letters;
  return letters;
}
