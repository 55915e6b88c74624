// --profile: what the vCPUs measured, as text on stderr or in a log, and as a trace in a file.
import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isElf } from '../image/elf.ts';
import { readElfSymbols } from '../image/elf-symbols.ts';
import { ImageError } from '../image/image-error.ts';
import { type CodeSymbol, readSystemMap } from '../image/system-map.ts';
import type { Domain } from '../machine/domain.ts';
import { chromeTrace } from '../machine/profile/chrome-trace.ts';
import { profileReport } from '../machine/profile/profile-report.ts';
import { SymbolTable } from '../machine/profile/symbol-table.ts';
import type { VcpuProfileData } from '../machine/profile/vcpu-profile.ts';
import type { ProfileOrder } from '../node/background-protocol.ts';
import { nodeErrorCode } from '../node/control-error.ts';
import { type Invocation, optionValue, UsageError } from './arguments.ts';
import { InputError } from './failure.ts';

/** What --profile and --system-map ask for; undefined when nothing is measured. @throws UsageError */
export function profileOrder(invocation: Invocation): ProfileOrder | undefined {
  const file = optionValue(invocation, 'profile');
  const systemMap = optionValue(invocation, 'system-map');
  if (file === undefined && systemMap !== undefined)
    throw new UsageError('--system-map names the functions of a profile; give --profile too');
  if (file === undefined) return undefined;
  return {
    ...(file !== '' && { file: resolve(file) }),
    ...(systemMap !== undefined && { systemMap: resolve(systemMap) }),
  };
}

/** Of one domain, from its start to its end, over its resets. */
export class ProfileOutput {
  readonly #order: ProfileOrder;
  readonly #symbols: SymbolTable;
  readonly #profiles: VcpuProfileData[] = [];

  private constructor(order: ProfileOrder, symbols: SymbolTable) {
    this.#order = order;
    this.#symbols = symbols;
  }

  /**
   * Reads the symbols, and sees that the trace can be written.
   * @param kernel the guest's, which may have symbols itself
   * @throws InputError
   */
  static async open(order: ProfileOrder, kernel: string | undefined): Promise<ProfileOutput> {
    const { file, systemMap } = order;
    if (file !== undefined) await written(file, '');
    const symbols = systemMap !== undefined ? await symbolsOf(systemMap) : await ownSymbols(kernel);
    return new ProfileOutput(order, new SymbolTable(symbols));
  }

  attach(domain: Domain): void {
    domain.on('profile', (profile) => void this.#profiles.push(profile));
  }

  /** After the domain's end: writes the trace, and returns the report. @throws InputError */
  async finish(name: string): Promise<string[]> {
    const { file } = this.#order;
    const lines = this.#profiles.flatMap((profile) => [...profileReport(profile, this.#symbols), '']);
    if (file === undefined) return lines;
    await written(file, JSON.stringify(chromeTrace(this.#profiles, name, this.#symbols)));
    return [...lines, `the trace is in ${file}: open it with chrome://tracing or https://ui.perfetto.dev`];
  }
}

async function written(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (cause) {
    throw new InputError(`${file}: the profile cannot be written (${nodeErrorCode(cause) ?? String(cause)}); check the path`, {
      cause,
    });
  }
}

async function symbolsOf(file: string): Promise<CodeSymbol[]> {
  try {
    return readSystemMap(await readFile(file, 'latin1'));
  } catch (cause) {
    const reason =
      cause instanceof ImageError
        ? cause.message
        : `it cannot be read (${nodeErrorCode(cause) ?? String(cause)}); check the path`;
    throw new InputError(`${file}: ${reason}`, { cause });
  }
}

/** Of a vmlinux that was not stripped. That the kernel cannot be read is said where it is booted. */
async function ownSymbols(kernel: string | undefined): Promise<CodeSymbol[]> {
  if (kernel === undefined) return [];
  try {
    const bytes = await readFile(kernel);
    return isElf(bytes) ? readElfSymbols(bytes) : [];
  } catch {
    return [];
  }
}
