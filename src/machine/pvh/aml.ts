// The few words of ACPI Machine Language that our tables need. Section numbers: ACPI specification 5.0.

const OP = {
  zero: 0x00,
  one: 0x01,
  name: 0x08,
  byte: 0x0a,
  word: 0x0b,
  dword: 0x0c,
  string: 0x0d,
  scope: 0x10,
  buffer: 0x11,
  package: 0x12,
  method: 0x14,
  extended: 0x5b,
  argument0: 0x68,
  store: 0x70,
  device: 0x82,
  if: 0xa0,
  return: 0xa4,
} as const;

export type Aml = readonly number[];

const ascii = (text: string): Aml => Array.from(text, (c) => c.charCodeAt(0));

/** PkgLength, 20.2.4: counts itself and what follows it. */
function withLength(body: Aml): Aml {
  const short = body.length + 1;
  if (short < 0x40) return [short, ...body];
  const medium = body.length + 2;
  if (medium < 0x1000) return [0x40 | (medium & 0xf), medium >> 4, ...body];
  const long = body.length + 3;
  if (long >= 0x10_0000) throw new RangeError(`an AML package of ${long} bytes`);
  return [0x80 | (long & 0xf), (long >> 4) & 0xff, long >> 12, ...body];
}

/** NameSeg, 20.2.2: four characters, filled up with underscores. */
function segment(name: string): Aml {
  if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(name)) throw new RangeError(`'${name}' is no ACPI name`);
  return ascii(name.padEnd(4, '_'));
}

/** An integer 0..2^32-1 in its shortest form, 20.2.3. */
export const constant = (value: number): Aml => {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) throw new RangeError(`${value} has no 32 bits`);
  if (value <= 1) return [value === 0 ? OP.zero : OP.one];
  if (value <= 0xff) return [OP.byte, value];
  const bytes = [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
  return value <= 0xffff ? [OP.word, ...bytes.slice(0, 2)] : [OP.dword, ...bytes];
};

/** Package () { … }, 255 elements at most, 20.2.5.4. */
export const packageOf = (...elements: Aml[]): Aml => {
  if (elements.length > 0xff) throw new RangeError(`a package of ${elements.length} elements`);
  return [OP.package, ...withLength([elements.length, ...elements.flat()])];
};

/** Buffer () { … }, 20.2.5.4. */
export const buffer = (bytes: Aml): Aml => [OP.buffer, ...withLength([...constant(bytes.length), ...bytes])];

/** EISAID ("PNP0A03"), 19.5.36: three letters of 5 bits, four hexadecimal digits, most significant byte first. */
export const eisaId = (id: string): Aml => {
  const [a, b, c] = Array.from(id.slice(0, 3), (letter) => letter.charCodeAt(0) - 0x40) as [number, number, number];
  const digits = Number.parseInt(id.slice(3), 16);
  return [OP.dword, (a << 2) | (b >> 3), ((b & 7) << 5) | c, digits >> 8, digits & 0xff];
};

/** Scope (NAME) { … }, which at the top of a table is a name under the root. */
export const scope = (name: string, ...terms: Aml[]): Aml => [OP.scope, ...withLength([...segment(name), ...terms.flat()])];

/** Method (NAME, count) { … }, 20.2.5.2. */
export const method = (name: string, argumentCount: number, ...terms: Aml[]): Aml => [
  OP.method,
  ...withLength([...segment(name), argumentCount, ...terms.flat()]),
];

/** Store (Arg0, NAME), in a method. */
export const storeArgument = (name: string): Aml => [OP.store, OP.argument0, ...segment(name)];

/** If (NAME) { Return (WHEN) } Return (OTHERWISE), in a method: objects by their names. */
export const returnEither = (name: string, when: string, otherwise: string): Aml => [
  OP.if,
  ...withLength([...segment(name), OP.return, ...segment(when)]),
  OP.return,
  ...segment(otherwise),
];

/** Device (NAME) { … } */
export const device = (name: string, ...terms: Aml[]): Aml => [
  OP.extended,
  OP.device,
  ...withLength([...segment(name), ...terms.flat()]),
];

/** Name (NAME, value): a string of ASCII, an integer, or an object. */
export const name = (key: string, value: string | number | Aml): Aml => [
  OP.name,
  ...segment(key),
  ...(typeof value === 'string' ? [OP.string, ...ascii(value), 0] : typeof value === 'number' ? constant(value) : value),
];
