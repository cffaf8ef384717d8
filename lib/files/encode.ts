/**
 * The file of a checkpoint: safetensors, in which the model's tensors have their own names, all others begin with
 * `checkpoint:`, and the metadata hold what is no tensor.
 */
import type { Json } from '../layers/config.ts';
import type { Tensor } from '../tensor.ts';
import { Turns } from './bytes.ts';
import { partsOf } from './safetensors.ts';
import { type Sums, sealed, sumLater, sumOf } from './sums.ts';

interface Content {
  readonly json: Json;
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly architecture: Readonly<Record<string, string>>;
}

/** Tensors whose names begin so are not the model's: a checkpoint has them. */
export const checkpointPrefix = 'checkpoint:';

/** Of the metadata: JSON of all that is no tensor. */
export const entry = 'checkpoint';
/** Which training wrote it, beside others in its folder. */
export const runEntry = 'checkpoint.run';

function assemble(op: string, { json, tensors, architecture }: Content, sums: Sums): Uint8Array[] {
  return partsOf(op, [...tensors], sealed({ ...architecture, [entry]: JSON.stringify(json) }, sums));
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
  const sums: [string, string][] = [];
  for (const [name, x] of content.tensors) sums.push([name, await sumLater(x, turns)]);
  return assemble(op, content, Object.fromEntries(sums));
}
