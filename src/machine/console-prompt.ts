// What a console looks like when a person is expected to type: a shell's prompt, a login prompt, a password prompt.

// biome-ignore lint/suspicious/noControlCharactersInRegex: this is what terminals are told
const ESCAPE_SEQUENCE = /\x1b\[[0-9;?]*[A-Za-z]/;
const ESCAPE_SEQUENCES = new RegExp(ESCAPE_SEQUENCE, 'g');
/** Messages of the kernel, and of a shim with console=xen,pv, come at any time, and so behind a prompt: "[   12.345678] eth0: link up". */
const FOREIGN_LINES = /(?:(?:\[ *\d+\.\d{6}\]|\(XEN\)) [^\n]*\n)*$/;

/** Text without what only steers a terminal. */
export const plainText = (text: string): string => text.replaceAll(ESCAPE_SEQUENCES, '').replaceAll('\r', '');

/** Longest end of the output that is looked at: a prompt and some such lines. */
const LOOKED_AT = 4096;

export type PromptKind = 'shell' | 'login' | 'password';

const PATTERNS: readonly (readonly [PromptKind, RegExp])[] = [
  // "Last login: " is what login(1) prints of the time before.
  ['login', new RegExp(`(?:^|\\n)(?!Last )[^\\n]*\\blogin: ?${FOREIGN_LINES.source}`, 'i')],
  ['password', new RegExp(`(?:^|\\n)[^\\n]*\\bpassword:? ?${FOREIGN_LINES.source}`, 'i')],
  // "# ", "$ ", "(initramfs) ", and not the beginning of a line of Xen.
  ['shell', new RegExp(`(?<!\\(XEN(?=\\)))[#$%>)] ${FOREIGN_LINES.source}`)],
];

/** Which prompt the output ends in, if any. */
export function promptAtEnd(output: string): PromptKind | undefined {
  const end = plainText(output.slice(-LOOKED_AT));
  return PATTERNS.find(([, pattern]) => pattern.test(end))?.[0];
}
