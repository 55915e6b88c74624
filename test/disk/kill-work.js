// What the process that gets killed does to a disk: the same for the same seed, so that the spec knows what must be there.

/** Each written sector is filled with the number of the step, from 1 on; 0 is zeroes. */
export function workOf(seed, sectors, steps) {
  let state = seed >>> 0;
  const random = (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % below;
  };
  return Array.from({ length: steps }, () => {
    const kind = random(10);
    const at = random(sectors);
    const longest = random(8) === 0 ? 600 : 24;
    return {
      do: kind < 7 ? 'write' : kind === 7 ? 'zero' : kind === 8 ? 'discard' : 'flush',
      at,
      length: Math.min(1 + random(longest), sectors - at),
    };
  });
}
