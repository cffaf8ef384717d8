/**
 * The file of a checkpoint: safetensors, in which the model's tensors have their own names, all others begin with
 * `checkpoint:`, and the metadata hold what is no tensor, with sums by which damage shows that leaves a file its length.
 */
import type { Json } from '../layers/config.ts';
import type { Tensor } from '../tensor.ts';
import { blocksOf, Turns } from './bytes.ts';
import { Digest, digest, digestOfText } from './digest.ts';
import { partsOf } from './safetensors.ts';

interface Content {
  readonly json: Json;
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly architecture: Readonly<Record<string, string>>;
}

/** Tensors whose names begin so are not the model's: a checkpoint has them. */
export const checkpointPrefix = 'checkpoint:';

/** Of the metadata: JSON of all that is no tensor, and the sum of that text. */
export const entry = 'checkpoint';
export const sumEntry = 'checkpoint.sum';
/** Which training wrote it, beside others in its folder. */
export const runEntry = 'checkpoint.run';

export type Sums = Readonly<Record<string, number>>;

function assemble(op: string, { json, tensors, architecture }: Content, sums: Sums): Uint8Array[] {
  const text = JSON.stringify({ state: json, sums });
  return partsOf(op, [...tensors], {
    ...architecture,
    [entry]: text,
    [sumEntry]: String(digestOfText(text)),
  });
}

const joined = ({ dtype, shape }: Tensor, numbers: number) =>
  (digestOfText(`${dtype} ${shape}`) ^ numbers) >>> 0;

/** Of what a tensor is, which a header says, and of its numbers; of one with a Storage of its own. */
const sumOf = (x: Tensor): number => joined(x, digest(x.storage.array!));

/** The same without keeping the event loop for long. */
export async function sumLater(x: Tensor, turns: Turns): Promise<number> {
  const digest = new Digest();
  for (const block of blocksOf([x.storage.array!])) {
    digest.add(block);
    await turns.after(block.length);
  }
  return joined(x, digest.sum);
}

/** Its file, in parts that follow each other. */
export function encodeParts(op: string, content: Content): Uint8Array[] {
  return assemble(
    op,
    content,
    Object.fromEntries(Array.from(content.tensors, ([name, x]) => [name, sumOf(x)])),
  );
}

/** The same without keeping the event loop for long. */
export async function encodeLater(op: string, content: Content): Promise<Uint8Array[]> {
  const turns = new Turns();
  const sums: [string, number][] = [];
  for (const [name, x] of content.tensors) sums.push([name, await sumLater(x, turns)]);
  return assemble(op, content, Object.fromEntries(sums));
}
