/** TensorBoard's files, held against bytes of TensorBoard's own and read by a reader that shares nothing with what writes them. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, test } from 'vitest';
import { checkpoint, confusionMatrix, FileError, tensor } from '../../lib/index.ts';
import { readRun, runFolder, tensorBoard } from '../../lib/runs/index.ts';
import { crc32c } from '../../lib/runs/records.ts';
import { eventRecord } from '../../lib/runs/tensorBoard.ts';
import { temporaryFolder } from '../files/temporary.ts';
import { rejection } from '../train/support.ts';
import { network, readPng, train } from './support.ts';

test('CRC-32C of RFC 3720, appendix B.4, and of the catalogue of parametrised CRC algorithms', () => {
  const known: [Uint8Array, number][] = [
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(0xff), 0x62a8ab43],
    [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    [Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
    [new TextEncoder().encode('123456789'), 0xe3069283],
    [new Uint8Array(0), 0],
  ];
  for (const [bytes, sum] of known) expect(crc32c(bytes)).toBe(sum);
});

// ── a reader ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A message as its fields, in order; what is of a length as its bytes. */
function fieldsOf(bytes: Buffer): { number: number; value: number | Buffer }[] {
  const fields: { number: number; value: number | Buffer }[] = [];
  let at = 0;
  const varint = () => {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    const kind = tag % 8;
    if (kind === 0) fields.push({ number, value: varint() });
    else if (kind === 1) fields.push({ number, value: bytes.readDoubleLE(at) });
    else if (kind === 5) fields.push({ number, value: bytes.readFloatLE(at) });
    else if (kind === 2) {
      const length = varint();
      fields.push({ number, value: bytes.subarray(at, at + length) });
      at += length;
    } else throw new Error(`wire type ${kind}`);
    at += kind === 1 ? 8 : kind === 5 ? 4 : 0;
  }
  if (at !== bytes.length) throw new Error('a message that goes on');
  return fields;
}

const one = (bytes: Buffer, ...path: number[]): number | Buffer | undefined => {
  const [number, ...rest] = path;
  const value = fieldsOf(bytes).find((field) => field.number === number)?.value;
  return rest.length === 0 || value === undefined ? value : one(value as Buffer, ...rest);
};
const text = (bytes: Buffer, ...path: number[]) => String(one(bytes, ...path) ?? '');

/** The masked sum of a record by the polynomial, bit by bit. */
function sumOf(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  crc = ~crc >>> 0;
  const rotated = (BigInt(crc) >> 15n) | BigInt.asUintN(32, BigInt(crc) << 17n);
  return Number(BigInt.asUintN(32, rotated + 0xa282ead8n));
}

function recordsOf(file: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    const data = file.subarray(at + 12, at + 12 + length);
    expect(file.readUInt32LE(at + 8)).toBe(sumOf(file.subarray(at, at + 8)));
    expect(file.readUInt32LE(at + 12 + length)).toBe(sumOf(data));
    records.push(data);
    at += 16 + length;
  }
  return records;
}

interface Told {
  step: number;
  tag: string;
  value: Buffer;
}

/** The records of the only file in a folder, and the values in them. */
function read(folder: string): { records: Buffer[]; values: Told[] } {
  const [name, ...others] = readdirSync(folder);
  expect(others).toEqual([]);
  expect(name).toMatch(/^events\.out\.tfevents\.\d{10}\.[\w.-]+\.\d+\.\d+$/);
  const records = recordsOf(readFileSync(join(folder, name)));
  const values = records.flatMap((record) => {
    const step = Number(one(record, 2) ?? 0);
    const summary = one(record, 5) as Buffer | undefined;
    if (summary === undefined) return [];
    return fieldsOf(summary).map(({ value }) => ({
      step,
      tag: text(value as Buffer, 1),
      value: value as Buffer,
    }));
  });
  return { records, values };
}

// ── tests ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const all = { every: 0, norms: 0, histograms: 0 } as const;

