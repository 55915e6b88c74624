// Who may do what with a node. The first entry names the owner, and what everybody not listed may do; an entry after it
// is for one domain. public/io/xs_wire.h calls the letters n, r, w, b; tools/include/xenstore_lib.h the bits.

export const PERM = { none: 0, read: 1, write: 2, owner: 4 } as const;

export interface Permission {
  readonly domid: number;
  /** PERM.read and PERM.write bits. */
  readonly access: number;
  /** The domain did not exist when the node was written: its entry means nothing, also to a later domain of that number. */
  readonly stale?: true;
}

const LETTERS = ['n', 'r', 'w', 'b'] as const;
/** strtol with base 0. */
const NUMBER = /^[ \t-\r]*([-+]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$/;

export const formatPermission = (entry: Permission): string => `${LETTERS[entry.access & 3]}${entry.domid}`;

/** An entry from its text, such as `r7`; undefined when it is not one. */
export function parsePermission(text: string): Permission | undefined {
  const access = LETTERS.indexOf(text[0] as 'n');
  const [, sign, digits] = NUMBER.exec(text.slice(1)) ?? [];
  if (access < 0 || digits === undefined) return undefined;
  const octal = digits.length > 1 && digits[0] === '0' && !/x/i.test(digits);
  const magnitude = octal ? Number.parseInt(digits, 8) : Number(digits);
  // A long that overflows is the largest one; the domain number is its low 32 bits.
  const domid = Number.isSafeInteger(magnitude)
    ? Number(BigInt.asUintN(32, BigInt(sign === '-' ? -magnitude : magnitude)))
    : 2 ** 32 - 1;
  return { domid, access };
}

/** A permission list from text such as `n0,r7`. @throws RangeError when it is not one. */
export function permissionList(text: string): Permission[] {
  return text.split(',').map((part) => {
    const entry = parsePermission(part.trim());
    if (entry === undefined) throw new RangeError(`'${part}' is no permission: a letter of n, r, w, b and a domain number`);
    return entry;
  });
}
