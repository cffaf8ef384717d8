import {
  Adam, compile, Dense, Embedding, evaluate, fit, GRU, Layer, LSTM, losses, randn, Sequential, seed, type Tensor, tensor,
} from '../../lib/index.ts';

seed(1);
/** Which of eight words came first, however many follow. */
const x = Array.from({ length: 256 }, (_, i) => Array.from({ length: 12 }, (_, t) => (i * (2 * t + 1) + (i >> 3) * t) % 8));
const y = x.map(([first]) => Number(first >= 4));

const model = new Sequential([new Embedding(8, 16), new LSTM(16, 32, { returns: 'last' }), new Dense(32, 2)]);
const optimizer = new Adam(model.parameters(), { learningRate: 0.01 });
await fit(model, { x, y }, { loss: 'softmaxCrossEntropy', optimizer, epochs: 30 });
const { accuracy } = await evaluate(model, { x, y }, { metrics: ['accuracy'] });
console.log('accuracy', accuracy); // accuracy 1

class Reader extends Layer {
  override readonly inputDtype = 'int32';
  readonly words = new Embedding(9, 16, { paddingIndex: 8 });
  readonly order = new GRU(16, 32, { returns: 'last', bidirectional: true });
  readonly out = new Dense(64, 2);
  forward(words: Tensor, lengths: Tensor): Tensor {
    return this.out.forward(this.order.forward(this.words.forward(words), lengths));
  }
}

const reader = new Reader();
const lengths = x.map((_, i) => 4 + (i % 9));
const padded = x.map((row, i) => row.map((word, t) => (t < lengths[i] ? word : 8)));
const inputs = [tensor(padded, { dtype: 'int32' }), tensor(lengths, { dtype: 'int32' })];
await fit(reader, { x: inputs, y }, {
  loss: 'softmaxCrossEntropy', optimizer: new Adam(reader.parameters(), { learningRate: 0.01 }), epochs: 20,
});

const series = new LSTM(1, 16);
const out = new Dense(16, 1);
const learn = new Adam([...series.parameters(), ...out.parameters()], { learningRate: 0.01 });
const step = compile((part: Tensor, next: Tensor, from: { h?: Tensor; c?: Tensor }) => {
  const { output, state } = series.forward(part, from);
  const loss = losses.mse(out.forward(output), next);
  learn.zeroGrad();
  loss.backward();
  learn.step();
  return { loss, state };
});

const wave = Array.from({ length: 401 }, (_, t) => Math.sin(t / 5));
const segment = (from: number) => tensor(wave.slice(from, from + 20), { shape: [1, 20, 1] });
let first = 0;
let last = 0;
for (let epoch = 0; epoch < 10; epoch++) {
  let state: { h?: Tensor; c?: Tensor } = {};
  for (let at = 0; at < 400; at += 20) {
    const result = await step(segment(at), segment(at + 1), state);
    state = result.state;
    last = result.loss.item();
    if (epoch === 0 && at === 0) first = last;
  }
}
if (!(last < 0.1 * first)) throw new Error(`the series was not learned: ${first} to ${last}`);

import { encodeWeights, loadSafetensors, loadWeights } from '../../lib/index.ts';

const deep = new GRU(4, 8, { layers: 2, bidirectional: true });
const bytes = encodeWeights(deep, { convention: 'pytorch' });
console.log(Object.keys(await loadSafetensors(bytes)).includes('weight_hh_l1_reverse'));
await loadWeights(bytes, deep, { convention: 'pytorch' });
if (deep.forward(randn([2, 5, 4])).shape[2] !== 16) throw new Error('two directions stand side by side');
