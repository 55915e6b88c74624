// RDRAND's numbers where runs are to be repeatable: always the same ones. Well mixed, and secret to nobody.

/** Odd, near 2^32 divided by the golden ratio: each step changes half of the bits. */
const STEP = 0x9e37_79b9;

export function repeatableRandom(): (into: Uint32Array) => void {
  let state = 0;
  return (into) => {
    for (let i = 0; i < into.length; i++) {
      state = (state + STEP) | 0;
      // Multiplications and shifts with few collisions, as hash functions end with them.
      let mixed = Math.imul(state ^ (state >>> 16), 0x21f0_aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
      into[i] = mixed ^ (mixed >>> 15);
    }
  };
}
