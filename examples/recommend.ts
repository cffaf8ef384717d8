/**
 * Which lecturers would a student like? Ratings that were held out are told by biases alone, by a factorisation of the matrix of
 * students and lecturers (Koren, Bell & Volinsky, 2009), and by a network that knows the circumstances as well.
 *
 *     npm run example:recommend -- [--seed 1] [--student 1234]
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  Adam,
  concat,
  Dense,
  Dropout,
  Embedding,
  earlyStopping,
  fit,
  Layer,
  losses,
  predict,
  schedules,
  seed,
  type Tensor,
} from 'axpy';
import { type Lectures, loadLectures, type Ratings } from './support/lectures.ts';

type Circumstances = Record<keyof Ratings['x'], Tensor>;

/** How many ratings that say nothing stand against those of each row of a table. */
const strengths = { student: 12, lecturer: 5, lecture: 8, other: 20 };
const sides = ['student', 'lecturer', 'lecture'] as const;
const small = { name: 'normal', deviation: 0.1 } as const;
const meanOf = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Indices, [batch] each, to ratings, [batch]: the mean of all, how student, lecturer and lecture differ from it, and more. */
export abstract class Rater extends Layer {
  override readonly inputDtype = 'int32';
  readonly biases: Readonly<Record<(typeof sides)[number], Embedding>>;
  private readonly mean: number;
  private readonly count: number;

  constructor({ values, train }: Lectures) {
    super();
    const biasesOf = (side: (typeof sides)[number]) =>
      new Embedding(values[side].length, 1, { init: 'zeros' });
    this.biases = {
      student: biasesOf('student'),
      lecturer: biasesOf('lecturer'),
      lecture: biasesOf('lecture'),
    };
    this.mean = meanOf(train.y);
    this.count = train.y.length;
  }

  override forward(x: Circumstances): Tensor {
    return sides
      .reduce((sum, side) => sum.add(this.biases[side].forward(x[side])), this.more(x))
      .add(this.mean)
      .squeeze(1);
  }

  /** What ridge regression adds to the squared error: Σ strength · w² over tables, of which each rating has its share. */
  penalty(): Tensor {
    const squares = (table: Embedding, strength: number) =>
      table.weight
        .square()
        .sum()
        .mul(strength / this.count);
    return [
      ...sides.map((side) => squares(this.biases[side], strengths[side])),
      ...this.tables().map((table) => squares(table, strengths.other)),
    ].reduce((sum, one) => sum.add(one));
  }

  /** [batch, 1] */
  protected abstract more(x: Circumstances): Tensor;

  /** What `more` looks up. */
  protected abstract tables(): readonly Embedding[];
}

/** The inner product of a vector for the student and one for the lecturer. */
export class Factors extends Rater {
  readonly taste: Embedding;
  readonly style: Embedding;

  constructor(lectures: Lectures, size = 8) {
    super(lectures);
    this.taste = new Embedding(lectures.values.student.length, size, { init: small });
    this.style = new Embedding(lectures.values.lecturer.length, size, { init: small });
  }

  protected more({ student, lecturer }: Circumstances): Tensor {
    return this.taste.forward(student).mul(this.style.forward(lecturer)).sum([1], { keepDims: true });
  }

  protected tables(): readonly Embedding[] {
    return [this.taste, this.style];
  }
}

/** A network on vectors for the student, the lecturer, and each of the circumstances. */
export class Network extends Rater {
  readonly embeddings: Readonly<Record<string, Embedding>>;
  readonly dropout = new Dropout(0.2);
  readonly hidden: Dense;
  readonly out: Dense;

  constructor(lectures: Lectures, size = 16) {
    super(lectures);
    const made = Object.entries(lectures.values)
      .filter(([name]) => name !== 'lecture')
      .map(([name, { length }]) => [name, new Embedding(length, Math.min(length, size), { init: small })]);
    this.embeddings = Object.fromEntries(made);
    this.hidden = new Dense(
      this.tables().reduce((sum, table) => sum + table.size, 0),
      64,
      { activation: 'relu' },
    );
    this.out = new Dense(64, 1);
  }

  protected more(x: Circumstances): Tensor {
    const parts = Object.entries(this.embeddings).map(([name, table]) =>
      table.forward(x[name as keyof Circumstances]),
    );
    const hidden = this.hidden.forward(this.dropout.forward(concat(parts, -1)));
    return this.out.forward(this.dropout.forward(hidden));
  }

  protected tables(): readonly Embedding[] {
    return Object.values(this.embeddings);
  }
}

/** The root of the mean squared error of ratings, which are known to lie between 1 and 5. */
export function errorOf(predicted: ArrayLike<number>, { y }: Ratings): number {
  const squares = y.map((value, i) => (Math.min(Math.max(predicted[i], 1), 5) - value) ** 2);
  return Math.sqrt(meanOf(squares));
}

