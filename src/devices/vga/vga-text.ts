// What a VGA in text mode says: its characters, as a PC's fonts show them (code page 437).
import { textGrid } from './vga-picture.ts';
import { type VgaState, VRAM_BYTES } from './vga-state.ts';

const UPPER_HALF =
  'ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■ ';

const shown = (code: number): string =>
  code >= 0x80 ? (UPPER_HALF[code - 0x80] as string) : code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : ' ';

/** The rows from the top, without blanks at their ends; undefined while the screen is in no text mode. */
export function vgaText(state: VgaState, vram: Uint8Array): readonly string[] | undefined {
  const grid = textGrid(state);
  if (grid === undefined) return undefined;
  return Array.from({ length: grid.rows }, (_, row) => {
    let text = '';
    for (let column = 0; column < grid.columns; column++)
      text += shown(vram[((grid.start + row * grid.pitch + column) * 4) % VRAM_BYTES] as number);
    return text.trimEnd();
  });
}
