// `dom1 image …`: disk images.

import { checkDisk, commitDisk, convertDisk, createDisk, type DiskInfo, diskInfo, resizeDisk } from '../node/disk-images.ts';
import type { DiskFormat } from '../node/open-disk.ts';
import { type Invocation, optionValue, UsageError } from './arguments.ts';
import { type CommandIo, printJson } from './command-io.ts';
import { formatDiskSize, parseDiskSize } from './disk-size.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { numberArgument } from './number-argument.ts';
import type { ProgressLine } from './progress-line.ts';

export interface ImageWork {
  readonly io: CommandIo;
  readonly progress: ProgressLine;
  readonly signal?: AbortSignal;
}

export type ImageImplementation = (invocation: Invocation, work: ImageWork) => Promise<number>;

const pathOf = (invocation: Invocation): string => invocation.positionals[0] as string;

function formatOption(invocation: Invocation, option: string): DiskFormat | undefined {
  const text = optionValue(invocation, option);
  if (text === undefined || text === 'raw' || text === 'qcow2') return text;
  throw new UsageError(`'${text}' is no format of a disk; write raw or qcow2`);
}

function newImageOptions(invocation: Invocation): { readonly clusterSize?: number; readonly version?: 2 | 3 } {
  const clusterSize = optionValue(invocation, 'cluster-size');
  const compat = optionValue(invocation, 'compat');
  const version = compat === undefined ? undefined : ({ '2': 2, '3': 3, '0.10': 2, '1.1': 3 } as const)[compat];
  if (compat !== undefined && version === undefined) throw new UsageError(`'${compat}' is no version of qcow2; write 2 or 3`);
  return {
    ...(clusterSize !== undefined && { clusterSize: parseDiskSize(clusterSize) }),
    ...(version !== undefined && { version }),
  };
}

const create: ImageImplementation = async (invocation) => {
  const size = invocation.positionals[1];
  const backing = optionValue(invocation, 'backing');
  const backingFormat = formatOption(invocation, 'backing-format');
  const bits = optionValue(invocation, 'refcount-bits');
  if (size === undefined && backing === undefined)
    throw new UsageError('no size is given; write it behind the path, such as 10GiB');
  await createDisk(pathOf(invocation), {
    format: formatOption(invocation, 'format') ?? 'qcow2',
    ...(size !== undefined && { size: parseDiskSize(size) }),
    ...(backing !== undefined && { backing }),
    ...(backingFormat !== undefined && { backingFormat }),
    ...newImageOptions(invocation),
    ...(bits !== undefined && { refcountBits: numberArgument(bits, 'number of bits', { min: 1, max: 64 }) }),
    ...(invocation.options.has('lazy-refcounts') && { lazyRefcounts: true }),
  });
  return EXIT_CODE.ok;
};

const info: ImageImplementation = async (invocation, { io }) => {
  const found = await diskInfo(pathOf(invocation));
  if (invocation.options.has('json')) printJson(io, found);
  else io.out(`${infoLines(found).join('\n')}\n`);
  return EXIT_CODE.ok;
};

function infoLines({ path, format, virtualSize, actualSize, qcow2 }: DiskInfo): string[] {
  const lines = [
    `image:         ${path}`,
    `format:        ${format}${qcow2 === undefined ? '' : ` version ${qcow2.version}`}`,
    `disk size:     ${formatDiskSize(virtualSize)} (${virtualSize} bytes)`,
  ];
  if (actualSize !== undefined) lines.push(`takes:         ${formatDiskSize(actualSize)}`);
  if (qcow2 === undefined) return lines;
  lines.push(`cluster size:  ${formatDiskSize(qcow2.clusterSize)}`);
  lines.push(`refcount bits: ${qcow2.refcountBits}${qcow2.lazyRefcounts ? ' (lazy)' : ''}`);
  lines.push(`compression:   ${qcow2.compression}`);
  if (qcow2.backingFile !== undefined)
    lines.push(
      `backing file:  ${printable(qcow2.backingFile)}${qcow2.backingFormat === undefined ? '' : ` (${printable(qcow2.backingFormat)})`}`,
    );
  if (qcow2.dirty) lines.push('state:         it was not closed; the next one to write to it repairs it');
  if (qcow2.corrupt) lines.push('state:         marked as corrupt; run `dom1 image check --repair`');
  for (const { id, name, seconds, size } of qcow2.snapshots) {
    const when = new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ');
    lines.push(`snapshot:      ${printable(id)}  ${printable(name)}  ${when} UTC  ${formatDiskSize(size)}`);
  }
  return lines;
}

