/**
 * What a stranger writes, for compilers that know ECMAScript 2020 and nothing else: neither a browser nor Node. What is wrong
 * here has to be wrong for each of them.
 */
import {
  Adam,
  type AnyParameter,
  ArgumentError,
  AxpyError,
  type Callback,
  compile,
  Dense,
  Dropout,
  type Dtype,
  evaluate,
  type FitOptions,
  fit,
  type History,
  Layer,
  losses,
  metrics,
  Parameter,
  predict,
  progress,
  type RandomState,
  randn,
  randomState,
  Sequential,
  SGD,
  ShapeError,
  type SharedParameter,
  type Tensor,
  tensor,
  zeros,
} from 'axpy';

/** A layer of one's own. */
export class Scale extends Layer {
  readonly factor: Parameter = new Parameter([1]);

  constructor(private readonly by: number) {
    super();
  }

  forward(x: Tensor): Tensor {
    return x.mul(this.factor).mul(this.by).relu();
  }
}

export class Twins extends Layer {
  readonly inner = new Dense(2, 2, { dtype: 'float64', activation: 'tanh' });

  forward({ left, right }: { left: Tensor; right: Tensor }): [Tensor, Tensor] {
    return [this.inner.forward(left), right];
  }
}

/** An optimizer of one's own would look as SGD does to `fit`. */
export function optimizerOf(model: Layer): SGD | Adam {
  const parameters: AnyParameter[] = model.parameters();
  return parameters.length > 3
    ? new Adam(parameters, { learningRate: 1e-3 })
    : new SGD(parameters, { learningRate: 0.1, momentum: 0.9 });
}

export async function train(signal?: { aborted: boolean }): Promise<number> {
  const model = new Sequential([
    new Dense(2, 8, { activation: 'relu' }),
    new Scale(2),
    new Dropout(0.1),
    new Dense(8, 1),
  ]);
  const optimizer = optimizerOf(model);
  const seen: number[] = [];
  const stopping: Callback = {
    onEpochEnd(context, record) {
      seen.push(record.loss, record.validation?.loss ?? 0);
      if (record.loss < 0.1) context.stop('good enough');
    },
  };
  async function* batches() {
    yield { x: [[1, 2]], y: Float32Array.of(1) };
  }
  const lines: string[] = [];
  const history = await fit(
    model,
    {
      x: [
        [1, 2],
        [3, 4],
      ],
      y: [[1], [2]],
    },
    {
      loss: 'mse',
      optimizer,
      epochs: 2,
      metrics: ['r2', metrics.accuracy({ threshold: 0.5 })],
      validation: { x: [new Float32Array(2)], y: [[1]] },
      callbacks: [stopping, progress({ stream: { write: (line: string) => lines.push(line) } })],
      transformGradients: (parameters) => {
        for (const parameter of parameters) parameter.grad?.mul_(0.5);
      },
    },
  );
  const last = history.epochs[history.epochs.length - 1]!;
  const known: number = last.r2 + last.accuracy + last.loss;
  // @ts-expect-error nobody asked for it
  last.rocAuc;
  const plain: History = await fit(model, batches, { loss: (p, t) => losses.mse(p, t), optimizer });
  // @ts-expect-error there is no such loss
  await fit(model, batches, { loss: 'least', optimizer });
  const scores = await evaluate(model, { x: [[1, 2]], y: [[1]] }, { loss: 'mse', metrics: ['r2'] });
  const [left, right] = await predict(new Twins(), { left: randn([1, 2]), right: zeros([2]) });
  const options: FitOptions = { loss: 'mse', optimizer };
  // @ts-expect-error an object that can be asked whether it is aborted tells nobody that it is
  options.signal = signal;
  return known + seen.length + plain.epochs.length + scores.r2 + left.size + right.size;
}

/** A step as a program of its own. */
export async function steps(model: Layer, given: RandomState = randomState(1)): Promise<Float32Array> {
  const optimizer = optimizerOf(model);
  const step = compile((x: Tensor<'float32'>, y: Tensor<'float32'>) => {
    const loss = losses.mse((model.forward as (x: Tensor) => Tensor<'float32'>)(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return { loss, word: given[0]! };
  });
  const { loss, word } = await step(tensor([[1, 2]]), tensor([[1]]));
  const number: number = word + step.sync(tensor([[1, 2]]), tensor([[1]])).loss.item();
  return loss.data.map((x) => x + number);
}

/** Errors are told apart by their classes, or by their codes. */
export function reason(error: unknown): string {
  if (error instanceof ShapeError || error instanceof ArgumentError) return error.message;
  if (error instanceof AxpyError) return `${error.code} after ${error.history?.epochs.length ?? 0} epochs`;
  const own = new AxpyError('OWN', 'of a layer of mine', { cause: error });
  return own.name;
}

/** Two dtypes do not mix. */
export function dtypes(): Tensor[] {
  const single = tensor([[1, 2]]);
  const double = tensor(Float64Array.of(1, 2));
  const labels: Int32Array = single.argmax().data;
  const floats: Float32Array = single.matmul(single.transpose()).softmax().data;
  const doubles: Float64Array = double.add(1).cast('float64').data;
  // @ts-expect-error float32 and float64
  single.add(double);
  // @ts-expect-error likewise after ops
  single.relu().mul(double.exp());
  // @ts-expect-error likewise in place
  single.add_(double);
  // @ts-expect-error a loss of both
  losses.mse(single, double);
  // @ts-expect-error its elements are of the other kind
  const wrong: Float64Array = single.data;
  return [single, double, tensor(labels), tensor(floats), tensor(doubles), tensor(wrong)];
}

/** What any dtype goes through. */
export function doubled<D extends Dtype>(x: Tensor<D>): Tensor<D> {
  return x.add(x);
}

/** Threads share parameters. */
export function shared(weight: AnyParameter): SharedParameter {
  return weight.share();
}
