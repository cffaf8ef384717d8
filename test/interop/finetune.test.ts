/** A network of PyTorch, trained on here, served by onnxruntime (where python3-torch is installed). */
import { fileURLToPath } from 'node:url';
import { expect, it, vi } from 'vitest';
import { hasTorch, runPython } from '../files/python.ts';
import { temporaryFolder } from '../files/temporary.ts';
import { runtime } from '../onnx/runtime.ts';

it.runIf(hasTorch && runtime !== null)(
  'comes in, learns other classes and goes out',
  async () => {
    vi.spyOn(console, 'log').mockImplementation(() => {});
    const folder = temporaryFolder();
    runPython(fileURLToPath(new URL('../../examples/interop/pretrain.py', import.meta.url)), folder, '600');
    const { finetune } = await import('../../examples/interop/finetune.ts');
    const { accuracy, difference } = await finetune(folder, { epochs: 2, few: 100 });
    expect(accuracy).toBeGreaterThan(0.6);
    expect(difference).toBeLessThan(1e-4);
  },
  120_000,
);
