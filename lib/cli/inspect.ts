/** `axpy inspect`: what is in a file of a model, a checkpoint or tensors, and whether its numbers are numbers. */
import { stat } from 'node:fs/promises';
import { importOnnx, loadModel, safetensorsHeader } from '../index.ts';
import type { Command, Given } from './command.ts';
import { type Description, descriptionIn } from './description.ts';
import { type Facts, factsIn, type Kind, kindOf } from './tensors.ts';
import { bold, bytes, counted, figure, isUnread, say, some, table } from './terminal.ts';

const op = 'inspect';

/** Beside 0, 1 and 2: numbers that are none were found by `--check`. */
const foundNone = 3;

interface Content {
  readonly kind: string;
  /** What `summary()` of the model returns, or why there is none. */
  readonly summary?: string;
  readonly description?: Description | undefined;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A model's summary; why there is none where its layers are not known here. */
async function summaryOf(load: () => Promise<{ summary(): string }>): Promise<string> {
  try {
    return (await load()).summary();
  } catch (error) {
    if ((error as { code?: string }).code !== 'AXPY_ARGUMENT') throw error;
    return (error as Error).message;
  }
}

async function contentOf(path: string, kind: Kind): Promise<Content> {
  if (kind === 'onnx')
    return { kind: 'ONNX model', summary: await summaryOf(() => importOnnx(path)), metadata: {} };
  if (kind !== 'safetensors')
    return { kind: kind === 'npy' ? 'array of NumPy' : 'arrays of NumPy', metadata: {} };
  const { metadata } = await safetensorsHeader(path);
  const isOurs = (name: string) => name.startsWith('axpy') || name === 'table' || name === 'checkpoint';
  const others = Object.fromEntries(Object.entries(metadata).filter(([name]) => !isOurs(name)));
  const hasModel = Object.hasOwn(metadata, 'axpy.model');
  const isCheckpoint = Object.hasOwn(metadata, 'checkpoint');
  return {
    kind: isCheckpoint ? 'checkpoint of a training' : hasModel ? 'model' : 'tensors (safetensors)',
    ...(hasModel ? { summary: await summaryOf(() => loadModel(path)) } : {}),
    description: hasModel ? descriptionIn(op, path, metadata) : undefined,
    metadata: others,
  };
}

const isBad = ({ nan, infinite }: Facts) => nan + infinite > 0;

/** What is wrong with numbers, in words. */
function complaint(bad: readonly Facts[]): string {
  const of = ({ name, nan, infinite }: Facts) =>
    `${name} (${[nan > 0 ? `${nan} NaN` : '', infinite > 0 ? `${infinite} infinite` : ''].filter(Boolean).join(', ')})`;
  const shown =
    bad.slice(0, 20).map(of).join(', ') + (bad.length > 20 ? `, and ${bad.length - 20} more` : '');
  return `not numbers: ${shown}`;
}

async function tell(path: string, size: number, content: Content, tensors: readonly Facts[]): Promise<void> {
  const { kind, summary, description, metadata } = content;
  await say(`${bold(path)}: ${kind}, ${bytes(size)}\n`);
  if (description !== undefined) {
    const { target, classes, columns, scores } = description;
    const what = classes === undefined ? 'numbers' : `${classes.length} classes`;
    await say(
      `predicts ${target} (${what}) from ${counted(columns.length, 'column')}: ${some(columns.map(({ name }) => name))}\n`,
    );
    const own = Object.entries(scores ?? {}).map(([name, value]) => `${name} ${figure(value)}`);
    if (own.length > 0) await say(`held out: ${own.join(', ')}\n`);
  }
  for (const [name, value] of Object.entries(metadata)) await say(`${name}: ${value.slice(0, 200)}\n`);
  if (summary !== undefined) await say(`\n${summary}\n`);
  const heads = ['tensor', 'shape', 'dtype', 'bytes', 'min', 'max', 'mean', 'std', 'NaN', 'infinite'];
  const rows = tensors.map((one) => [
    one.name,
    `[${one.shape.join(', ')}]`,
    one.dtype,
    one.bytes.toLocaleString('en-US'),
    ...[one.min, one.max, one.mean, one.std].map((value) => (Number.isNaN(value) ? '-' : figure(value))),
    String(one.nan),
    String(one.infinite),
  ]);
  await say(`\n${table([heads, ...rows], 3)}`);
}

function totalOf(tensors: readonly Facts[]) {
  const sum = (of: (one: Facts) => number) => tensors.reduce((total, one) => total + of(one), 0);
  return {
    tensors: tensors.length,
    numbers: sum(({ shape }) => shape.reduce((product, length) => product * length, 1)),
    bytes: sum((one) => one.bytes),
    nan: sum(({ nan }) => nan),
    infinite: sum(({ infinite }) => infinite),
  };
}

async function run(given: Given): Promise<number> {
  const [path] = given.files;
  const kind = await kindOf(op, path);
  const content = await contentOf(path, kind);
  const { size } = await stat(path);
  const tensors: Facts[] = [];
  for await (const facts of factsIn(path, kind)) {
    tensors.push(facts);
    if (isUnread()) return 0;
  }
  const total = totalOf(tensors);
  const bad = tensors.filter(isBad);
  if (given.values.json === true) {
    // JSON has no NaN: null stands for it.
    await say(`${JSON.stringify({ file: path, size, ...content, tensors, total }, null, 2)}\n`);
  } else {
    await tell(path, size, content, tensors);
    await say(
      `\n${counted(total.tensors, 'tensor')}, ${counted(total.numbers, 'number')}, ${bytes(total.bytes)}\n`,
    );
    await say(bad.length === 0 ? 'all numbers are finite\n' : `${bold(complaint(bad))}\n`);
  }
  return given.values.check === true && bad.length > 0 ? foundNone : 0;
}

export const command: Command = {
  name: op,
  files: ['FILE'],
  text: "Shows what is in a file of safetensors (models, checkpoints, anybody's weights), ONNX, npy or npz: layers, and of each tensor its\nshape, its smallest and largest number, mean, deviation, and how many are NaN or infinite.",
  options: {
    json: { type: 'boolean', text: 'as JSON' },
    check: { type: 'boolean', text: `exit code ${foundNone} where a number is NaN or infinite` },
  },
  examples: ['axpy inspect model.safetensors'],
  run,
};
