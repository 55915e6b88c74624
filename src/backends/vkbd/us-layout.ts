// What keys of a US keyboard type a text: the guest has to have that layout, too.
import { KeyNameError, keyCode } from './key-names.ts';

/** Keys that are no letters, with what they type without and with shift. */
const SIGNS: readonly (readonly [key: string, plain: string, shifted: string])[] = [
  ['1', '1', '!'],
  ['2', '2', '@'],
  ['3', '3', '#'],
  ['4', '4', '$'],
  ['5', '5', '%'],
  ['6', '6', '^'],
  ['7', '7', '&'],
  ['8', '8', '*'],
  ['9', '9', '('],
  ['0', '0', ')'],
  ['minus', '-', '_'],
  ['equal', '=', '+'],
  ['bracket_left', '[', '{'],
  ['bracket_right', ']', '}'],
  ['semicolon', ';', ':'],
  ['apostrophe', "'", '"'],
  ['grave_accent', '`', '~'],
  ['backslash', '\\', '|'],
  ['comma', ',', '<'],
  ['dot', '.', '>'],
  ['slash', '/', '?'],
];

const SHIFT = keyCode('shift');

const STROKES: ReadonlyMap<string, readonly number[]> = new Map([
  ...SIGNS.flatMap(([key, plain, shifted]): [string, readonly number[]][] => [
    [plain, [keyCode(key)]],
    [shifted, [SHIFT, keyCode(key)]],
  ]),
  ...[...'abcdefghijklmnopqrstuvwxyz'].flatMap((letter): [string, readonly number[]][] => [
    [letter, [keyCode(letter)]],
    [letter.toUpperCase(), [SHIFT, keyCode(letter)]],
  ]),
  [' ', [keyCode('spc')]],
  ['\n', [keyCode('ret')]],
  ['\t', [keyCode('tab')]],
]);

/** The keys to press together for each character. @throws KeyNameError for a character that no US keyboard types */
export function textStrokes(text: string): readonly (readonly number[])[] {
  return [...text].map((character) => {
    const stroke = STROKES.get(character);
    if (stroke === undefined) throw new KeyNameError(`no key of a US keyboard types ${JSON.stringify(character)}`);
    return stroke;
  });
}
