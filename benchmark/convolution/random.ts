/** Layers of sizes that no well-known network has. */
import { type Layer, layer, operations, sideOfOutput } from './layers.ts';

/** Numbers in [0, 1) from a seed (the generator of Steele, Lea & Flood, 2014, cut to 32 bits). */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let z = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return ((z ^ (z >>> 16)) >>> 0) / 2 ** 32;
  };
}

/** So many layers: images and lines, of one group, of several or depthwise, a call of each 0.1 to some milliseconds long. */
export function randomLayers(count: number, seed: number): Layer[] {
  const next = numbers(seed);
  const pick = <T>(values: readonly T[]): T => values[Math.floor(next() * values.length)];
  const found: Layer[] = [];
  while (found.length < count) {
    const flat = next() < 0.25;
    const [kernel, stride, dilation] = [
      pick([1, 2, 3, 3, 4, 5, 7, 9]),
      pick([1, 1, 1, 2, 3]),
      pick([1, 1, 1, 2, 3]),
    ];
    const side = Math.round(7 * 43 ** next()) * (flat ? 37 : 1);
    const batch = pick([1, 1, 2, 5, 8, 16, 32]);
    const kind = next();
    const groups = kind < 0.7 ? 1 : pick([2, 3, 4, 8, 16]);
    const widths =
      kind < 0.7 ? [1, 2, 3, 5, 8, 12, 17, 24, 32, 48, 50, 64, 96, 100, 128, 200, 300] : [3, 4, 5, 8, 12, 16];
    const [channels, outChannels] =
      kind < 0.85
        ? [pick(widths) * groups, pick(widths) * groups]
        : Array<number>(2).fill(pick([10, 24, 30, 64, 100, 200]));
    const made = layer('random', [batch, side, channels, outChannels, kernel], {
      stride,
      dilation: kernel === 1 ? 1 : dilation,
      flat,
      groups: kind < 0.85 ? groups : channels,
      padding: pick([0, (dilation * (kernel - 1)) >> 1]),
    });
    const pixels = batch * side ** (flat ? 1 : 2);
    const work = operations(made);
    if (sideOfOutput(made) < 1 || pixels * Math.max(channels, outChannels) > 8e6 || work < 1e7 || work > 1e9)
      continue;
    found.push(made);
  }
  return found;
}
