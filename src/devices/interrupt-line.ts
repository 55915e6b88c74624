// An interrupt line: a wire with two levels. A chip drives the end it is given; where the wire goes is the board's business.

/** The driver's end. Raising a raised line and lowering a lowered one do nothing. */
export interface InterruptLine {
  raise(): void;
  lower(): void;
}

/** A line by its level, for those that compute it: status AND mask. */
export function setLine(line: InterruptLine, level: boolean): void {
  if (level) line.raise();
  else line.lower();
}

/** A line that ends nowhere. */
export const UNCONNECTED: InterruptLine = { raise: () => {}, lower: () => {} };

/** A wire that several drivers share: it is up while any of them holds it up. */
export class SharedLine {
  readonly #level: (level: boolean) => void;
  #holders = 0;

  /** `level` is told of changes only. */
  constructor(level: (level: boolean) => void) {
    this.#level = level;
  }

  get asserted(): boolean {
    return this.#holders > 0;
  }

  /** Another driver's end, lowered. */
  driver(): InterruptLine {
    let up = false;
    return {
      raise: () => {
        if (up) return;
        up = true;
        if (this.#holders++ === 0) this.#level(true);
      },
      lower: () => {
        if (!up) return;
        up = false;
        if (--this.#holders === 0) this.#level(false);
      },
    };
  }
}

/** A line that can be cut: what its driver does while it is shut comes through when it is opened. */
export function gated(line: InterruptLine): InterruptLine & { open(on: boolean): void } {
  let up = false;
  let through = true;
  return {
    raise: () => {
      up = true;
      if (through) line.raise();
    },
    lower: () => {
      up = false;
      if (through) line.lower();
    },
    open: (on) => {
      through = on;
      setLine(line, on && up);
    },
  };
}
