/** What the compiler makes of models and data: `npm run typecheck` reads this file, nobody runs it. */
import {
  type AnyParameter,
  Columns,
  conv2d,
  Dense,
  evaluate,
  type FloatDtype,
  fit,
  type History,
  kFold,
  Layer,
  loadModel,
  losses,
  type MetricName,
  metrics,
  Normalize,
  OneHot,
  Parameter,
  predict,
  ReLU,
  Sequential,
  SGD,
  SharedTensor,
  StringLookup,
  type Tensor,
  type TensorOptions,
  tensor,
  trainTestSplit,
  type Values,
  zeros,
} from '../lib/index.ts';

class One extends Layer {
  forward(x: Tensor): Tensor {
    return x;
  }
}

class Several extends Layer {
  forward(a: Tensor, b: Tensor, mask?: Tensor): [Tensor, Tensor] {
    return mask ? [a.mul(mask), b] : [a, b];
  }
}

interface Question {
  text: Tensor;
  images: Tensor[];
}

class Records extends Layer {
  forward({ text, images: [image] }: Question): { logits: Tensor; hidden: { text: Tensor } } {
    return { logits: image, hidden: { text } };
  }
}

class Outputs extends Layer {
  forward(x: Tensor): { kind: Tensor; price: Tensor } {
    return { kind: x, price: x };
  }
}

class Rest extends Layer {
  forward(...xs: Tensor[]): Tensor {
    return xs[0];
  }
}

/** What none may be: its argument is not what the other takes. */
class Narrow extends Rest {
  // @ts-expect-error a subclass of one's own class takes what that takes
  override forward(x: string): Tensor {
    return tensor(x.length);
  }
}

const [x, y] = [tensor([[1]]), tensor([[1]])];

