/** Fashion-MNIST with fully connected layers, 784-256-128-10. */
import { Adam, backendInfo, Dense, Dropout, evaluate, fit, Normalize, Sequential, seed } from 'axpy';
import { loadFashion } from './support/fashion-mnist.ts';
import type { Report } from './support/report.ts';

export async function trainFashion(): Promise<Report> {
  seed(1);
  const { name, train, test } = loadFashion();
  console.log(`${name}: ${train.x.shape[0]} images to learn from, ${test.x.shape[0]} held out`);
  const model = new Sequential(
    [
      new Normalize([]).adapt(train.x),
      new Dense(784, 256, { activation: 'relu' }),
      new Dropout(0.2),
      new Dense(256, 128, { activation: 'relu' }),
      new Dropout(0.1),
      new Dense(128, 10),
    ],
    { inputShape: [784] },
  );
  console.log(model.summary());

  const epochs = 10;
  const rate = 1e-3;
  const optimizer = new Adam(model.parameters(), { learningRate: rate });
  const history = await fit(model, train, {
    loss: 'softmaxCrossEntropy',
    optimizer,
    epochs,
    batchSize: 64,
    metrics: ['accuracy'],
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
  const accuracy = async (part: typeof train) =>
    (await evaluate(model, part, { metrics: ['accuracy'] })).accuracy;
  return {
    dataset: name,
    backend: backendInfo().name,
    figure: 'accuracy',
    train: await accuracy(train),
    test: await accuracy(test),
    seconds,
    examplesPerSecond: (epochs * train.x.shape[0]) / seconds,
  };
}