/** The ratings that biases alone tell, by ridge regression: one side after the other, until they no longer change. */
export function ridge(
  { values, train }: Lectures,
  of: readonly (typeof sides)[number][] = sides,
): (of: Ratings) => number[] {
  const mean = meanOf(train.y);
  const biases = new Map(of.map((side) => [side, new Float64Array(values[side].length)]));
  const rate = (x: Ratings['x'], i: number) => {
    let sum = mean;
    for (const [side, own] of biases) sum += own[x[side][i]];
    return sum;
  };
  for (let pass = 0; pass < 20; pass++) {
    for (const [side, own] of biases) {
      const sums = new Float64Array(own.length);
      const counts = new Float64Array(own.length).fill(strengths[side]);
      train.y.forEach((rating, i) => {
        const at = train.x[side][i];
        sums[at] += rating - rate(train.x, i) + own[at];
        counts[at]++;
      });
      own.set(sums.map((sum, at) => sum / counts[at]));
    }
  }
  return ({ x, y }) => Array.from(y, (_, i) => rate(x, i));
}

const recipes = {
  factors: (lectures: Lectures) => new Factors(lectures),
  network: (lectures: Lectures) => new Network(lectures),
} satisfies Record<string, (lectures: Lectures) => Rater>;

export type RaterName = keyof typeof recipes;

/** A model that learns until the validation ratings are told no better. */
export async function trainRater(
  name: RaterName,
  lectures: Lectures,
  { seed: number = 1, epochs = 15, rate = 5e-3 } = {},
) {
  seed(number);
  const { train, validation, test } = lectures;
  const model: Rater = recipes[name](lectures);
  const batchSize = 256;
  const steps = epochs * Math.ceil(train.y.length / batchSize);
  const history = await fit(model, train, {
    loss: (predicted: Tensor, y: Tensor) => losses.mse(predicted, y).add(model.penalty()),
    optimizer: new Adam(model.parameters(), { learningRate: schedules.cosine({ from: rate, to: 0, steps }) }),
    epochs,
    batchSize,
    validation,
    metrics: ['rootMeanSquaredError'],
    callbacks: [earlyStopping({ monitor: 'validation.rootMeanSquaredError', patience: 3 })],
    progress: process.stderr.isTTY,
  });
  const seconds = history.epochs.map((epoch) => epoch.seconds).sort((a, b) => a - b);
  return {
    model,
    error: errorOf((await predict(model, test.x)).data, test),
    validation: history.epochs.map((epoch) => epoch.validation!.rootMeanSquaredError),
    epochs: history.epochs.length,
    seconds: seconds[seconds.length >> 1],
  };
}

/** The lecturers whom a student would rate best, in the latest of their lectures, of those whom the student has not rated. */
export async function recommend(model: Rater, { train, values }: Lectures, student: string, count = 5) {
  const { x } = train;
  const own = values.student.indexOf(student);
  const known = new Set(x.lecturer.filter((_, i) => x.student[i] === own));
  const ago = (row: number) => Number(values.ago[x.ago[row]]);
  const latest = new Map<number, number>();
  x.lecturer.forEach((lecturer, row) => {
    if (known.has(lecturer) || ago(latest.get(lecturer) ?? row) < ago(row)) return;
    latest.set(lecturer, row);
  });
  const rows = [...latest.values()];
  const columns = Object.entries(x).map(([name, column]) => [
    name,
    Int32Array.from(rows, (row) => column[row]),
  ]);
  const candidates: Ratings['x'] = {
    ...Object.fromEntries(columns),
    student: new Int32Array(rows.length).fill(own),
  };
  const best = (await predict(model, candidates)).topK(Math.min(count, rows.length));
  return Array.from(best.indices.data, (at, i) => ({
    lecturer: values.lecturer[candidates.lecturer[at]],
    department: values.department[candidates.department[at]],
    rating: best.values.data[i],
  }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { seed: { type: 'string', default: '1' }, student: { type: 'string', default: '1234' } },
  });
  const lectures = loadLectures();
  const { train, test } = lectures;
  console.log(
    `the mean of all ratings errs by ${errorOf(new Float32Array(test.y.length).fill(meanOf(train.y)), test).toFixed(4)}`,
  );
  for (const of of [['student', 'lecturer'], sides] as const) {
    console.log(`ridge, ${of.join(', ')}: ${errorOf(ridge(lectures, of)(test), test).toFixed(4)}`);
  }
  for (const name of Object.keys(recipes) as RaterName[]) {
    const { model, error, epochs, seconds } = await trainRater(name, lectures, { seed: Number(values.seed) });
    console.log(`${name}: ${error.toFixed(4)}, ${epochs} epochs of ${seconds.toFixed(2)} s`);
    for (const { lecturer, department, rating } of await recommend(model, lectures, values.student)) {
      console.log(`  ${rating.toFixed(2)} lecturer ${lecturer}, department ${department}`);
    }
  }
}