it('says what a folder of the same run says', async () => {
  const folder = temporaryFolder();
  const [board, run] = [join(folder, 'board'), runFolder({ folder, name: 'run', ...all })];
  const own = tensorBoard({ folder: board, ...all });
  await train([run, own], { metrics: ['r2'], validation: network().data } as object);
  const { events } = await readRun(run.path!);
  const { records, values } = read(board);
  expect(text(records[0], 3)).toBe('brain.Event:2');
  expect(fieldsOf(records[0]).map(({ number }) => number)).toEqual([1, 3]);
  for (const record of records)
    expect(Math.abs((one(record, 1) as number) - Date.now() / 1000)).toBeLessThan(60);

  const scalars = (tag: string) =>
    values.filter((value) => value.tag === tag).map(({ step, value }) => [step, one(value, 2)]);
  const expected: Record<string, [number, number][]> = {};
  const expect32 = (tag: string, step: number, value: number) => {
    expected[tag] ??= [];
    expected[tag].push([step, Math.fround(value)]);
  };
  for (const event of events) {
    const { step } = event;
    if (event.type === 'batch') {
      expect32('loss/batch', step, event.loss);
      expect32('learningRate', step, event.learningRate);
    } else if (event.type === 'norms') {
      for (const [name, value] of Object.entries(event.weights))
        expect32(`norms of weights/${name}`, step, value);
      for (const [name, value] of Object.entries(event.gradients))
        expect32(`norms of gradients/${name}`, step, value);
    } else if (event.type === 'epoch') {
      expect32('loss/epoch', step, event.record.loss);
      expect32('r2/epoch', step, event.record.r2);
      expect32('loss/validation', step, event.record.validation!.loss!);
      expect32('r2/validation', step, event.record.validation!.r2);
    }
  }
  for (const [tag, list] of Object.entries(expected)) expect(scalars(tag), tag).toEqual(list);
  const tags = new Set(values.filter(({ value }) => one(value, 2) !== undefined).map(({ tag }) => tag));
  expect([...tags].sort()).toEqual([...Object.keys(expected), 'examplesPerSecond', 'memory'].sort());

  const doubles = (bytes: Buffer) =>
    Array.from({ length: bytes.length / 8 }, (_, i) => bytes.readDoubleLE(8 * i));
  const histograms = events.filter((event) => event.type === 'histograms');
  expect(histograms.length).toBe(12);
  for (const { step, weights, gradients } of histograms) {
    for (const [kind, byName] of Object.entries({ weights, gradients })) {
      for (const [name, { min, max, mean, std, counts }] of Object.entries(byName)) {
        const found = values.filter((value) => value.step === step && value.tag === `${kind}/${name}`);
        expect(found.length).toBe(1);
        const message = one(found[0].value, 5) as Buffer;
        const number = counts.reduce((a, b) => a + b);
        const [low, high, num, sum, squares] = [1, 2, 3, 4, 5].map((field) => one(message, field) as number);
        expect([low, high, num]).toEqual([min, max, number]);
        expect(sum / number).toBeCloseTo(mean, 12);
        expect(squares / number - mean * mean).toBeCloseTo(std * std, 12);
        const limits = doubles(one(message, 6) as Buffer);
        expect(limits.at(-1)).toBe(max);
        for (let i = 1; i < limits.length; i++) expect(limits[i]).toBeGreaterThan(limits[i - 1]);
        expect(doubles(one(message, 7) as Buffer)).toEqual(counts);
      }
    }
  }
  const model = values.find(({ tag }) => tag === 'model')!.value;
  expect([one(model, 8, 1), text(model, 9, 1, 1)]).toEqual([7, 'text']);
  expect(text(model, 8, 8)).toMatch(/^axpy [\d.]+, (native|fallback); SGD\n\n {4}layer +output shape/);
});

