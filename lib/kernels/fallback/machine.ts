/** What this machine can do at most in the ways that the fallback computes: WebAssembly SIMD, and loops over arrays. */
import type { Limits } from '../../../binding.d.ts';
import { load } from './simd.ts';
import {
  type Arithmetic,
  type Code,
  FunctionBuilder,
  f32x4,
  f64x2,
  get,
  i32,
  repeat,
  set,
  v128,
} from './wasm.ts';

const trials = 10;

/** Independent sums, enough to hide the latency of a multiplication and an addition. */
const chains = 12;

/** Seconds of the fastest trial. */
function best(work: () => void): number {
  let least = Infinity;
  for (let trial = 0; trial < trials; trial++) {
    const start = performance.now();
    work();
    least = Math.min(least, performance.now() - start);
  }
  return least / 1e3;
}

/** A function of a number of rounds, each a multiplication and an addition of a vector in every chain. */
function multiplyAdd(name: string, { add, mul, fused }: Arithmetic, relaxed: boolean): FunctionBuilder {
  const builder = new FunctionBuilder(name, 1);
  const sums = Array.from({ length: chains }, () => builder.v128());
  const factor = builder.v128();
  const step = (sum: number): Code =>
    set(
      sum,
      relaxed ? fused(get(sum), get(factor), get(factor)) : add(mul(get(sum), get(factor)), get(factor)),
    );
  // What is stored cannot be left out.
  const total = sums.map((sum) => get(sum)).reduce((a, b) => add(a, b));
  builder.code = [
    set(factor, v128.load(i32.const(0))),
    repeat(0, sums.map(step)),
    v128.store(i32.const(0), 16, total),
  ];
  return builder;
}

/** Operations a second of vectors of so many lanes; null where the engine has none. */
function vectorPeak(type: Arithmetic, lanes: number): number | null {
  const exports = load([true, false].map((fused) => [multiplyAdd('run', type, fused)]));
  if (exports === null) return null;
  const run = exports.run as (rounds: number) => void;
  const rounds = 500_000;
  run(rounds);
  return (2 * chains * lanes * rounds) / best(() => run(rounds));
}

/** Operations a second of plain JavaScript, where there is no WebAssembly SIMD. */
function scalarPeak(): number {
  const rounds = 1_000_000;
  let sink = 0;
  const seconds = best(() => {
    let [a, b, c, d] = [0, 1, 2, 3];
    for (let i = 0; i < rounds; i++) {
      a = a * 0.5 + 1;
      b = b * 0.5 + 1;
      c = c * 0.5 + 1;
      d = d * 0.5 + 1;
    }
    sink += a + b + c + d;
  });
  return Number.isNaN(sink) ? 0 : (8 * rounds) / seconds;
}

const peak = (type: Arithmetic, lanes: number) => vectorPeak(type, lanes) ?? scalarPeak();

function triad(a: Float32Array, b: Float32Array, c: Float32Array): void {
  for (let i = 0; i < a.length; i++) a[i] = b[i] + 3 * c[i];
}

const mebibyte = 1 << 20;

function bandwidth(bytes: number): number {
  const [a, b, c] = [0, 1, 2].map(() => new Float32Array(Math.floor(bytes / 12)).fill(1));
  const repeats = Math.max(1, Math.floor((16 * mebibyte) / bytes));
  const seconds = best(() => {
    for (let i = 0; i < repeats; i++) triad(a, b, c);
  });
  return (3 * a.byteLength * repeats) / seconds;
}

export function limits(): Limits {
  const sizes = [mebibyte / 4, mebibyte, 4 * mebibyte, 16 * mebibyte, 96 * mebibyte];
  return {
    float32: peak(f32x4, 4),
    float64: peak(f64x2, 2),
    bandwidths: sizes.map((bytes) => ({ bytes, rate: bandwidth(bytes) })),
  };
}
