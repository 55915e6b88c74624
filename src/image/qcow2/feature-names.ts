// The feature name table: so that whoever does not know a feature can at least call it by its name.

interface Feature {
  /** 0: incompatible, 1: compatible, 2: cleared by writers that do not know it. */
  readonly kind: 0 | 1 | 2;
  readonly bit: number;
  readonly name: string;
}

const ENTRY = 48;
const FEATURES: readonly Feature[] = [
  { kind: 0, bit: 0, name: 'dirty bit' },
  { kind: 0, bit: 1, name: 'corrupt bit' },
  { kind: 0, bit: 2, name: 'external data file' },
  { kind: 0, bit: 3, name: 'compression type' },
  { kind: 0, bit: 4, name: 'extended L2 entries' },
  { kind: 1, bit: 0, name: 'lazy refcounts' },
  { kind: 2, bit: 0, name: 'bitmaps' },
  { kind: 2, bit: 1, name: 'raw external data' },
];

/** The table of all features that the format has. */
export function featureNameTable(): Uint8Array {
  const bytes = new Uint8Array(ENTRY * FEATURES.length);
  FEATURES.forEach(({ kind, bit, name }, i) => {
    bytes[i * ENTRY] = kind;
    bytes[i * ENTRY + 1] = bit;
    bytes.set(new TextEncoder().encode(name), i * ENTRY + 2);
  });
  return bytes;
}

/** Names of the incompatible features in two words, after the image's own table. */
export function unknownFeatureNames(table: Uint8Array | undefined, low: number, high: number): string {
  const names: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if ((((bit < 32 ? low : high) >>> (bit & 31)) & 1) !== 0) names.push(nameIn(table, bit) ?? `bit ${bit}`);
  }
  return names.join(', ');
}

function nameIn(table: Uint8Array | undefined, bit: number): string | undefined {
  if (table === undefined) return undefined;
  for (let at = 0; at + ENTRY <= table.length; at += ENTRY) {
    if (table[at] !== 0 || table[at + 1] !== bit) continue;
    const field = table.subarray(at + 2, at + ENTRY);
    const end = field.indexOf(0);
    const name = new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
    // It goes to a terminal.
    return name.replace(/[^\x20-\x7e]/g, '?');
  }
  return undefined;
}
