/** What absolute positions are measured on, asked for at each of them. */
export type PointerPlane = () => {
  /** Of the screen, in pixels, at least 1. */
  readonly width: number;
  readonly height: number;
  /** The largest coordinates that the guest is given. */
  readonly mostX: number;
  readonly mostY: number;
};
