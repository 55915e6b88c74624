// Whether a picture shows a text, without knowing its font: cells of the screen that are equal exactly where letters are.
import type { Picture } from '../../src/image/picture.ts';

/** Of the fonts that consoles have. */
const CELL = { width: 8, height: 16 } as const;

/** The text is longer than a few letters, and some of them repeat: the fewer there are, the less it says. */
export function showsText(picture: Picture | undefined, text: string): boolean {
  if (picture === undefined) return false;
  const [columns, rows] = [Math.floor(picture.width / CELL.width), Math.floor(picture.height / CELL.height)];
  for (let row = 0; row < rows; row++) {
    const cells = Array.from({ length: columns }, (_, column) => cell(picture, column, row));
    for (let at = 0; at + text.length <= columns; at++) if (spells(cells.slice(at, at + text.length), [...text])) return true;
  }
  return false;
}

function spells(cells: readonly string[], letters: readonly string[]): boolean {
  const [letterOf, cellOf] = [new Map<string, string>(), new Map<string, string>()];
  return letters.every((letter, i) => {
    const shown = cells[i] as string;
    if ((letterOf.get(shown) ?? letter) !== letter || (cellOf.get(letter) ?? shown) !== shown) return false;
    letterOf.set(shown, letter);
    cellOf.set(letter, shown);
    return true;
  });
}

function cell({ rgba, width }: Picture, column: number, row: number): string {
  let pixels = '';
  for (let y = 0; y < CELL.height; y++) {
    const at = ((row * CELL.height + y) * width + column * CELL.width) * 4;
    pixels += Buffer.from(rgba.subarray(at, at + CELL.width * 4)).toString('latin1');
  }
  return pixels;
}