it('has what a program adds, numbers that are 0 too', async () => {
  const folder = temporaryFolder();
  const own = tensorBoard({ folder, norms: false });
  await train([own], { epochs: 1 });
  await own.scalars({ 'test.accuracy': 0, other: -0.5 });
  await own.image(
    'picture',
    tensor([
      [0, 1],
      [0.5, 0.25],
    ]),
  );
  await own.histogram('scores', [1, 2]);
  const labels = ['a|b', 'c'];
  await own.confusion(
    confusionMatrix(
      tensor([
        [1, 0],
        [0, 1],
        [1, 0],
      ]),
      [0, 1, 1],
    ),
    { labels },
  );
  const { values } = read(folder);
  const of = (tag: string) => values.filter((value) => value.tag === tag);
  expect(of('test.accuracy').map(({ step, value }) => [step, one(value, 2)])).toEqual([[4, 0]]);
  expect(of('other').map(({ value }) => one(value, 2))).toEqual([-0.5]);
  const [{ value: image }] = of('picture');
  expect([1, 2, 3].map((field) => one(image, 4, field))).toEqual([2, 2, 1]);
  expect(readPng(one(image, 4, 4) as Buffer).pixels).toEqual([
    [0, 255],
    [128, 64],
  ]);
  expect(of('scores').map(({ value }) => one(value, 5, 3))).toEqual([2]);
  expect(text(of('confusion')[0].value, 8, 8)).toBe(
    '| true \\ predicted | a b | c |\n| --- | ---: | ---: |\n| a b | 1 | 0 |\n| c | 1 | 1 |',
  );
});

it('says from which step a training goes on', async () => {
  const folder = temporaryFolder();
  const [keep, board] = [join(folder, 'keep'), join(folder, 'board')];
  const abort = new AbortController();
  const first = train(
    [
      tensorBoard({ folder: board, ...all }),
      checkpoint({ folder: keep, every: 3 }),
      { onBatchEnd: ({ step }) => void (step === 5 && abort.abort()) },
    ],
    { signal: abort.signal },
  );
  expect(await rejection(first)).toMatchObject({ code: 'AXPY_ABORT' });
  rmSync(board, { recursive: true });
  await train([tensorBoard({ folder: board, ...all })], {
    resume: join(keep, 'checkpoint-000000003.safetensors'),
  });
  const { records, values } = read(board);
  // SessionLog.START: what is of step 4 or a later one so far is no more.
  expect([one(records[1], 2), one(records[1], 7, 1)]).toEqual([4, 1]);
  expect(values.filter(({ tag }) => tag === 'loss/batch').map(({ step }) => step)).toEqual([
    4, 5, 6, 7, 8, 9, 10, 11, 12,
  ]);
});

test('a folder that cannot be one', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'file'), '');
  expect(await rejection(train([tensorBoard({ folder: join(folder, 'file') })]))).toBeInstanceOf(FileError);
  expect(() => tensorBoard({} as never)).toThrow(/\[tensorBoard\] expected a path/);
});

/**
 * What TensorBoard 2.21 itself writes, with tensorboard.summary.writer.record_writer.RecordWriter: Event(wall_time=1700000000.25,
 * file_version='brain.Event:2'); Event(wall_time=1700000000.5, step=3, session_log=SessionLog(status=START)); and
 * Event(wall_time=1700000001, step=300, summary=Summary(value=[Value(tag='loss/epoch', simple_value=0.0), Value(tag='h',
 * histo=HistogramProto(min=-1, max=2, num=3, sum=1.5, sum_squares=5.25, bucket_limit=[0.5, 2], bucket=[2, 1]))])).
 */
test('the bytes are those of TensorBoard', () => {
  const histogram = {
    min: -1,
    max: 2,
    num: 3,
    sum: 1.5,
    sumSquares: 5.25,
    bucketLimit: [0.5, 2],
    bucket: [2, 1],
  };
  const values = [
    { tag: 'loss/epoch', scalar: 0 },
    { tag: 'h', histogram },
  ];
  const bytes = Buffer.concat([
    eventRecord({ wallTime: 1700000000.25, step: 0, fileVersion: 'brain.Event:2' }),
    eventRecord({ wallTime: 1700000000.5, step: 3, session: { status: 1 } }),
    eventRecord({ wallTime: 1700000001, step: 300, summary: { values } }),
  ]);
  expect(bytes.toString('hex')).toBe(
    '1800000000000000a37f4b220900001040fc54d9411a0d627261696e2e4576656e743a32338d2fe9' +
      '0f000000000000006d532b090900002040fc54d94110033a02080120ab681c' +
      '79000000000000008a13537b0900004040fc54d94110ac022a6b0a110a0a6c6f73732f65706f6368150000' +
      '00000a560a01682a5109000000000000f0bf11000000000000004019000000000000084021000000000000' +
      'f83f2900000000000015403210000000000000e03f00000000000000403a100000000000000040000000000000' +
      'f03f12447678',
  );
});
