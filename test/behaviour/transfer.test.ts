/** The example of transfer: what was learned of other clothes helps, and what is frozen is what the file has. */
import { join } from 'node:path';
import { loadSafetensors, type Tensor } from 'axpy';
import { expect, test } from 'vitest';
import { means, trainTransfer } from '../../examples/transfer.ts';
import { temporaryFolder } from '../files/temporary.ts';

const bits = (x: Tensor) => Buffer.from(x.data.buffer, x.data.byteOffset, x.data.byteLength).toString('hex');

// The fallback learns from fewer images.
const native = process.env.AXPY_BACKEND === 'native';
const shortened = native ? { images: 3000, pool: 900, seeds: 3 } : { images: 600, pool: 150, seeds: 2 };

test('ten images of a class tell more to who has seen other clothes', { timeout: 300_000 }, async () => {
  const folder = temporaryFolder();
  const fronts: Record<string, Tensor>[] = [];
  const { known, rows } = await trainTransfer({
    ...shortened,
    epochs: 4,
    fews: [10],
    steps: 40,
    folder,
    watch: (front) => void fronts.push(front.stateDict()),
  });
  // Of seven classes.
  expect(known).toBeGreaterThan(native ? 0.75 : 0.3);
  const [{ scratch, frozen, tuned }] = means(rows);
  expect(frozen).toBeGreaterThan(scratch + 0.03);
  expect(tuned).toBeGreaterThan(scratch + 0.03);
  // Weights, scales and shifts, running statistics.
  const file = await loadSafetensors(join(folder, 'clothes.safetensors'));
  expect(fronts).toHaveLength(shortened.seeds);
  for (const front of fronts) {
    expect(Object.keys(front)).toHaveLength(17);
    for (const [name, own] of Object.entries(front)) expect(bits(own), name).toBe(bits(file[`0.${name}`]));
  }
});
