/**
 * The entries at a station in each of the next seven days, with an interval for each: an encoder reads four weeks, a decoder the calendar of
 * the week to come (Cho et al., 2014), and the quantile loss (Koenker & Bassett, 1978) makes the bounds.
 *
 *     npm run example:forecast -- [--epochs 20] [--seed 1]
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  AdamW,
  concat,
  Dense,
  earlyStopping,
  fit,
  GRU,
  Layer,
  type LossFunction,
  losses,
  predict,
  schedules,
  seed,
  type Tensor,
} from 'axpy';
import { ahead, features, loadRidership, past, type Weeks } from './support/chicago.ts';

/** Nine in ten days are to lie between the first and the last. */
const quantiles = [0.05, 0.5, 0.95];

type Days = Weeks['x'];

/** What was a week before, [weeks, ahead, 1]: the naive forecast. */
const weekBefore = (x: Days) => x.past.slice([null, [-ahead], [0, 1]]);

/** To the quantiles of each day, [weeks, ahead, 3], as a change against the week before; they cannot cross. */
export class Forecaster extends Layer {
  readonly reader: GRU;
  readonly writer: GRU;
  readonly out: Dense;

  constructor(hidden = 64) {
    super();
    this.reader = new GRU(features, hidden);
    this.writer = new GRU(features, hidden);
    this.out = new Dense(hidden, quantiles.length);
  }

  forward(x: Days): Tensor {
    const naive = weekBefore(x);
    const { state } = this.reader.forward(x.past, {});
    const { output } = this.writer.forward(concat([naive, x.ahead], -1), state);
    const [below, change, above] = this.out.forward(output).split(1, -1);
    const median = naive.add(change);
    return concat([median.sub(below.softplus()), median, median.add(above.softplus())], -1);
  }
}

/** The same inputs, one weight for each: [weeks, ahead]. */
class Linear extends Layer {
  readonly out = new Dense(past * features + ahead * (features - 1), ahead);

  forward(x: Days): Tensor {
    const all = concat([x.past.flatten(1), x.ahead.flatten(1)], -1);
    return weekBefore(x).squeeze(-1).add(this.out.forward(all));
  }
}

/** The sum of the losses of all quantiles. */
function allQuantiles(prediction: Tensor, y: Tensor): Tensor {
  return prediction
    .unbind(-1)
    .map((part, i) => losses.quantile(part, y, { quantile: quantiles[i] }))
    .reduce((sum, loss) => sum.add(loss));
}

export interface ForecastReport {
  /** Mean absolute errors in entries a day, on weeks after all that was learned from. */
  naive: number;
  linear: number;
  model: number;
  /** The share of days within their interval, and how wide that is on the average, in entries. */
  coverage: { validation: number; test: number };
  width: number;
  secondsPerEpoch: number;
}

export async function trainForecast({
  epochs = 20,
  weeks = Infinity,
  batchSize = 64,
  hidden = 64,
  seed: start = 1,
} = {}): Promise<ForecastReport> {
  seed(start);
  const { train, validation, test, deviation } = loadRidership();
  const recent = latest(train, weeks);
  console.log(
    `${recent.y.shape[0]} weeks to learn from, ${validation.y.shape[0]} to choose by, ${test.y.shape[0]} held out`,
  );
  const learn = async <Model extends Layer>(model: Model, loss: LossFunction) => {
    const steps = epochs * Math.ceil(recent.y.shape[0] / batchSize);
    const optimizer = new AdamW(model.parameters(), {
      learningRate: schedules.cosine({ from: 2e-3, to: 0, steps }),
      weightDecay: 1e-2,
    });
    const history = await fit(model, recent, {
      loss,
      optimizer,
      epochs,
      batchSize,
      validation,
      clipGradNorm: 1,
      callbacks: [earlyStopping({ patience: epochs })],
      progress: process.stderr.isTTY,
    });
    return history.epochs.reduce((sum, { seconds }) => sum + seconds, 0) / history.epochs.length;
  };
  const error = (prediction: Tensor) => losses.meanAbsoluteError(prediction, test.y).item() * deviation;

  const linear = new Linear();
  await learn(linear, losses.meanAbsoluteError);
  const model = new Forecaster(hidden);
  const secondsPerEpoch = await learn(model, allQuantiles);
  const interval = async ({ x, y }: Weeks) => {
    const [low, median, high] = (await predict(model, x)).unbind(-1);
    const covered = y.greaterEqual(low).mul(y.lessEqual(high)).mean().item();
    return { median, covered, width: high.sub(low).mean().item() * deviation };
  };
  const { median, covered, width } = await interval(test);
  return {
    naive: error(weekBefore(test.x).squeeze(-1)),
    linear: error(await predict(linear, test.x)),
    model: error(median),
    coverage: { validation: (await interval(validation)).covered, test: covered },
    width,
    secondsPerEpoch,
  };
}

/** The last of them. */
function latest({ x, y }: Weeks, count: number): Weeks {
  const of = (all: Tensor) => all.slice([[Math.max(all.shape[0] - count, 0)]]);
  return { x: { past: of(x.past), ahead: of(x.ahead) }, y: of(y) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { epochs: { type: 'string', default: '20' }, seed: { type: 'string', default: '1' } },
  });
  const report = await trainForecast({ epochs: Number(values.epochs), seed: Number(values.seed) });
  const entries = (value: number) => `${Math.round(value).toLocaleString('en-US')} entries a day`;
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  console.log(`mean absolute error over seven days
  the same weekday of the week before  ${entries(report.naive)}
  linear                               ${entries(report.linear)}
  encoder and decoder                  ${entries(report.model)}
intervals for 90 % of the days hold ${percent(report.coverage.validation)} of 2013 and 2014, ${percent(report.coverage.test)} from 2015 on, \
${entries(report.width)} wide
${report.secondsPerEpoch.toFixed(2)} s an epoch`);
}