export async function typed(): Promise<void> {
  const one = new One();
  const several = new Several();
  const records = new Records();
  const layers: Layer[] = [one, several, records, new Rest(), new Narrow(), new Dense(1, 1)];
  const optimizer = new SGD([], { learningRate: 0.1 });

  const a: Tensor = await predict(one, [[1, 2]]);
  const b: [Tensor, Tensor] = await predict(several, [x, y]);
  const { logits, hidden } = await predict(records, { text: x, images: [y] });
  const c: Tensor = await predict(new Sequential(layers), { text: x, images: [y] });
  const question: Question = { text: x, images: [y] };
  await predict(records, question);
  await fit(records, { x: question, y }, { loss: (p) => p.logits, optimizer });
  await fit(several, { x: [x, y] as [Tensor, Tensor], y }, { loss: ([p], t) => losses.mse(p, t), optimizer });
  const d: Tensor[] = [a, ...b, logits, hidden.text, c];
  // @ts-expect-error a tensor is no text
  const e: string = await predict(one, x);
  // @ts-expect-error text is no input
  await predict(one, { name: 'text' });
  // @ts-expect-error text is none for a Sequential
  await predict(new Sequential(layers), 'text');
  // @ts-expect-error nor for any layer
  await predict(layers[0], ['text']);
  // @ts-expect-error there is no such output
  (await predict(records, x)).missing;

  // Prediction and target have the types of the model's output and of y.
  await fit(one, { x, y }, { loss: (p, t) => p.sub(t).square(), optimizer });
  await fit(one, { x: [[1]], y: [1, 2] }, { loss: (p, t) => losses.mse(p, t), optimizer, metrics: ['r2'] });
  await fit(several, [{ x: [x, y], y: [x, y] }], { loss: ([p], [t]) => losses.mse(p, t), optimizer });
  await fit(
    records,
    { x: { text: x, images: [x] }, y: { logits: y, classes: Int32Array.of(1) } },
    {
      loss: (p, t) =>
        losses.mse(p.logits, t.logits).add(losses.softmaxCrossEntropy(p.hidden.text, t.classes)),
      optimizer,
      metrics: [(p, t) => p.logits.sub(t.logits).mean()],
    },
  );
  async function* batches() {
    yield { x, y: { mean: y } };
  }
  await fit(one, batches, { loss: (p, t) => losses.mse(p, t.mean), optimizer });
  await fit(layers[0], { x, y }, { loss: (p: Tensor, t: Tensor) => losses.mse(p, t), optimizer });
  await fit(one, { x, y }, { loss: losses.huber, optimizer, metrics: [metrics.accuracy({ threshold: 0 })] });
  await evaluate(records, { x, y }, { loss: (p, t) => losses.mse(p.logits, t) });

  // A record has the metrics that were asked for.
  const seen = await fit(one, { x, y }, { loss: 'mse', optimizer, metrics: ['accuracy', 'r2'] });
  const numbers: number[] = [seen.epochs[0].accuracy, seen.epochs[0].validation!.r2, seen.epochs[0].loss];
  const plainHistory: History = seen;
  const averaged = metrics.f1({ kind: 'multilabel', average: 'micro' });
  numbers.push((await evaluate(one, { x, y }, { metrics: ['rocAuc', 'logLoss'] })).rocAuc);
  await evaluate(one, { x, y }, { metrics: ['f1', averaged, metrics.rocAuc({ fromLogits: true })] });
  // @ts-expect-error 'binary' is no average of ranks
  metrics.rocAuc({ average: 'binary' });
  // @ts-expect-error nobody asked for it
  void seen.epochs[0].acuracy;
  const bare = await fit(one, { x, y }, { loss: 'mse', optimizer });
  const bareHistory: History = bare;
  // @ts-expect-error nobody asked for any
  void bare.epochs[0].accuracy;
  const score: number = (await evaluate(one, { x, y }, { metrics: ['r2'] })).r2;
  // @ts-expect-error nor here
  void (await evaluate(one, { x, y }, { metrics: ['r2'] })).accuracy;
  const { epochs } = await fit(
    one,
    { x, y },
    {
      loss: 'mse',
      optimizer,
      metrics: ['topK', metrics.topK(3), 'f1', metrics.accuracy({ threshold: 0.7 })],
    },
  );
  numbers.push(epochs[0].top5, epochs[0].top3, epochs[0].f1, epochs[0].accuracy);
  // @ts-expect-error nobody asked for it
  void epochs[0].rocAuc;
  // @ts-expect-error there is no such average
  metrics.f1({ average: 'mean' });
  // @ts-expect-error nor such an option
  metrics.f1({ averages: 'macro' });
  const named = (p: Tensor, t: Tensor) => p.sub(t).mean();
  numbers.push((await evaluate(one, { x, y }, { metrics: [named] })).named, score);
  // Of outputs by name as well.
  const byOutput = await fit(
    new Outputs(),
    { x, y: { kind: [1], price: y } },
    {
      loss: { kind: 'softmaxCrossEntropy', price: { loss: losses.mse, weight: 2 } },
      optimizer,
      metrics: {
        kind: ['accuracy', metrics.topK(3), 'topK'],
        price: ['r2'],
      },
      validation: { x, y: { kind: [1], price: y } },
    },
  );
  const [{ validation, ...last }] = byOutput.epochs;
  numbers.push(
    last['kind.accuracy'],
    last['kind.top3'],
    last['kind.top5'],
    last['price.r2'],
    last['kind.loss'],
  );
  numbers.push(validation!['price.loss'], validation!['kind.accuracy'], last.loss);
  // @ts-expect-error nobody asked for it
  void last['kind.r2'];
  // @ts-expect-error there is no such output with a loss
  void last['colour.loss'];
  // @ts-expect-error there is one loss of all
  void (await evaluate(one, { x, y }, { loss: 'mse', metrics: ['r2'] }))['kind.loss'];
  const lossOnly = await evaluate(
    new Outputs(),
    { x, y: { kind: [1], price: y } },
    { loss: { price: 'mse' } },
  );
  numbers.push(lossOnly['price.loss']);
  const chosen: MetricName[] = [];
  numbers.push((await evaluate(one, { x, y }, { metrics: chosen })).r2);

  // @ts-expect-error the model returns no such part
  await fit(records, { x, y }, { loss: (p) => p.missing, optimizer });
  // @ts-expect-error a metric of one tensor
  await fit(records, { x, y }, { loss: (p) => p.logits, optimizer, metrics: [metrics.r2()] });
  // @ts-expect-error y has no such part
  await fit(one, { x, y: { mean: y } }, { loss: (p, t) => losses.mse(p, t.variance), optimizer });
  // @ts-expect-error a loss returns a tensor
  await fit(one, { x, y }, { loss: () => 1, optimizer });
  await fit(one, { x, y, sampleWeight: y }, { loss: 'mse', optimizer });
  // @ts-expect-error there are x, y and sampleWeight alone
  await fit(one, { x, y, weights: y }, { loss: 'mse', optimizer });
  // @ts-expect-error there is no such loss
  await fit(one, { x, y }, { loss: 'least', optimizer });
  void [d, e, numbers, plainHistory, bareHistory];
}

