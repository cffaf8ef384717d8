import { Adam, Dense, fit, Predictor, Sequential, seed } from '../../lib/index.ts';

seed(1);
const model = new Sequential([new Dense(4, 16, { activation: 'tanh' }), new Dense(16, 2)]);
const predictor = new Predictor(model, { maxBatch: 64 });

const x = Array.from({ length: 256 }, (_, i) => [0, 1, 2, 3].map((j) => Math.sin(i * (j + 1))));
const y = x.map(([a, b]) => Number(a > b));
const training = fit(model, { x, y }, {
  loss: 'softmaxCrossEntropy', optimizer: new Adam(model.parameters()), epochs: 5,
  callbacks: [{ onEpochEnd: async () => void (await predictor.update(model)) }],
});
const answers = await Promise.all(x.slice(0, 10).map((one) => predictor.predict([one])));
console.log(answers.length, answers[0].shape); // 10, [1, 2]
await training;
console.log(predictor.stats().version); // 6
await predictor.close();
