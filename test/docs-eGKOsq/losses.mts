import { Adam, Dense, evaluate, fit, randn, Sequential, seed } from '../../lib/index.ts';

seed(1);
// What was measured lately counts for more; what is a day older, 2 % less.
const x = randn([500, 3]);
const y = Array.from({ length: 500 }, (_, i) => [x.data[3 * i] * (i < 250 ? -1 : 1) + x.data[3 * i + 1]]);
const sampleWeight = y.map((_, i) => 0.98 ** (500 - i));

const model = new Sequential([new Dense(3, 1)]);
const optimizer = new Adam(model.parameters(), { learningRate: 0.05 });
await fit(model, { x, y, sampleWeight }, { loss: 'mse', optimizer, epochs: 30 });
const { loss } = await evaluate(model, { x: x.slice([[450, 500]]), y: y.slice(450) }, { loss: 'mse' });
console.log(loss! < 0.01);

const isFraud = Array.from({ length: 500 }, (_, i) => Number(x.data[3 * i] > 1.5));
for (const classWeight of [undefined, 'balanced'] as const) {
  seed(2);
  const judge = new Sequential([new Dense(3, 2)]);
  const { epochs } = await fit(judge, { x, y: isFraud }, {
    loss: 'softmaxCrossEntropy', classWeight, optimizer: new Adam(judge.parameters(), { learningRate: 0.01 }),
    epochs: 20, metrics: ['recall'],
  });
  console.log(epochs[19].recall); // more of the rare class are found by 'balanced'
}
