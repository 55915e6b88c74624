// The lines of a kernel log that complain, but for those that real hosts of the same kernels print, too.

const COMPLAINT =
  /\bWARN|\bBUG:|\bOops\b|Call Trace|\b[Ee]rrors?\b|\b[Ff]ail(ed|ure|s)?\b|\b[Ff]atal\b|[Uu]nhandled|[Uu]nknown\b|[Pp]anic|\bstalls?\b|lockup|timed out|segfault|traps:/;

/** Each with its reason. */
const EXPECTED: readonly (readonly [RegExp, string])[] = [
  [/tsc: Fast TSC calibration failed/, 'there is no PIT; under QEMU on KVM, too (hvm-6.1, hvm-6.12)'],
  [/PCI: Fatal: No config space access function found/, 'a PVH guest has no PCI, on real Xen either'],
  [/fail to add MMCONFIG information/, 'an i440FX has no configuration space beyond 256 bytes: docs/kernel-logs.md'],
  [/RAS: Correctable Errors collector initialized/, 'no complaint; under QEMU, too'],
];

/** The lines that nothing excuses. */
export function complaints(log: string): string[] {
  return log.split('\n').filter((line) => COMPLAINT.test(line) && !EXPECTED.some(([pattern]) => pattern.test(line)));
}
