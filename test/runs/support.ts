/** A training that is looked at, and images read by a reader that shares nothing with what writes them. */
import { inflateSync } from 'node:zlib';
import {
  type Callback,
  Dense,
  type FitOptions,
  fit,
  type Layer,
  randn,
  Sequential,
  SGD,
  seed,
  type Tensor,
} from '../../lib/index.ts';

/** A network of two layers in whose epochs there are four batches, the last one of two examples. */
export function network(): { model: Layer; data: { x: Tensor; y: Tensor } } {
  seed(3);
  const model = new Sequential([new Dense(5, 7, { activation: 'tanh' }), new Dense(7, 2)]);
  const data = { x: randn([14, 5]), y: randn([14, 2]) };
  return { model, data };
}

export const batchesOfEpoch = 4;

export function train(callbacks: Callback[], options: Partial<FitOptions> = {}, { model, data } = network()) {
  const optimizer = new SGD(model.parameters(), { learningRate: 0.05, momentum: 0.9 });
  return fit(model, data, {
    loss: 'mse',
    optimizer,
    epochs: 3,
    batchSize: 4,
    callbacks,
    ...options,
  } as FitOptions);
}

/** Says with what steps were made. */
export function watching(
  note: (values: { weights: number[][]; gradients: number[][]; step: number }) => void,
): Callback {
  return {
    onBatchEnd({ model, step }) {
      const parameters = model.parameters();
      const weights = parameters.map(({ data }) => Array.from(data));
      note({ weights, gradients: parameters.map(({ grad }) => Array.from(grad!.data)), step });
    },
  };
}

/** What a PNG of 8 bits without filters and interlacing says. @throws for any other */
export function readPng(bytes: Uint8Array): {
  width: number;
  height: number;
  type: number;
  pixels: number[][];
} {
  const file = Buffer.from(bytes);
  if (file.subarray(0, 8).toString('latin1') !== '\x89PNG\r\n\x1a\n') throw new Error('no PNG');
  const chunks: { type: string; data: Buffer }[] = [];
  for (let at = 8; at < file.length; ) {
    const length = file.readUInt32BE(at);
    const [type, data] = [file.toString('latin1', at + 4, at + 8), file.subarray(at + 8, at + 8 + length)];
    let crc = 0xffffffff;
    for (const byte of file.subarray(at + 4, at + 8 + length)) {
      crc ^= byte;
      for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
    if (~crc >>> 0 !== file.readUInt32BE(at + 8 + length)) throw new Error(`a wrong sum of ${type}`);
    chunks.push({ type, data });
    at += 12 + length;
  }
  if (chunks.map(({ type }) => type).join() !== 'IHDR,IDAT,IEND') throw new Error('other chunks');
  const [{ data: header }, { data }] = chunks;
  const [width, height, type] = [header.readUInt32BE(0), header.readUInt32BE(4), header[9]];
  if (header[8] !== 8 || header[10] + header[11] + header[12] !== 0) throw new Error('another kind');
  const rows = inflateSync(data);
  const line = width * { 0: 1, 2: 3, 6: 4 }[type]!;
  if (rows.length !== height * (line + 1)) throw new Error('another length');
  const pixels = Array.from({ length: height }, (_, y) => {
    if (rows[y * (line + 1)] !== 0) throw new Error('a filter');
    return [...rows.subarray(y * (line + 1) + 1, (y + 1) * (line + 1))];
  });
  return { width, height, type, pixels };
}
