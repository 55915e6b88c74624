// Requests to XenStore as bytes, from a shell in the guest: for what the programs hide, such as an error's name and what
// happens between the requests of a transaction. public/io/xs_wire.h.
import { XS } from '../../src/abi/xen/xenstore.ts';
import type { CpioEntry } from '../../src/image/cpio.ts';
import { cpioFile } from '../../src/image/cpio.ts';

const SCRIPT = `exec 3<>/dev/xen/xenbus
le32() { printf '\\\\%03o\\\\%03o\\\\%03o\\\\%03o' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)); }
# type, transaction, body with \\000 in it: sets reply to the answer's type and body, NULs as spaces
store() {
  printf "$(le32 $1)$(le32 0)$(le32 $2)$(le32 $(printf "$3" | wc -c))$3" >&3
  dd bs=8192 count=1 <&3 > /tmp/reply.$$ 2>/dev/null
  reply="$(od -An -tu1 -N1 /tmp/reply.$$ | tr -d ' ') $(tail -c +17 /tmp/reply.$$ | tr '\\000' ' ')"
  reply=\${reply% }
}
request() { store "$@"; echo "$reply"; }
`;

/** To be sourced: `. store-session; request 2 0 'domid\\000'`. */
export const STORE_SESSION: CpioEntry = cpioFile('bin/store-session', SCRIPT);

/** A command that makes requests, one after the other on one connection, and prints the answers, one a line. */
export function requests(...list: readonly (readonly [type: keyof typeof XS, body: string])[]): string {
  const line = ([type, body]: readonly [keyof typeof XS, string]) => `request ${XS[type]} 0 '${body.replaceAll('\0', '\\000')}'`;
  return ['. store-session', ...list.map(line)].join('\n');
}
