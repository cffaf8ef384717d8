/** Files that were given to what reads others: the message tells what they are. */
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import * as axpy from '../../lib/index.ts';

const {
  Dense,
  encodeModel,
  encodeNpy,
  encodeNpz,
  encodeOnnx,
  loadModel,
  loadNpy,
  loadNpz,
  loadSafetensors,
  tensor,
} = axpy;
const text = (content: string) => new TextEncoder().encode(content);

const files: Record<string, [bytes: Uint8Array | Promise<Uint8Array>, hint: string, readers: string[]]> = {
  'an array of NumPy': [encodeNpy(tensor([1, 2])), 'loadNpy reads it', ['loadNpy']],
  'arrays of NumPy': [
    encodeNpz({ a: tensor([1]) }),
    'loadNpz reads arrays of NumPy; weights of PyTorch',
    ['loadNpz'],
  ],
  'a model': [
    encodeModel(new Dense(1, 1)),
    'loadSafetensors or loadModel reads it',
    ['loadModel', 'loadSafetensors'],
  ],
  'a model of ONNX': [
    encodeOnnx(new Dense(1, 1), { inputShape: [1] }),
    'importOnnx reads it',
    ['importOnnx'],
  ],
  'a pickle': [new Uint8Array([0x80, 4, 0x95, 1, 0, 0, 0, 0, 0, 0, 0, 0x2e]), 'a program of Python', []],
  'what is compressed': [gzipSync('anything, at some length'), 'decompress it first', []],
  'an HDF5 file': [new Uint8Array([0x89, 0x48, 0x44, 0x46, 13, 10, 26, 10, 0, 0, 0, 0]), 'an HDF5 file', []],
  'a pointer': [
    text('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n'),
    'git lfs pull',
    [],
  ],
  'a page': [text('<!DOCTYPE html><html><body>404 Not Found</body></html>'), 'as servers send', []],
  nothing: [new Uint8Array(0), 'it is empty', []],
};
const loaders: Record<string, (bytes: Uint8Array) => Promise<unknown>> = {
  loadModel,
  loadSafetensors,
  loadNpy,
  loadNpz,
  importOnnx: axpy.importOnnx,
  loadCheckpoint: axpy.loadCheckpoint,
};

it.each(Object.entries(files))('%s', async (_, [bytes, hint, readers]) => {
  for (const [name, load] of Object.entries(loaders)) {
    const loading = load(await bytes);
    if (readers.includes(name)) await loading;
    // A model without a state to go on from is a file of the right kind all the same.
    else if (name === 'loadCheckpoint' && readers.includes('loadModel'))
      await expect(loading).rejects.toMatchObject({ code: 'AXPY_FORMAT' });
    else
      await expect(loading).rejects.toMatchObject({
        code: 'AXPY_FORMAT',
        message: expect.stringContaining(hint),
      });
  }
});

it('what is not here is to be fetched', async () => {
  for (const source of ['https://example.org/model', new URL('http://example.org/model')]) {
    await expect(loadModel(source)).rejects.toMatchObject({
      code: 'AXPY_ARGUMENT',
      message: expect.stringContaining('.arrayBuffer()'),
    });
  }
  await expect(loadModel(new Response('x') as never)).rejects.toMatchObject({
    message: expect.stringContaining('.arrayBuffer()'),
  });
});
