/** Models of a table, held against each other on the rows to choose by. */
import { type AnyModel, DataError, type Layer, predict, Sequential, type Tensor } from '../index.ts';
import { columnsFor } from './features.ts';
import type { Inputs } from './inputs.ts';
import { fitLinear, type Linear, type Targets } from './linear.ts';
import { linearLayer, type NetworkOptions, type Trained, trainNetworks } from './network.ts';
import type { Scale } from './scale.ts';

/** What is held against each other. Less is better. */
export type Judge = (outputs: Tensor) => number;

export interface Material {
  /** Of the rows to learn from, and of those to choose by. */
  readonly train: { readonly inputs: Inputs; readonly rows: Int32Array };
  readonly validation: { readonly inputs: Inputs; readonly rows: Int32Array };
  /** How the target may be scaled; the best one is found out. */
  readonly scales: readonly Scale[];
  /** Of the outputs for the rows to choose by, in the unit of the target. */
  readonly judge: Judge;
  /** Numbers that stay straight lines. */
  readonly straight: readonly string[];
}

/** A model from inputs to what is asked for, and how it was judged. */
export interface Candidate {
  readonly model: AnyModel;
  readonly value: number;
  readonly scale: Scale;
}

/** Penalties of linear models that are tried, the largest first: each begins with what the one before found. */
const lambdas = [1, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 1e-6];

/** How many features of all rows there may be in memory: a gibibyte. With more than a quarter of that, numbers have one each. */
const mostFeatures = 2 ** 28;
const mostBent = 2 ** 26;

/** What a network or a linear model is put together of: columns, itself, and the way back. */
const whole = (columns: Layer, core: Layer, scale: Scale): AnyModel =>
  new Sequential([columns, core, ...scale.layers()]) as unknown as AnyModel;

interface Line {
  readonly linear: Linear;
  readonly scale: Scale;
  readonly value: number;
}

/** The best linear model on features, by scale and penalty. */
async function bestLine(train: Tensor, validation: Tensor, material: Material): Promise<Line> {
  const x = train.cast('float64');
  const lines: Line[] = [];
  for (const scale of material.scales) {
    const targets: Targets = scale.targetsOf(material.train.rows);
    const back = new Sequential([
      linearLayer({
        weight: new Float64Array(x.shape[1] * scale.outputs),
        bias: new Float64Array(scale.outputs),
      }),
      ...scale.layers(),
    ]);
    let linear: Linear | undefined;
    for (const lambda of lambdas) {
      linear = fitLinear(x, targets, lambda, linear);
      const [first] = back.layers as readonly ReturnType<typeof linearLayer>[];
      first.loadStateDict(linearLayer(linear).stateDict());
      lines.push({ linear, scale, value: material.judge(await predict(back, validation)) });
    }
  }
  return lines.reduce((best, line) => (line.value < best.value || Number.isNaN(best.value) ? line : best));
}

/** Columns, and the features that they make of both parts. */
async function featuresOf(op: string, material: Material, straight: readonly string[] | null) {
  const { train, validation } = material;
  const rows = train.rows.length + validation.rows.length;
  const bent = columnsFor(op, train.inputs, straight);
  const columns = bent.features * rows <= mostBent ? bent : columnsFor(op, train.inputs, null);
  if (columns.features * rows > mostFeatures) {
    throw new DataError(
      `[${op}] expected at most ${mostFeatures} features of all rows to learn from, got ${columns.features} of ${rows} rows: take fewer by --rows`,
    );
  }
  return {
    columns,
    train: await predict(columns, train.inputs, { batchSize: 4096 }),
    validation: await predict(columns, validation.inputs, { batchSize: 4096 }),
  };
}

/** Ridge or logistic regression on numbers as they are, standardised, and on categories. */
export async function learnLinear(op: string, material: Material): Promise<Candidate> {
  const { columns, train, validation } = await featuresOf(op, material, null);
  const { linear, scale, value } = await bestLine(train, validation, material);
  return { model: whole(columns, linearLayer(linear), scale), value, scale };
}

/** Networks, on numbers by parts of their range. */
export async function learnNetwork(
  op: string,
  material: Material,
  options: NetworkOptions,
  isEnded: () => boolean,
): Promise<Candidate & Pick<Trained, 'histories'>> {
  const { columns, train, validation } = await featuresOf(op, material, material.straight);
  const { linear, scale } = await bestLine(train, validation, material);
  const { network, histories } = await trainNetworks(
    { features: train, targets: scale.targetsOf(material.train.rows) },
    { features: validation, targets: scale.targetsOf(material.validation.rows) },
    linear,
    options,
    isEnded,
  );
  const back = new Sequential([network, ...scale.layers()]);
  const value = material.judge(await predict(back, validation));
  return { model: whole(columns, network, scale), value, scale, histories };
}
