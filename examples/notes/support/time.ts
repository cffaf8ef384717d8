/**
 * Seconds a call: the best of rounds of some 5 ms within a fifth of a second, as what else the machine does can only
 * add to it; a single call where that takes longer than half a second.
 */
export function secondsOf(work: () => void): number {
  const timed = (calls: number) => {
    const start = performance.now();
    for (let i = 0; i < calls; i++) work();
    return (performance.now() - start) / 1000 / calls;
  };
  const first = timed(1);
  if (first > 0.5) return first;
  // The first calls run before the compiler has seen them.
  const warm = performance.now();
  for (let i = 0; i < 2000 && performance.now() - warm < 40; i++) work();
  const calls = Math.max(Math.ceil(0.005 / Math.max(timed(first < 0.01 ? 10 : 1), 1e-8)), 1);
  let best = first;
  const begin = performance.now();
  for (let i = 0; i < 3 || performance.now() - begin < 200; i++) best = Math.min(best, timed(calls));
  return best;
}
