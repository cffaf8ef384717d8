/**
 * The file of a checkpoint: safetensors, in which the model's tensors have their own names, all others begin with
 * `checkpoint:`, and the metadata hold what is no tensor, with sums by which damage shows that leaves a file its length.
 */
import type { Json } from '../layers/config.ts';
import { turn } from '../platform.ts';
import type { Tensor } from '../tensor.ts';
import { digest, digestOfText } from './digest.ts';
import { partsOf } from './safetensors.ts';

interface Content {
  readonly json: Json;
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly architecture: Readonly<Record<string, string>>;
}

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

/** Of what a tensor is, which a header says, and of its numbers; of one with a Storage of its own. */
export const sumOf = ({ dtype, shape, storage }: Tensor): number =>
  (digestOfText(`${dtype} ${shape}`) ^ digest(storage.array!)) >>> 0;

/** Its file, in parts that follow each other. */
export function encodeParts(op: string, content: Content): Uint8Array[] {
  return assemble(
    op,
    content,
    Object.fromEntries(Array.from(content.tensors, ([name, x]) => [name, sumOf(x)])),
  );
}

/** So many bytes are added up before others have their turn. */
const most = 2 ** 24;

/** The same without keeping the event loop for long. */
export async function* encodeLater(op: string, content: Content): AsyncGenerator<Uint8Array> {
  const sums: [string, number][] = [];
  let bytes = 0;
  for (const [name, x] of content.tensors) {
    sums.push([name, sumOf(x)]);
    bytes += x.storage.array!.byteLength;
    if (bytes < most) continue;
    bytes = 0;
    await turn();
  }
  yield* assemble(op, content, Object.fromEntries(sums));
}
