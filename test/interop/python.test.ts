/** What is trained here predicts the same in Python (where python3-torch is installed). */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it, vi } from 'vitest';
import { trainForPython } from '../../examples/interop/train.ts';
import { fromChannelsFirst, loadModel, loadNpz, predict } from '../../lib/index.ts';
import { hasTorch, runPython } from '../files/python.ts';
import { temporaryFolder } from '../files/temporary.ts';

it('a network for images, by files alone', async () => {
  vi.spyOn(console, 'log').mockImplementation(() => {});
  const folder = temporaryFolder();
  const accuracy = await trainForPython(folder, { limit: 300, epochs: 1 });
  const { images, logits } = await loadNpz(join(folder, 'held-out.npz'));
  const loaded = await loadModel(join(folder, 'model.safetensors'));
  expect([...(await predict(loaded, fromChannelsFirst(images))).data]).toEqual([...logits.data]);
  if (!hasTorch) return;
  const script = fileURLToPath(new URL('../../examples/interop/read.py', import.meta.url));
  const said = JSON.parse(runPython(script, folder));
  expect(said.accuracy).toBeCloseTo(accuracy, 6);
  expect(said.difference).toBeLessThan(1e-5);
}, 120_000);