/** Names come from the image and go to a terminal. */
const printable = (text: string): string => text.replace(/\p{Cc}/gu, '?');

const check: ImageImplementation = async (invocation, { io, progress }) => {
  const repair = invocation.options.has('repair');
  const path = pathOf(invocation);
  const found = await checkDisk(path, { repair, onProgress: (done, total) => progress.share(`checking ${path}`, done, total) });
  progress.clear();
  if (invocation.options.has('json')) printJson(io, { path, repaired: repair, ...found });
  else {
    for (const problem of found.problems) io.out(`${problem}\n`);
    const hidden = found.errors - found.problems.length;
    if (hidden > 0 && found.problems.length > 0) io.out(`… and ${hidden} more\n`);
    io.out(`${summary(found.errors, found.leaks, repair, found.errorsLeft)}\n`);
  }
  if (repair ? found.errorsLeft > 0 : found.errors > 0) return EXIT_CODE.imageErrors;
  return !repair && found.leaks > 0 ? EXIT_CODE.imageLeaks : EXIT_CODE.ok;
};

function summary(errors: number, leaks: number, repair: boolean, left: number): string {
  if (errors === 0 && leaks === 0) return 'no errors';
  const found = `${errors} errors, ${leaks} leaked clusters`;
  if (!repair) return `${found}; \`dom1 image check --repair\` repairs what can be repaired`;
  return left === 0 ? `${found}, all repaired` : `${found}; ${left} errors are left: restore what you can from a backup`;
}

const convert: ImageImplementation = async (invocation, { progress, signal }) => {
  const [source = '', target = ''] = invocation.positionals;
  const from = formatOption(invocation, 'from');
  const snapshot = optionValue(invocation, 'snapshot');
  await convertDisk(source, target, {
    to: formatOption(invocation, 'format') ?? 'qcow2',
    ...(from !== undefined && { from }),
    ...(snapshot !== undefined && { snapshot }),
    ...newImageOptions(invocation),
    onProgress: (done, total) => progress.share(`converting ${source}`, done, total),
    ...(signal !== undefined && { signal }),
  });
  progress.clear();
  return EXIT_CODE.ok;
};

const commit: ImageImplementation = async (invocation, { progress, signal }) => {
  const path = pathOf(invocation);
  await commitDisk(path, {
    onProgress: (done, total) => progress.share(`committing ${path}`, done, total),
    ...(signal !== undefined && { signal }),
  });
  progress.clear();
  return EXIT_CODE.ok;
};

const resize: ImageImplementation = async (invocation, { io }) => {
  const [path = '', text = ''] = invocation.positionals;
  const format = formatOption(invocation, 'format');
  const size = text.startsWith('+') ? { by: parseDiskSize(text.slice(1)) } : parseDiskSize(text);
  const bytes = await resizeDisk(path, size, {
    ...(format !== undefined && { format }),
    shrink: invocation.options.has('shrink'),
  });
  if (invocation.options.has('json')) printJson(io, { path, bytes });
  else io.out(`${path} has ${formatDiskSize(bytes)} (${bytes} bytes) now\n`);
  return EXIT_CODE.ok;
};

export const IMAGE_IMPLEMENTATIONS: Readonly<Record<string, ImageImplementation>> = {
  'image create': create,
  'image info': info,
  'image check': check,
  'image convert': convert,
  'image commit': commit,
  'image resize': resize,
};
