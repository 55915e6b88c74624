// What `checkJit` is for has been found.

/** Translated code did something else than the interpreter: a bug of dom1. `message` is a report of many lines. */
export class TranslationError extends Error {
  override readonly name = 'TranslationError';
}
