// The few words of ACPI Machine Language that our tables need. Section numbers: ACPI specification 5.0.

const OP = { zero: 0x00, one: 0x01, name: 0x08, byte: 0x0a, string: 0x0d, scope: 0x10, extended: 0x5b, device: 0x82 } as const;

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

const integer = (value: number): Aml => {
  if (value < 0 || value > 0xff) throw new RangeError(`${value} is no byte`);
  return value === 0 ? [OP.zero] : value === 1 ? [OP.one] : [OP.byte, value];
};

/** Scope (NAME) { … }, which at the top of a table is a name under the root. */
export const scope = (name: string, ...terms: Aml[]): Aml => [OP.scope, ...withLength([...segment(name), ...terms.flat()])];

/** Device (NAME) { … } */
export const device = (name: string, ...terms: Aml[]): Aml => [
  OP.extended,
  OP.device,
  ...withLength([...segment(name), ...terms.flat()]),
];

/** Name (NAME, value): a string of ASCII, or an integer 0..255. */
export const name = (key: string, value: string | number): Aml => [
  OP.name,
  ...segment(key),
  ...(typeof value === 'string' ? [OP.string, ...ascii(value), 0] : integer(value)),
];
