// The screen of an HVM domain's VGA, as its owner sees it.
import { vgaPicture } from '../../devices/vga/vga-picture.ts';
import { VgaState } from '../../devices/vga/vga-state.ts';
import type { Picture } from '../../image/picture.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { VgaRegions } from './board-memory.ts';

/** The picture as it is at this moment; undefined while no mode is set. */
export function vgaSnapshot({ u8 }: GuestMemory, { state, vram }: VgaRegions): Picture | undefined {
  return vgaPicture(new VgaState(u8.subarray(state.at, state.at + state.size)), u8.subarray(vram.at, vram.at + vram.size));
}