/** What an update in place returns is what it was called on. */
export function updated(weight: Parameter, state: SharedTensor): void {
  const same: Parameter = weight.assign([1]).mul_(2).lerp_(state, 0.5);
  const buffer: SharedTensor = new SharedTensor([2]).assign([1, 2]);
  // @ts-expect-error a SharedTensor is no Parameter
  const other: Parameter = state.add_(1);
  void [same, buffer, other];
}

/** What the compiler knows of a dtype: ops pass it on, and two do not mix. A plain Tensor goes with all. */
export function dtypes(plain: Tensor, wide: FloatDtype): void {
  const single = tensor([[1, 2]]);
  const double = tensor(Float64Array.of(1));
  const labels = tensor([1, 2], { dtype: 'int32' });
  const options: TensorOptions = {};
  const made: [Tensor<'float32'>, Tensor<'float64'>, Tensor<'int32'>, Tensor, Tensor<FloatDtype>] = [
    single,
    double,
    labels,
    tensor([1], options),
    tensor([1], { dtype: wide }),
  ];
  const [a, b, c]: [Float32Array, Float64Array, Int32Array] = [
    single.relu().add(single).mul(2).softmax().data,
    single.cast('float64').matmul(double).data,
    single.argmax().data,
  ];
  const parts: Tensor<'float64'>[] = [...double.split(1), ...double.unbind()];
  const all: Tensor[] = [single, double, labels, plain];
  const loose: [Tensor<'float32'>, Tensor<'float64'>] = [plain, plain.add(single).sub(double)];
  single.add(plain).detach().clone().sum([0]).backward(plain.grad!);
  const rows = single.toArray<number[][]>()[0].length;
  const model = new Sequential([new Dense(2, 3, { dtype: 'float64' }), new Dense(3, 1)]);
  const [weight, bias]: [Float64Array, Float32Array] = [
    model.layers[0].weight.data,
    model.layers[1].bias!.data,
  ];
  const output: Float32Array = model.forward(plain).data;
  const own = new Parameter([2]);
  const learnt: Float32Array = single.mul(own).add(model.layers[1].weight).data;
  const either: AnyParameter[] = [own, ...model.parameters(), new Parameter([1], 'float64')];
  losses.mse(single, own).backward();
  losses.softmaxCrossEntropy(single, labels);
  conv2d(single, own, plain);
  // @ts-expect-error an activation has no weight
  void new Sequential([new ReLU()]).layers[0].weight;
  // @ts-expect-error a target of another dtype
  losses.mse(single, double);
  // @ts-expect-error a weight of another dtype
  conv2d(single, double);
  // @ts-expect-error zeros are float32, whatever they are put into
  const zero: Tensor<'float64'> = zeros([2]);
  // @ts-expect-error indices are int32
  single.gather(single);
  // @ts-expect-error parts have the dtype of the whole
  single.add(double.split(1)[0]);
  // @ts-expect-error float64 to float32
  single.add(double);
  // @ts-expect-error likewise after ops
  single.reshape([2]).mul(double.exp());
  // @ts-expect-error likewise in place
  single.add_(double);
  // @ts-expect-error float32 is not float64
  const wrong: Tensor<'float64'> = single;
  // @ts-expect-error nor are its elements
  const elements: Float64Array = single.data;
  void [made, a, b, c, parts, all, loose, rows, wrong, elements, weight, bias, output, learnt, either, zero];
}

