/** Ames house prices: a small network on 73 attributes, against the log of the price. */
import { Adam, backendInfo, Dense, Dropout, evaluate, fit, Sequential, seed } from 'axpy';
import { loadHouses } from './support/ames.ts';
import type { Report } from './support/report.ts';

export async function trainHouses(): Promise<Report> {
  seed(1);
  const { features, train, test, price } = loadHouses(1);
  console.log(
    `Ames houses: ${train.x.shape[0]} to learn from, ${test.x.shape[0]} held out, ${features.length} columns`,
  );
  const model = new Sequential(
    [
      new Dense(features.length, 64, { activation: 'relu' }),
      new Dropout(0.2),
      new Dense(64, 32, { activation: 'relu' }),
      new Dense(32, 1),
    ],
    { inputShape: [features.length] },
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
  // The network predicts the standardised log price; its error times the deviation is that of the log price itself.
  const error = async (part: typeof train) => {
    const { rootMeanSquaredError } = await evaluate(model, part, { metrics: ['rootMeanSquaredError'] });
    return rootMeanSquaredError * price.deviation;
  };
  return {
    dataset: 'Ames houses',
    backend: backendInfo().name,
    figure: 'rmse of log price',
    train: await error(train),
    test: await error(test),
    seconds,
    examplesPerSecond: (epochs * train.x.shape[0]) / seconds,
  };
}
