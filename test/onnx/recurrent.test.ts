/** LSTM, GRU and RNN as operators of ONNX, out and in, with states and lengths. */
import { describe, expect, it } from 'vitest';
import {
  encodeOnnx,
  fit,
  GRU,
  importOnnx,
  Layer,
  LSTM,
  type OnnxModel,
  predict,
  RNN,
  randn,
  Sequential,
  SGD,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { bytesOf, difference, floats, type NodeText } from './models.ts';
import { expectClose, run, runtime, session } from './runtime.ts';

const kinds = { LSTM, GRU, RNN };
const int32 = (values: number[]) => tensor(values, { dtype: 'int32' });
const opsOf = (model: OnnxModel) => (model.config.nodes as { op: string }[]).map(({ op }) => op);

describe.each(Object.entries(kinds))('%s', (name, Kind) => {
  it('is an operator for each direction of a level, however long sequences are', async () => {
    const layer = new Kind(4, 3, { layers: 2, bidirectional: true });
    const counts = await Promise.all(
      [3, 200].map(async (time) => {
        const own = opsOf(await importOnnx(encodeOnnx(layer, { inputShape: [time, 4] })));
        expect(own.filter((op) => op === name).length).toBe(4);
        return own.length;
      }),
    );
    expect(counts[1]).toBe(counts[0]);
    expect(counts[0]).toBeLessThan(30);
  });

  it('comes back the same, and trains on', async () => {
    const layer = new Sequential([
      new Kind(4, 3, { layers: 2, bidirectional: true }),
      new Kind(6, 2, { bias: false }),
    ]);
    const again = await importOnnx(encodeOnnx(layer, { inputShape: [5, 4] }));
    const x = randn([3, 5, 4]);
    for (const compiled of [false, true]) {
      expect(difference(await predict(again, x, { compiled }), layer.forward(x))).toBeLessThan(1e-6);
    }
    const optimizer = new SGD(again.parameters(), { learningRate: 0.1 });
    const y = randn([3, 5, 2]);
    const { epochs } = await fit(again, { x, y }, { loss: 'mse', optimizer, epochs: 20 });
    expect(epochs[19].loss).toBeLessThan(epochs[0].loss);
  });

  it.skipIf(runtime === null)('takes states and lengths, and gives states, as onnxruntime does', async () => {
    for (const bias of [true, false]) {
      const hasCell = name === 'LSTM';
      const keys = hasCell ? ['h', 'c'] : ['h'];
      class Carried extends Layer {
        override readonly inputDtype = { lengths: 'int32' } as const;
        readonly over = new Kind(4, 3, { bidirectional: true, bias });
        forward({ x, lengths, ...given }: Record<string, Tensor>): Record<string, Tensor> {
          // The batch is in front in a file.
          const state = Object.fromEntries(keys.map((key) => [key, given[key].transpose([1, 0, 2])]));
          const { output, state: last } = this.over.forward(x, state, lengths);
          const states = Object.entries(last).map(([key, value]) => [
            key,
            (value as Tensor).transpose([1, 0, 2]),
          ]);
          return { output, ...Object.fromEntries(states) };
        }
      }
      const model = new Carried();
      const shapes = { x: [6, 4], lengths: [], ...Object.fromEntries(keys.map((key) => [key, [2, 3]])) };
      const bytes = encodeOnnx(model, {
        inputShape: shapes,
        outputNames: ['y', ...keys.map((key) => `last_${key}`)],
      });
      const served = await session(bytes);
      const back = await importOnnx(bytes);
      for (const lengths of [[6], [1, 6, 3, 2, 5]]) {
        const batch = lengths.length;
        const inputs: Record<string, Tensor> = {
          x: randn([batch, 6, 4]),
          lengths: int32(lengths),
          ...Object.fromEntries(keys.map((key) => [key, randn([batch, 2, 3])])),
        };
        const wanted = Object.values(model.forward(inputs));
        const got = await run(served, inputs);
        served.outputNames.forEach((output, i) => {
          expectClose(got[output], wanted[i], `${name} ${output}`);
        });
        const again = back.forward(...Object.values(inputs)) as unknown as Tensor[];
        again.forEach((y, i) => {
          expect(difference(y, wanted[i])).toBeLessThan(1e-6);
        });
      }
    }
  });
});

it('goes out with what was left out of a state as zeros', async () => {
  class Half extends Layer {
    readonly over = new LSTM(4, 3);
    forward(x: Tensor): Tensor {
      return this.over.forward(x, { c: x.slice([null, [0, 1], [0, 3]]).transpose([1, 0, 2]) }).output;
    }
  }
  const model = new Half();
  const again = await importOnnx(encodeOnnx(model, { inputShape: [5, 4] }));
  const x = randn([2, 5, 4]);
  expect(difference(again.forward(x) as Tensor, model.forward(x))).toBeLessThan(1e-6);
});

it('has the reset gate where it is', async () => {
  for (const resetAfter of [true, false]) {
    const layer = new GRU(4, 3, { resetAfter, dtype: 'float64' });
    const again = await importOnnx(encodeOnnx(layer, { inputShape: [5, 4] }));
    const x = randn([2, 5, 4], { dtype: 'float64' });
    expect(difference(again.forward(x) as Tensor, layer.forward(x))).toBeLessThan(1e-12);
  }
});

describe('a file', () => {
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => Math.sin(i));
  const tensors = [
    floats('w', [1, 8, 3], numbers(24)),
    floats('r', [1, 8, 2], numbers(16)),
    floats('b', [1, 16], numbers(16)),
    floats('p', [1, 6], numbers(6)),
  ];
  const file = (
    attributes: NonNullable<NodeText[3]>,
    inputs = ['x', 'w', 'r', 'b'],
    outputs = ['y'],
    shape = [4, 2, 3],
  ) =>
    bytesOf({
      nodes: [['LSTM', inputs, outputs, attributes, 'memory']],
      inputs: { x: shape },
      outputs,
      tensors,
    });

  it('may have the batch in front', async () => {
    const outputs = ['y', 'h', 'c'];
    const x = randn([2, 4, 3]);
    const first = await importOnnx(file({ hidden_size: 2, layout: 1 }, undefined, outputs, [2, 4, 3]));
    const other = await importOnnx(file({ hidden_size: 2 }, undefined, outputs));
    const [y, ...states] = first.forward(x) as unknown as Tensor[];
    const [sequence, ...others] = other.forward(x.transpose([1, 0, 2])) as unknown as Tensor[];
    expect(y.shape).toEqual([2, 4, 1, 2]);
    expect(y.toArray()).toEqual(sequence.transpose([2, 0, 1, 3]).toArray());
    states.forEach((state, i) => {
      expect(state.toArray()).toEqual(others[i].transpose([1, 0, 2]).toArray());
    });
  });

  it('is refused, with its node, for what is not done here', async () => {
    const cases: [bytes: Uint8Array, message: RegExp][] = [
      [file({ hidden_size: 2, clip: { float: 1 } }), /'memory' \(LSTM\): expected no attribute clip/],
      [file({ hidden_size: 2, input_forget: 1 }), /no attribute input_forget/],
      [
        file({ hidden_size: 2, direction: 'sideways' }),
        /direction to be forward or reverse or bidirectional/,
      ],
      [file({ hidden_size: 2 }, ['x', 'w', 'r', 'b', '', '', '', 'p']), /no peepholes/],
      [
        file({ hidden_size: 2, activations: { texts: ['Sigmoid', 'Relu', 'Tanh'] } }),
        /activations .* got .*Relu/,
      ],
    ];
    for (const [bytes, message] of cases) {
      await expect(importOnnx(bytes)).rejects.toMatchObject({
        code: 'AXPY_ARGUMENT',
        message: expect.stringMatching(message),
      });
    }
  });

  it('whose tensors do not fit names the node as it runs', async () => {
    const wrong = await importOnnx(file({ hidden_size: 2 }, ['x', 'r', 'r', 'b']));
    expect(() => wrong.forward(randn([4, 2, 3]))).toThrow(
      /'memory' \(LSTM\).*weights \[1, 8, 3\].*\[1, 8, 2\]/,
    );
    const right = await importOnnx(file({ hidden_size: 2 }));
    expect(() => right.forward(randn([4, 3]))).toThrow(/3/);
  });
});