/** Data as people have it. */
export async function given(x: Float32Array[], y: Uint8Array, bytes: readonly Uint8Array[]): Promise<void> {
  const doubles: Tensor<'float64'> = tensor([Float64Array.of(1)]);
  const labels: Tensor<'int32'> = tensor([[Int32Array.of(1)]]);
  const singles: Tensor<'float32'>[] = [tensor(bytes), tensor(new Int8Array(2)), tensor([]), tensor([[]])];
  const chosen: Tensor<'float64'>[] = [
    tensor([], { dtype: 'float64' }),
    tensor([[1, 2]] as const, { dtype: 'float64' }),
    tensor({ length: 1, 0: 2 }, { dtype: 'float64' }),
  ];
  const model = new One();
  const optimizer = new SGD([], { learningRate: 0.1 });
  await fit(model, { x, y }, { loss: 'softmaxCrossEntropy', optimizer });
  await fit(model, { x: bytes, y: [[1, 2]] as const }, { loss: (p, t) => losses.mse(p, t), optimizer });
  await predict(model, bytes);
  // @ts-expect-error BigInts are no numbers
  tensor(new BigInt64Array(1));
  // @ts-expect-error nor as rows
  tensor([new BigInt64Array(1)]);
  // @ts-expect-error text is not an array of numbers
  tensor('12');
  void [doubles, labels, singles, chosen];
}

/** What the dtype follows from, and what may be of either. */
export function dtypesOfValues(bytes: Uint8Array, either: Float32Array | Float64Array, values: Values): void {
  const known: Tensor<'float32'>[] = [tensor(1), tensor([[1]]), tensor(bytes), tensor([bytes, [1, 2]])];
  const given: Tensor<'float64'>[] = [
    tensor(either, { dtype: 'float64' }),
    tensor(values, { dtype: 'float64' }),
  ];
  const open: Tensor[] = [tensor(either), tensor(values), ...known, ...given];
  open.push(tensor({ length: 1, 0: 2 }));
  // @ts-expect-error it may be a Float64Array
  const floats: Float32Array = tensor(either).data;
  // @ts-expect-error likewise
  const others: Float32Array = tensor(values).data;
  void [floats, others];
}

export class Indices extends Layer {
  override readonly inputDtype = 'int32';
  forward(x: Tensor): Tensor {
    return x;
  }
}

/** What text and tables the compiler knows of. */
export async function texts(path: string, cells: Record<string, string[] | number[]>): Promise<void> {
  const city = new Sequential([new StringLookup(), new OneHot()]);
  const columns = new Columns({ city, size: new Normalize(1) });
  const model = new Sequential([columns, new Dense(4, 1)]);
  const optimizer = new SGD(model.parameters(), { learningRate: 0.1 });
  const table = { city: ['a', 'b'], size: [1, 2] };
  const rows = [{ city: 'a', size: 1, more: null }];
  const y = [[1], [2]];
  const indices: Tensor<'float32'> = await predict(city, ['a', ['b']]);
  await predict(columns, table);
  await predict(model, rows);
  await fit(model, { x: table, y }, { loss: 'mse', optimizer, validation: { x: rows, y } });
  await fit(model, [{ x: table, y }], { loss: (p, t) => losses.mse(p, t), optimizer });
  await evaluate(model, { x: table, y }, { loss: 'mse' });
  const plain: Sequential = model;
  const layers: Layer[] = [model, columns, city, plain];
  // Of a file nobody knows which layers there are, and of columns by any name not either.
  await predict(await loadModel(path), table);
  await predict(await loadModel(path), rows);
  await predict(new Columns({ ...(layers as unknown as Record<string, Layer>) }), cells);
  const words: string[] = city.layers[0].decode([0, 1]);
  const split: { train: { x: typeof table; y: number[][] } } = trainTestSplit(
    { x: table, y },
    { testSize: 1 },
  );
  for (const { test } of kFold({ x: tensor([1, 2]), y }, { folds: 2, stratify: ['a', 'b'] })) {
    const part: [Tensor<'float32'>, number[][]] = [test.x, test.y];
    void part;
  }
  for (const { train } of kFold(10)) void (train satisfies Int32Array);
  // @ts-expect-error numbers are no text
  await predict(columns, { city: [true], size: [1] });
  // @ts-expect-error a column is missing
  await predict(columns, { city: ['a'] });
  // @ts-expect-error text is no number
  await predict(new Columns({ size: new Normalize(1) }), { size: ['a'] });
  // @ts-expect-error there is no such choice
  void new StringLookup(['a'], { unknown: 'zeros' });
  void [indices, words, split];
}

export class WordsAndMore extends Layer {
  override readonly inputDtype = { words: 'int32' } as const;
  forward({ words }: { words: Tensor; more: Tensor }): Tensor {
    return words;
  }
}
