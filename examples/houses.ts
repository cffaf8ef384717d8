/** Ames house prices: a small network on 73 attributes, against the log of the price. */
import {
  Adam,
  backendInfo,
  Dense,
  Dropout,
  evaluate,
  fit,
  Normalize,
  predict,
  Sequential,
  seed,
  tensor,
} from 'axpy';
import { columnsFor, loadHouses } from './support/ames.ts';
import type { Report } from './support/report.ts';

export async function trainHouses(): Promise<Report> {
  seed(1);
  const houses = loadHouses(1);
  const columns = columnsFor(houses.train).adapt(houses.train.x);
  const price = new Normalize(1, { invert: true }).adapt(houses.train.y);
  // Made into numbers once, not in each epoch.
  const numbers = async ({ x, y }: typeof houses.train) => ({
    x: await predict(columns, x),
    y: price.inverse(tensor(y.map((one) => [one]))),
  });
  const [train, test] = [await numbers(houses.train), await numbers(houses.test)];
  const { features } = columns;
  console.log(
    `Ames houses: ${train.x.shape[0]} to learn from, ${test.x.shape[0]} held out, ${features} columns`,
  );
  const model = new Sequential(
    [
      new Dense(features, 64, { activation: 'relu' }),
      new Dropout(0.2),
      new Dense(64, 32, { activation: 'relu' }),
      new Dense(32, 1),
    ],
    { inputShape: [features] },
  );
  console.log(model.summary());

  const epochs = 60;
  const rate = 2e-3;
  const optimizer = new Adam(model.parameters(), { learningRate: rate, l2: 1e-3 });
  const history = await fit(model, train, {
    loss: 'mse',
    optimizer,
    epochs,
    batchSize: 32,
    validation: test,
    progress: true,
    callbacks: [
      {
        onEpochBegin({ epoch }) {
          optimizer.learningRate = rate * (1 - (epoch - 1) / epochs);
        },
      },
    ],
  });
  const seconds = history.epochs.reduce((sum, epoch) => sum + epoch.seconds, 0);
  // From a table to the logarithms of prices.
  const whole = new Sequential([columns, ...model.layers, price]);
  const error = async ({ x, y }: typeof houses.train) => {
    const data = { x, y: y.map((one) => [one]) };
    return (await evaluate(whole, data, { metrics: ['rootMeanSquaredError'] })).rootMeanSquaredError;
  };
  return {
    dataset: 'Ames houses',
    backend: backendInfo().name,
    figure: 'rmse of log price',
    train: await error(houses.train),
    test: await error(houses.test),
    seconds,
    examplesPerSecond: (epochs * train.x.shape[0]) / seconds,
  };
}
