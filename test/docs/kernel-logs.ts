// docs/kernel-logs.md: the table of differences, for a reader.
import type { Difference } from '../guest/compare-logs.ts';
import { LOG_DIFFERENCES } from '../guest/log-differences.ts';

const INTRODUCTION = `# Kernel logs beside another Xen's

Made from [log-differences.ts](../test/guest/log-differences.ts) by \`npm run docs:calls\`; do not edit.

Debian's kernels 6.1 (\`linux-image-6.1.0-56-amd64\`) and 6.12 (\`linux-image-6.12.117+deb12-cloud-amd64\`), each as HVM guest (on the serial port, and 6.1 on the
PV console as well) and as PV guest within Xen's shim 4.17, entered by Multiboot: what they print here, and what the same packages print under QEMU 10's Xen on KVM, on an AMD host
(*there*; [test/guest/oracle/](../test/guest/oracle)). \`test/guest/kernel-logs.spec.ts\` boots all five and compares line by line, numbers and all: every
line that stands in one log alone is below, or the test fails, and so it does when a difference below is found no more.
\`*\` stands for any text, \`?\` for a character.
`;

const LISTS = [
  ['there', 'There'],
  ['here', 'Here'],
  ['both', 'In both, but not the same'],
  ['sometimes', 'From run to run'],
] as const satisfies readonly (readonly [keyof Difference, string])[];

/** The document's text. */
export function renderLogDifferences(): string {
  const sections = LOG_DIFFERENCES.map((difference) => {
    const lists = LISTS.filter(([key]) => difference[key] !== undefined).map(
      ([key, title]) => `${title}:\n\n\`\`\`\n${(difference[key] as readonly string[]).join('\n')}\n\`\`\`\n`,
    );
    return [`## ${difference.what}\n`, `${difference.why}\n`, ...lists].join('\n');
  });
  return [INTRODUCTION, ...sections].join('\n');
}
