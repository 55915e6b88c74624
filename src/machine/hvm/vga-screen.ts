// The screen of an HVM domain's VGA, as its owner sees it.
import { vgaPicture } from '../../devices/vga/vga-picture.ts';
import { VgaState } from '../../devices/vga/vga-state.ts';
import { vgaText } from '../../devices/vga/vga-text.ts';
import type { Picture } from '../../image/picture.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { VgaRegions } from './board-memory.ts';

export class VgaScreen {
  readonly #state: VgaState;
  readonly #vram: Uint8Array;

  constructor({ u8 }: GuestMemory, { state, vram }: VgaRegions) {
    this.#state = new VgaState(u8.subarray(state.at, state.at + state.size));
    this.#vram = u8.subarray(vram.at, vram.at + vram.size);
  }

  /** The picture as it is at this moment; undefined while no mode is set. */
  snapshot(): Picture | undefined {
    return vgaPicture(this.#state, this.#vram);
  }

  /** Its characters, row by row; undefined while it is in no text mode. */
  text(): readonly string[] | undefined {
    return vgaText(this.#state, this.#vram);
  }
}
