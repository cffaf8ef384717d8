/** `axpy inspect` and `axpy export`: numbers that somebody else would find, files that others read. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { expect, test } from 'vitest';
import {
  Dense,
  exportOnnx,
  loadNpz,
  loadSafetensors,
  Sequential,
  SGD,
  saveCheckpoint,
  saveModel,
  saveNpy,
  saveNpz,
  saveSafetensors,
  tensor,
} from '../../lib/index.ts';
import { axpy, bin, csvOf, flowerNames, flowers, folderOf, houseNames, houses, quick } from './support.ts';

test('tensors: what they are like, and what is not a number', async () => {
  const folder = folderOf({});
  const values = [3, -1, Number.NaN, 4, 1.5, Number.POSITIVE_INFINITY];
  await saveSafetensors(join(folder, 'a.safetensors'), {
    bad: tensor(values, { shape: [2, 3] }),
    whole: tensor([1, 2, 3], { dtype: 'int32' }),
    none: tensor([], { shape: [0, 4] }),
  });
  const { code, stdout } = await axpy(folder, ['inspect', 'a.safetensors', '--json']);
  expect(code).toBe(0);
  const { tensors, total } = JSON.parse(stdout);
  const byName = Object.fromEntries(tensors.map((one: { name: string }) => [one.name, one]));
  const mean = (3 - 1 + 4 + 1.5) / 4;
  const std = Math.sqrt(((3 - mean) ** 2 + (-1 - mean) ** 2 + (4 - mean) ** 2 + (1.5 - mean) ** 2) / 4);
  expect(byName.bad).toMatchObject({
    shape: [2, 3],
    dtype: 'F32',
    bytes: 24,
    min: -1,
    max: 4,
    nan: 1,
    infinite: 1,
    mean,
  });
  expect(byName.bad.std).toBeCloseTo(std, 12);
  expect(byName.whole).toMatchObject({ dtype: 'I32', min: 1, max: 3, mean: 2, nan: 0 });
  expect(byName.none).toMatchObject({ shape: [0, 4], bytes: 0, min: null, mean: null });
  expect(total).toEqual({ tensors: 3, numbers: 9, bytes: 36, nan: 1, infinite: 1 });
  const checked = await axpy(folder, ['inspect', 'a.safetensors', '--check']);
  expect(checked.code).toBe(3);
  expect(checked.stdout).toContain('not numbers: bad (1 NaN, 1 infinite)\n');
  // The guard of a pipeline, and nothing in colours where nobody looks.
  expect(checked.stdout).not.toContain('\u001b');
});

test('models, checkpoints, arrays of NumPy, ONNX', async () => {
  const folder = folderOf({});
  const at = (name: string) => join(folder, name);
  const model = new Sequential([new Dense(2, 3), new Dense(3, 1)], { inputShape: [2] });
  await saveModel(at('model.safetensors'), model, { metadata: { trained: 'today' } });
  await saveCheckpoint(at('checkpoint.safetensors'), {
    model,
    optimizer: new SGD(model.parameters(), { learningRate: 1 }),
    step: 1,
  });
  await saveNpz(at('a.npz'), { x: tensor([[1, 2]]) });
  await saveNpy(at('a.npy'), tensor([[1, 2]]));
  await exportOnnx(model, at('model.onnx'));
  const inspect = (name: string) => axpy(folder, ['inspect', name]);
  const [saved, checkpoint, npz, npy, onnx] = await Promise.all(
    ['model.safetensors', 'checkpoint.safetensors', 'a.npz', 'a.npy', 'model.onnx'].map(inspect),
  );
  expect([saved, checkpoint, npz, npy, onnx].map(({ code, stderr }) => [code, stderr])).toEqual(
    Array(5).fill([0, '']),
  );
  expect(saved.stdout).toMatch(/: model, .*\ntrained: today\n/);
  expect(saved.stdout).toContain(model.summary());
  expect(saved.stdout).toMatch(/0\.weight +\[3, 2\] +F32 +24 /);
  expect(checkpoint.stdout).toContain('checkpoint of a training');
  expect(npz.stdout).toContain('arrays of NumPy');
  expect(npy.stdout).toMatch(/array +\[1, 2\] +float32 +8 +1 +2 +1\.5 +0\.5 +0 +0\n/);
  expect(onnx.stdout).toMatch(/: ONNX model/);
  expect(onnx.stdout).toContain('4 tensors, 13 numbers');
});

test('a reader that has enough is no error', async () => {
  const folder = folderOf({ 'data.csv': csvOf([flowerNames, ...flowers(60)]) });
  await axpy(folder, ['train', 'data.csv', '-t', 'colour', ...quick]);
  const long = csvOf([flowerNames, ...Array.from({ length: 400 }, (_, i) => flowers(60, i)).flat()]);
  const child = spawn(process.execPath, [bin, 'predict', 'model.safetensors', '-'], {
    cwd: folder,
    env: { ...process.env, AXPY_GUARD: '' },
  });
  let errors = '';
  child.stderr.on('data', (text) => {
    errors += text;
  });
  child.stdout.once('data', () => child.stdout.destroy());
  child.stdin.on('error', () => undefined);
  child.stdin.end(long);
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
});

interface Guide {
  classes?: string[];
  inputs: { name: string; dtype: string; vocabulary?: string[] }[];
}

test.each([
  ['numbers', houseNames, houses(120), 'price', ['network', 'linear']],
  ['classes', flowerNames, flowers(120), 'colour', ['network']],
] as const)('a model of %s in onnxruntime says the same', async (_, names, rows, target, kinds) => {
  const folder = folderOf({ 'data.csv': csvOf([names, ...rows]) });
  for (const kind of kinds) {
    const trained = await axpy(folder, [
      'train',
      'data.csv',
      '-t',
      target,
      ...quick,
      '--networks',
      '2',
      '--model',
      kind,
    ]);
    expect(trained.code, trained.stderr).toBe(0);
    const exported = await axpy(folder, [
      'export',
      'model.safetensors',
      '--onnx',
      'model.onnx',
      '--npz',
      'model.npz',
      '--weights',
      'w.safetensors',
    ]);
    expect(exported.code, exported.stderr).toBe(0);
    const [npz, weights] = [
      await loadNpz(join(folder, 'model.npz')),
      await loadSafetensors(join(folder, 'w.safetensors')),
    ];
    expect(Object.keys(npz).sort()).toEqual(Object.keys(weights).sort());
    const guide = JSON.parse(readFileSync(join(folder, 'model.onnx.json'), 'utf8')) as Guide;
    const n = rows.length;
    const feeds = guide.inputs.map(({ name, vocabulary }) => {
      const cells = rows.map((row) => row[names.indexOf(name as never)]);
      return vocabulary === undefined
        ? [name, new ort.Tensor('float32', Float32Array.from(cells, Number), [n, 1])]
        : [
            name,
            new ort.Tensor(
              'int32',
              Int32Array.from(cells, (cell) => vocabulary.indexOf(String(cell)) + 1),
              [n],
            ),
          ];
    });
    const session = await ort.InferenceSession.create(join(folder, 'model.onnx'));
    const { output } = await session.run(Object.fromEntries(feeds));
    const { stdout } = await axpy(folder, [
      'predict',
      'model.safetensors',
      'data.csv',
      ...(guide.classes ? ['--proba'] : []),
    ]);
    const lines = stdout
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.split(','));
    const width = output.dims[1];
    lines.forEach((line, i) => {
      for (let k = 0; k < width; k++) {
        const [own, other] = [
          Number(line[guide.classes ? k + 1 : 0]),
          (output.data as Float32Array)[i * width + k],
        ];
        expect(Math.abs(own - other)).toBeLessThan(guide.classes ? 1e-5 : 1e-4 * Math.abs(own));
      }
    });
  }
});
