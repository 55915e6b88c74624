// What a pointer did: the mouse, as the interface has it.

/** Linux's codes: BTN_LEFT and so on. */
export const BUTTONS = { left: 0x110, right: 0x111, middle: 0x112, side: 0x113, extra: 0x114 } as const;
export type Button = keyof typeof BUTTONS;

/** What a pointer does. */
export interface PointerChange {
  /** Where it is now, in pixels of the screen; only for a guest that asked for absolute positions, as Linux does. */
  readonly x?: number;
  readonly y?: number;
  /** How far it moved, in pixels. A guest that asked for absolute positions gets where that leads. */
  readonly dx?: number;
  readonly dy?: number;
  /** Steps of the wheel, positive towards the user. */
  readonly wheel?: number;
  /** Buttons that are down from now on (true) or up (false); after the motion. */
  readonly buttons?: { readonly [B in Button]?: boolean };
}

/** What one finger did. Coordinates and lengths are in the units of the touch screen's size. */
export type TouchChange = { readonly contact: number } & (
  | { readonly kind: 'down' | 'motion'; readonly x: number; readonly y: number }
  | { readonly kind: 'up' }
  | { readonly kind: 'shape'; readonly major: number; readonly minor: number }
  /** Degrees clockwise, -180 to 180. */
  | { readonly kind: 'orientation'; readonly degrees: number }
);
