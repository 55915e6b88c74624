// Errors as a person sees them: one line and an exit code.
import { XlConfigError, XlConfigErrors } from '../control/xl-config/config-error.ts';
import { ImageError } from '../image/image-error.ts';
import { BlockStoreError } from '../io/block-store-error.ts';
import { ConsoleError } from '../machine/console-error.ts';
import { MachineError } from '../machine/pvh/machine-error.ts';
import { TracepointError } from '../machine/tracepoints.ts';
import { TranslationError } from '../machine/translation-error.ts';
import { NetworkOptionError } from '../net/user/network-plan.ts';
import { ControlCommandError } from '../node/control-client.ts';
import { ControlConnectionError } from '../node/control-error.ts';
import { DomainConfigError } from '../node/domain-config-error.ts';
import { GuestFileError } from '../node/guest-file.ts';
import { GuestPartsError } from '../node/guest-parts-error.ts';
import { ChannelError } from '../node/open-channel.ts';
import { PtyError } from '../node/pty.ts';
import { SharedFolderError } from '../node/shared-folder-error.ts';
import { BackgroundFailure } from '../node/spawn-background.ts';
import { UnsupportedDomainError } from '../node/spec-config.ts';
import { VifError } from '../node/vif-error.ts';
import { UsageError } from './arguments.ts';
import { EXIT_CODE } from './exit-codes.ts';
import { OutputClosed, SignalReceived } from './signals.ts';

/** Something that was given to dom1 will not do; `message` is one line with the next step. */
export class InputError extends Error {
  override readonly name = 'InputError';
}

/** The line for stderr, '' for none, and the exit code. */
export function describeFailure(error: unknown): { readonly line: string; readonly code: number } {
  if (error instanceof SignalReceived) return { line: `dom1: ended the guest on ${error.signal}\n`, code: error.exitCode };
  if (error instanceof OutputClosed) return { line: '', code: error.exitCode };
  // It has been described where it happened.
  if (error instanceof BackgroundFailure)
    return { line: error.message.startsWith('dom1: ') ? error.message : `dom1: ${error.message}\n`, code: error.code };
  if (error instanceof XlConfigErrors)
    return { line: error.all.map((one) => `dom1: ${oneLine(one.message)}\n`).join(''), code: EXIT_CODE.input };
  // A report, which says what to do.
  if (error instanceof TranslationError) return { line: `dom1: ${error.message}\n`, code: EXIT_CODE.monitor };
  const message = oneLine(error instanceof Error ? error.message : String(error));
  if (error instanceof ControlCommandError) return { line: `dom1: ${message}\n`, code: EXIT_CODE.refused };
  const wrongUsage =
    error instanceof UsageError ||
    (error instanceof ControlConnectionError && error.code === 'bad-name') ||
    error instanceof TracepointError ||
    (error instanceof MachineError && error.code === 'memory-size');
  if (wrongUsage) return { line: `dom1: ${message}\n`, code: EXIT_CODE.usage };
  const wrongInput = [
    InputError,
    ConsoleError,
    DomainConfigError,
    GuestFileError,
    ImageError,
    BlockStoreError,
    MachineError,
    GuestPartsError,
    ControlConnectionError,
    XlConfigError,
    UnsupportedDomainError,
    NetworkOptionError,
    VifError,
    ChannelError,
    PtyError,
    SharedFolderError,
  ].some((kind) => error instanceof kind);
  if (wrongInput) return { line: `dom1: ${message}\n`, code: EXIT_CODE.input };
  return {
    line: `dom1: dom1 itself failed: ${message}; please report it, with what it prints when DOM1_DEBUG=1 is set\n`,
    code: EXIT_CODE.monitor,
  };
}

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, ' ');
