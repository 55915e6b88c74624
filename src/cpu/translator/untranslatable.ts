/** Code that the translator leaves to the interpreter; the message says why. */
export class Untranslatable extends Error {
  override readonly name = 'Untranslatable';
}
