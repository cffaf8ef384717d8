/** The layers that make features of columns, with what they know of the rows that are learned from. */
import {
  Columns,
  DataError,
  Dense,
  type Layer,
  Normalize,
  OneHot,
  Sequential,
  StringLookup,
  tensor,
} from '../index.ts';
import type { Inputs } from './inputs.ts';

/** How many parts a number's range is cut into at most, and how many rows there are to each at least. */
const mostParts = 16;
const rowsEach = 64;
/** The square of a larger one is beyond float64, and so is what Normalize makes of it. */
const mostNumber = 1e150;
/** How many words of a category have a feature of their own. */
const mostWords = 64;
/** Words that are rarer count as unknown ones, so that what unknown ones mean is learned as well. */
const fewest = 3;

/** Where the range of a number is cut: its smallest and largest value, and between them quantiles, each once. */
export function cutsOf(values: Float64Array): number[] {
  const parts = Math.max(2, Math.min(mostParts, Math.floor(values.length / rowsEach)));
  const sorted = values.slice().sort();
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))];
  return [...new Set(Array.from({ length: parts + 1 }, (_, i) => at(i / parts)))];
}

/**
 * A number as the parts of its range that it has passed, each from 0 to 1 (piecewise linear encoding: Gorishniy, Rubachev & Babenko, "On
 * embeddings for numerical features in tabular deep learning", 2022), less one: a network bends at the cuts as it likes, and what lies
 * beyond them is taken for the nearest that was seen. 1 − clip(z, 0, 1) is relu(1 − relu(z)), so that it is made of layers which travel.
 */
function pieces(normalize: Normalize, values: Float64Array): [layer: Layer, width: number] {
  const cuts = cutsOf(values);
  if (cuts.length < 2) return [normalize, 1];
  const [mean, deviation] = [normalize.mean.item(), Math.sqrt(normalize.variance.item()) || 1];
  const parts = cuts.length - 1;
  const starts = cuts.slice(0, -1);
  const slopes = starts.map((start, i) => deviation / (cuts[i + 1] - start));
  const options = { activation: 'relu', init: 'zeros' } as const;
  const rise = new Dense(1, parts, options);
  rise.weight.assign(tensor(slopes.map((slope) => [slope])));
  rise.bias!.assign(tensor(slopes.map((slope, i) => (slope * (mean - starts[i])) / deviation)));
  const clip = new Dense(parts, parts, options);
  clip.weight.assign(tensor(slopes.map((_, i) => slopes.map((_, j) => (i === j ? -1 : 0)))));
  clip.bias!.assign(tensor(slopes.map(() => 1)));
  return [new Sequential([normalize, rise, clip]), parts];
}

/** The words that have a feature of their own, the most frequent first. */
export function vocabularyOf(words: readonly string[]): string[] {
  const lookup = new StringLookup().adapt(words);
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  const frequent = lookup.vocabulary.filter((word) => counts.get(word)! >= fewest);
  return (frequent.length > 0 ? frequent : lookup.vocabulary).slice(0, mostWords);
}

function category(words: readonly string[]): [layer: Layer, width: number] {
  const lookup = new StringLookup(vocabularyOf(words));
  return [new Sequential([lookup, new OneHot(lookup.size)]), lookup.size];
}

/**
 * Layers for all inputs, side by side, frozen.
 * @param inputs of the rows that are learned from
 * @param straight the names of numbers that are only standardised: time goes on beyond what was seen; null for all
 */
export function columnsFor(op: string, inputs: Inputs, straight: readonly string[] | null): Columns {
  const made = Object.entries(inputs).map(([name, values]): [string, [Layer, number]] => {
    if (Array.isArray(values)) return [name, category(values)];
    const large = values.find((value) => Math.abs(value) > mostNumber);
    if (large !== undefined) {
      throw new DataError(
        `[${op}] expected numbers of at most ${mostNumber} in ${name}, got ${large}: leave it out by --drop`,
      );
    }
    const normalize = new Normalize(1).adapt(values);
    return [name, straight?.includes(name) === false ? pieces(normalize, values) : [normalize, 1]];
  });
  const layers = Object.fromEntries(made.map(([name, [layer]]) => [name, layer]));
  const widths = Object.fromEntries(made.map(([name, [, width]]) => [name, width]));
  const columns = new Columns(layers, { widths });
  columns.trainable = false;
  return columns;
}
