/**
 * What bundlers may leave out: `sideEffects` of package.json names the modules that do something for others as they load, and
 * without which a program would be wrong.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type BuildOptions, build } from 'esbuild';
import { beforeAll, describe, expect, test } from 'vitest';
import { project, run, write } from './support.ts';

/** Each imports little, and needs what nothing that it imports names. */
const programs = {
  methods: `
    import { tensor } from 'axpy';
    const methods = Object.getOwnPropertyNames(Object.getPrototypeOf(tensor(1)));
    console.log(methods.join(' '), tensor([1, 2]).add(1).sum().item());`,
  layers: `
    import { layerFrom } from 'axpy';
    for (const config of CONFIGS) console.log(JSON.stringify(layerFrom(config).config));`,
  names: `
    import { Dense, Sequential } from 'axpy';
    try {
      new Sequential([new Dense(1, 2), new Dense(3, 4)], { inputShape: [1] });
    } catch (error) {
      console.log(error.name, error.message);
    }`,
  training: `
    import { Dense, fit, predict, seed, Sequential, SGD } from 'axpy';
    seed(1);
    const model = new Sequential([new Dense(1, 4, { activation: 'tanh' }), new Dense(4, 1)]);
    const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
    const { epochs } = await fit(model, { x: [[1], [2]], y: [[1], [2]] }, { loss: 'mse', optimizer, epochs: 9 });
    console.log(epochs.map(({ loss }) => loss).join(' '));`,
};

/** Every layer there is, as all of the library tells. */
const configs = `
  import * as axpy from 'axpy';
  const layers = [
    new axpy.Dense(2, 2), new axpy.Conv1D(1, 1, 1), new axpy.Conv2D(1, 1, 1), new axpy.ConvTranspose2D(1, 1, 1),
    new axpy.MaxPool2D(2), new axpy.AvgPool2D(2), new axpy.GlobalAvgPool2D(), new axpy.BatchNorm(1), new axpy.LayerNorm(1),
    new axpy.RMSNorm(1), new axpy.MultiHeadAttention(2, 1),
    new axpy.PositionEmbedding(2, 2), new axpy.TransformerBlock(2, 1), new axpy.TransformerDecoderBlock(2, 1),
    new axpy.GroupNorm(1, 1),
    new axpy.MaxPool1D(2), new axpy.AvgPool1D(2), new axpy.GlobalAvgPool1D(), new axpy.GlobalMaxPool1D(), new axpy.GlobalMaxPool2D(),
    new axpy.RandomFlip(), new axpy.RandomCrop(1, 1), new axpy.RandomBrightness(1), new axpy.RandomContrast(1),
    new axpy.RandomRotation(0.1), new axpy.RandomZoom(0.1), new axpy.RandomTranslation(0.1, 0.1),
    new axpy.PReLU(), new axpy.Reshape([1]), new axpy.Add(), new axpy.Multiply(), new axpy.Concatenate(),
    new axpy.Residual(new axpy.ReLU()),
    new axpy.Graph({ inputs: ['x'], layers: { y: { layer: new axpy.ReLU(), from: 'x' } }, outputs: 'y' }),
    new axpy.Pad(1), new axpy.Upsample(2), new axpy.Flatten(), new axpy.Embedding(2, 1),
    new axpy.LSTM(1, 1), new axpy.GRU(1, 1), new axpy.RNN(1, 1), new axpy.Dropout(0.5), new axpy.Activation('relu'),
    new axpy.ReLU(), new axpy.LeakyReLU(), new axpy.ELU(), new axpy.GELU(), new axpy.SiLU(), new axpy.Softplus(),
    new axpy.Sigmoid(), new axpy.Tanh(), new axpy.Softmax(), new axpy.Sequential([new axpy.ReLU()]),
    new axpy.Normalize(1), new axpy.Rescale(2), new axpy.OneHot(3), new axpy.StringLookup(['a']),
    new axpy.Columns({ a: new axpy.Normalize(1) }),
    new axpy.OnnxModel({
      inputs: [{ name: 'x', dtype: 'float32', shape: null }], outputs: [{ name: 'y', dtype: 'float32', shape: null }],
      tensors: [], constants: {}, opset: 17, layout: 'NCHW',
      nodes: [{ op: 'Relu', name: '', inputs: ['x'], outputs: ['y'], attributes: {} }],
    }),
  ];
  const known = new Set(layers.map(({ constructor }) => constructor));
  const missing = Object.values(axpy).filter((one) => one.prototype instanceof axpy.Layer && !known.has(one) && one !== axpy.Lambda);
  if (missing.length > 0) throw new Error(missing.map(({ name }) => name).join(' '));
  console.log(JSON.stringify(layers.map(({ config }) => config)));`;

let folder: string;

async function output(file: string): Promise<string> {
  const { code, stdout, stderr } = await run(folder, process.execPath, [file], { AXPY_BACKEND: 'fallback' });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

async function bundled(name: string, options: BuildOptions = {}): Promise<string> {
  const outfile = `out/${name}.mjs`;
  await build({
    absWorkingDir: folder,
    entryPoints: [`${name}.mjs`],
    outfile,
    bundle: true,
    minify: true,
    platform: 'node',
    format: 'esm',
    external: ['cli-progress'],
    logLevel: 'error',
    ...options,
  });
  return outfile;
}

beforeAll(async () => {
  folder = await project();
  write(folder, { 'configs.mjs': configs });
  const known = (await output('configs.mjs')).trim();
  for (const [name, text] of Object.entries(programs)) {
    write(folder, { [`${name}.mjs`]: text.replace('CONFIGS', known) });
  }
});

describe('a bundle without what it may leave out', () => {
  test.each(Object.keys(programs))('does the same: %s', async (name) => {
    const expected = await output(`${name}.mjs`);
    expect(expected).not.toBe('');
    expect(await output(await bundled(name))).toBe(expected);
  });

  test('is smaller', async () => {
    const size = async (options?: BuildOptions) =>
      statSync(join(folder, await bundled('methods', options))).size;
    const all = await size({ ignoreAnnotations: true });
    expect(await size()).toBeLessThan(0.95 * all);
  });
});
