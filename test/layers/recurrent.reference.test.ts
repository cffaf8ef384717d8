/**
 * LSTM, GRU and RNN against PyTorch, with every combination of options that it has, eagerly and compiled: outputs, states, gradients,
 * and trainings that hand their states on. The values are those of test/reference/recurrent.py.
 */
import { describe, expect, test } from 'vitest';
import {
  compile,
  type FloatDtype,
  GRU,
  type Layer,
  LSTM,
  loadWeights,
  losses,
  type Parameter,
  RNN,
  SGD,
  type Tensor,
  tensor,
  zeros,
} from '../../lib/index.ts';
import { pays } from '../../lib/kernels/passes/chain.ts';
import { uniform } from '../cases/case.ts';
import { elements } from '../cases/values.ts';
import { deviation, type Numbers, read } from '../reference/read.ts';

// Passes join calls of few elements too.
pays.from = 0;
pays.run = 0;

type State = Record<string, Tensor>;
/** Any of the three. */
type Kind = LSTM<FloatDtype> & Layer;
type Options = ConstructorParameters<typeof LSTM>[2];

const wanted = Object.entries(read<Record<string, Numbers>>('recurrent')).filter(([name]) =>
  /LSTM|GRU|RNN/.test(name),
);
const lengths = tensor([4, 6, 1, 3], { dtype: 'int32' });

/** A layer of a name, with what PyTorch calls its parameters. */
function layerOf(name: string, dtype: FloatDtype): { layer: Kind; hasLengths: boolean } {
  const [kind, layers, ...words] = name.split(', ');
  const options = {
    layers: Number(layers),
    bidirectional: words.includes('both'),
    bias: !words.includes('no bias'),
    dtype,
  } as unknown as Options;
  const make = {
    LSTM: () => new LSTM(3, 2, options),
    GRU: () => new GRU(3, 2, options),
    RNN: () => new RNN(3, 2, options),
    'RNN relu': () => new RNN(3, 2, { ...options, nonlinearity: 'relu' }),
  };
  return {
    layer: make[kind as keyof typeof make]() as unknown as Kind,
    hasLengths: words.includes('lengths'),
  };
}

describe.each<[FloatDtype, number]>([
  ['float64', 1e-12],
  ['float32', 5e-5],
])('%s', (dtype, tolerance) => {
  const rows = (name: string, shape: readonly number[]): Tensor =>
    tensor(elements(uniform([...shape], -1, 1), name), { shape, dtype });

  test.each(wanted)('%s', async (name, numbers) => {
    for (const isCompiled of [false, true]) {
      const { layer, hasLengths } = layerOf(name, dtype);
      const own = hasLengths ? lengths : null;
      const theirs = layer.namedParameters().map(([path, { shape }]): [string, Tensor] => {
        const [, cell, word] = path.split('.');
        const level = layer.bidirectional ? Number(cell) >> 1 : Number(cell);
        const end = `l${level}${layer.bidirectional && Number(cell) % 2 === 1 ? '_reverse' : ''}`;
        const called = `${word.replace(/([IH])h$/, (at) => `_${at.toLowerCase()}`)}_${end}`;
        return [called, rows(`${name}/${called}`, shape)];
      });
      await loadWeights(Object.fromEntries(theirs), layer, { convention: 'pytorch' });
      const names = name.startsWith('LSTM') ? ['h', 'c'] : ['h'];
      const shape = [layer.cells.length, 4, 2];
      const seen: number[] = [];
      const see = (...tensors: (Tensor | null)[]) => {
        for (const x of tensors) seen.push(...x!.data);
      };
      const parameters = layer.parameters() as Parameter[];

      const backward = (x: Tensor, given: State) => {
        // Of a compiled function arguments are no leaves, and what is made of them is.
        const leaves = [x, ...names.map((each) => given[each])].map((leaf) => leaf.mul(1).detach());
        for (const leaf of leaves) leaf.requiresGrad = true;
        const from = Object.fromEntries(names.map((each, i) => [each, leaves[i + 1]]));
        const { output, state } = layer.forward(leaves[0], from, own);
        const outputs = [output, ...names.map((each) => (state as State)[each])];
        const terms = outputs.map((y, i) => y.mul(rows(`${name}/cotangent/${i}`, y.shape)).sum());
        for (const parameter of parameters) parameter.zeroGrad();
        terms.reduce((a, b) => a.add(b)).backward();
        return [
          ...outputs,
          ...leaves.map((leaf) => leaf.grad),
          ...parameters.map((parameter) => parameter.grad),
        ];
      };
      const given = Object.fromEntries(names.map((each, i) => [each, rows(`${name}/state/${i}`, shape)]));
      see(...(isCompiled ? compile(backward).sync : backward)(rows(`${name}/x`, [4, 6, 3]), given));

      const optimizer = new SGD(parameters, { learningRate: 0.3, momentum: 0.9 });
      const learn = (x: Tensor, y: Tensor, from: State) => {
        const { output, state } = layer.forward(x, from, own);
        const loss = losses.mse(output, y);
        optimizer.zeroGrad();
        loss.backward();
        optimizer.step();
        return { loss, state: state as State };
      };
      const step = isCompiled ? compile(learn).sync : learn;
      let state: State = Object.fromEntries(names.map((each) => [each, zeros(shape, { dtype })]));
      const directions = layer.bidirectional ? 2 : 1;
      for (let i = 0; i < 4; i++) {
        const y = rows(`${name}/y/${i}`, [4, 6, 2 * directions]);
        const result = step(rows(`${name}/x/${i}`, [4, 6, 3]), y, state);
        state = Object.fromEntries(names.map((each) => [each, result.state[each].detach()]));
        see(result.loss);
      }
      see(...names.map((each) => state[each]), ...parameters);
      const got = dtype === 'float64' ? Float64Array.from(seen) : Float32Array.from(seen);
      expect(deviation(got, numbers, tolerance)).toBe(null);
    }
  });
});
