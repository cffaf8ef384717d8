/**
 * Sums by which damage shows that leaves a file its length, in the metadata of models and checkpoints: of each tensor, and of
 * what the metadata say beside. Users' own metadata, and files of others, have none.
 */
import { isRecord } from '../arguments.ts';
import { FormatError } from '../errors.ts';
import type { Tensor } from '../tensor.ts';
import { blocksOf, type Turns } from './bytes.ts';
import { Digest, digestOfText } from './digest.ts';
import { parse } from './json.ts';

/** By the names of tensors, each of eight digits, so that metadata have their length before they are known. */
export type Sums = Readonly<Record<string, string>>;

const digits = (sum: number): string => sum.toString(16).padStart(8, '0');

/** What stands for one that is not known yet. */
export const unknownSum: string = digits(0);

const sumsEntry = 'axpy.sums';
const sealEntry = 'axpy.sum';

/** What the library writes itself. */
export const isReserved = (name: string): boolean => /^(axpy|checkpoint)(\.|$)/.test(name);

/** Of what a tensor is, which a header says, and of its numbers. */
export const joined = ({ dtype, shape }: Tensor, numbers: Digest): string =>
  digits((digestOfText(`${dtype} ${shape}`) ^ numbers.sum) >>> 0);

/** The sum of one with a Storage of its own. */
export const sumOf = (x: Tensor): string => joined(x, new Digest().add(x.storage.array!));

/** The same without keeping the event loop for long. */
export async function sumLater(x: Tensor, turns: Turns): Promise<string> {
  const digest = new Digest();
  for (const block of blocksOf([x.storage.array!])) {
    digest.add(block);
    await turns.after(block.length);
  }
  return joined(x, digest);
}

/** Of all that is ours in the metadata. */
function sealOf(metadata: Readonly<Record<string, string>>): string {
  const own = Object.entries(metadata).filter(([name]) => isReserved(name) && name !== sealEntry);
  own.sort(([a], [b]) => (a < b ? -1 : 1));
  return digits(digestOfText(JSON.stringify(own)));
}

/** The metadata with the sums of tensors, and that of what they say themselves. */
export function sealed(metadata: Readonly<Record<string, string>>, sums: Sums): Record<string, string> {
  const all = { ...metadata, [sumsEntry]: JSON.stringify(sums) };
  return { ...all, [sealEntry]: sealOf(all) };
}

export const damaged = (what: string): FormatError =>
  new FormatError(
    `expected ${what.slice(0, 200)} as it was written, got a damaged file, or one that something else has changed: of such a ` +
      `one remove ${sumsEntry} and ${sealEntry} from the metadata`,
  );

/** The sums of tensors; null for a file without. @throws FormatError where the metadata are not as they were written */
export function readSums(metadata: Readonly<Record<string, string>>): Sums | null {
  if (!Object.hasOwn(metadata, sumsEntry) && !Object.hasOwn(metadata, sealEntry)) return null;
  if (metadata[sealEntry] !== sealOf(metadata)) throw damaged('the metadata');
  const sums = parse(metadata[sumsEntry] ?? '');
  if (isRecord(sums)) return sums as Sums;
  throw damaged('the metadata');
}
