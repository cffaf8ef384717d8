/**
 * Batches that rank 0 alone reads. Prints, on rank 0, what a training by them came to beside the same one in this process alone, or
 * what ended it on each rank:
 *
 *     scatter.child.ts plain|stream|inputs|weighed|mapped|evaluate|resumed
 *     scatter.child.ts stopped|aborted|throws|ragged|empty|once|array|worldless|nothing|hand|kernel
 */
import {
  type Callback,
  checkpoint,
  Dense,
  evaluate,
  fit,
  Layer,
  Sequential,
  SGD,
  stream,
  Tanh,
  type Tensor,
  tensor,
} from '../../lib/index.ts';
import { kernels } from '../../lib/kernels/index.ts';
import { distribute } from '../../lib/mpi/index.ts';

const [what = 'plain'] = process.argv.slice(2);
const dtype = 'float64';
const world = await distribute({ timeout: 20 });
const { rank, size } = world;
const isFirst = rank === 0;

/** Two inputs by name. */
class Two extends Layer {
  readonly left = new Dense(2, 5, { dtype });
  readonly right = new Dense(3, 5, { dtype });
  readonly out = new Dense(5, 3, { dtype });

  forward({ left, right }: { left: Tensor; right: Tensor }): Tensor {
    return this.out.forward(this.left.forward(left).add(this.right.forward(right)).tanh());
  }
}

const number = (i: number) => Math.sin(1.7 * i + 0.3);
function made<Model extends Layer>(model: Model): Model {
  let at = 0;
  for (const parameter of model.parameters()) {
    const values = Float64Array.from({ length: parameter.size }, () => 0.5 * number(3 * at++));
    parameter.assign(tensor(values, { shape: parameter.shape }));
  }
  return model;
}
const plainModel = () =>
  made(new Sequential([new Dense(4, 6, { dtype }), new Tanh(), new Dense(6, 3, { dtype })]));

// ── batches ─────────────────────────────────────────────────────────────────────────────────────────────────────────

// Uneven ones, and some of fewer rows than there are ranks.
const sizes = [8, 5, 1, 7, 2, 6];
const range = (length: number) => Array.from({ length }, (_, i) => i);
const begin = (batch: number) => sizes.slice(0, batch).reduce((sum, one) => sum + one, 0);
const rowsOf = (batch: number) => range(sizes[batch]).map((i) => begin(batch) + i);
const row = (i: number, width: number, from = 0) => range(width).map((j) => number(10 * i + j + from));
const plainBatch = (batch: number) => ({
  x: rowsOf(batch).map((i) => row(i, 4)),
  y: rowsOf(batch).map((i) => i % 3),
});
const state = { opened: 0, given: 0, closed: 0 };
const sources = {
  *plain() {
    state.opened++;
    try {
      for (const batch of sizes.keys()) {
        state.given++;
        yield plainBatch(batch);
      }
    } finally {
      state.closed++;
    }
  },
  async *inputs() {
    for (const batch of sizes.keys()) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      yield {
        x: {
          left: tensor(
            rowsOf(batch).map((i) => row(i, 2)),
            { dtype },
          ),
          right: rowsOf(batch).map((i) => row(i, 3, 7)),
        },
        y: Int32Array.from(rowsOf(batch), (i) => i % 3),
      };
    }
  },
  *weighed() {
    for (const batch of sizes.keys()) {
      yield { ...plainBatch(batch), sampleWeight: rowsOf(batch).map((i) => 0.25 * (i % 4)) };
    }
  },
  *throws() {
    yield plainBatch(0);
    yield plainBatch(1);
    throw new RangeError('the cursor is gone');
  },
  *ragged() {
    yield plainBatch(0);
    yield { x: plainBatch(0).x, y: [0, 1] };
  },
  *empty() {
    yield plainBatch(0);
    yield { x: tensor([], { shape: [0, 4], dtype }), y: new Int32Array(0) };
  },
};
const all = range(begin(sizes.length));
const shuffled = () =>
  stream({ x: all.map((i) => row(i, 4)), y: all.map((i) => i % 3) })
    .shuffle(20, { seed: 5 })
    .batch(4)
    .prefetch(2);

// ── what ranks do ───────────────────────────────────────────────────────────────────────────────────────────────────

/** Rank 0's; the others are not to look at what they are given. */
// biome-ignore lint/suspicious/noExplicitAny: of whatever kind
const scattered = (source: unknown) => world.scatter<any, any>(isFirst ? (source as never) : undefined);

const options = (model: Layer, callbacks: Callback[] = []) => ({
  loss: 'softmaxCrossEntropy' as const,
  optimizer: new SGD(model.parameters(), { learningRate: 0.2, momentum: 0.9 }),
  epochs: 2,
  metrics: ['accuracy'] as const,
  callbacks,
});
// biome-ignore lint/suspicious/noExplicitAny: of whatever kind
async function trained(model: Layer, data: any, own: typeof world | null = world, more: object = {}) {
  // biome-ignore lint/suspicious/noExplicitAny: of whatever kind
  const history = await fit(model as any, data, { ...options(model), world: own ?? undefined, ...more });
  return {
    history: history.epochs.map(({ loss, accuracy }) => [loss, accuracy]),
    numbers: model.parameters().map(({ data }) => Array.from(data as Float64Array)),
  };
}
type Trained = Awaited<ReturnType<typeof trained>>;

const off = (a: unknown, b: unknown): number => {
  const [left, right] = [[a].flat(9), [b].flat(9)] as number[][];
  if (left.length !== right.length) return Infinity;
  return left.reduce((most, value, i) => Math.max(most, Math.abs(value - right[i])), 0);
};

/** On rank 0: how far it is from the training of one process. */
async function beside(made: Trained, alone: () => Promise<Trained>): Promise<void> {
  const ranks = await world.gatherValues(made);
  if (!isFirst) return;
  const one = await alone();
  const same = ranks.every((own) => JSON.stringify(own) === JSON.stringify(ranks[0]));
  console.log(
    JSON.stringify({ off: off(made.numbers, one.numbers), history: off(made.history, one.history), same }),
  );
}

/** What each rank has, from rank 0. */
async function tell(own: unknown): Promise<void> {
  const ranks = await world.gatherValues(own);
  if (isFirst) console.log(JSON.stringify(ranks));
}

const outcome = async (action: () => Promise<unknown>) => {
  try {
    await action();
    return 'none';
  } catch (error) {
    const { name, message } = error as Error;
    return `${name}: ${message}`;
  }
};

/** Each rank by itself, as the world is of no use after an error of `fit`; what is said is passed on before the job ends. */
const tellAlone = async (said: unknown) => {
  console.log(JSON.stringify({ rank, said }));
  await new Promise((resolve) => setTimeout(resolve, 500));
};

const alone =
  <Source>(model: () => Layer, source: () => Source) =>
  () =>
    trained(model(), source(), null);

const actions: Record<string, () => Promise<void>> = {
  plain: async () =>
    beside(
      await trained(plainModel(), scattered(sources.plain)),
      alone(plainModel, () => sources.plain),
    ),
  stream: async () => beside(await trained(plainModel(), scattered(shuffled())), alone(plainModel, shuffled)),
  inputs: async () =>
    beside(
      await trained(made(new Two()), scattered(sources.inputs)),
      alone(
        () => made(new Two()),
        () => sources.inputs,
      ),
    ),
  weighed: async () =>
    beside(
      await trained(plainModel(), scattered(sources.weighed)),
      alone(plainModel, () => sources.weighed),
    ),

  // By hand on the way: of no rows where a rank has none.
  mapped: async () => {
    const tensors = range(sizes.length).map((batch) => ({
      x: tensor(plainBatch(batch).x, { dtype }),
      y: Int32Array.from(plainBatch(batch).y),
    }));
    const parts = scattered(tensors);
    const halved = async function* () {
      for await (const { x, y } of parts) yield { x: x.mul(0.5), y };
    };
    const whole = () => tensors.map(({ x, y }) => ({ x: x.mul(0.5), y }));
    await beside(await trained(plainModel(), halved), alone(plainModel, whole));
  },

  evaluate: async () => {
    const model = plainModel();
    const own = { loss: 'softmaxCrossEntropy', metrics: ['accuracy'] } as const;
    const scores = await evaluate(model, scattered(sources.weighed), { ...own, world });
    const history = await trained(plainModel(), scattered(sources.plain), world, {
      validation: scattered(sources.plain),
    });
    const ranks = await world.gatherValues([scores, history]);
    if (!isFirst) return;
    const one = await evaluate(model, sources.weighed, own);
    const same = ranks.every((each) => JSON.stringify(each) === JSON.stringify(ranks[0]));
    console.log(JSON.stringify({ off: off(Object.values(scores), Object.values(one)), history: 0, same }));
  },

  resumed: async () => {
    // In the middle of the second epoch.
    const wanted = sizes.length + 3;
    let kept: Uint8Array | undefined;
    let count = 0;
    const keep = checkpoint({
      every: 1,
      save: (one) => {
        if (++count === wanted) kept = one.encode();
      },
    });
    await trained(plainModel(), scattered(sources.plain), world, { callbacks: [keep] });
    const { given } = state;
    const resumed = await trained(plainModel(), scattered(sources.plain), world, { resume: kept });
    await beside(
      resumed,
      alone(plainModel, () => sources.plain),
    );
    if (isFirst && state.given !== given + 3 * sizes.length) {
      throw new Error(
        `expected one pass to go on with, and two of one process, got ${state.given - given} batches`,
      );
    }
  },

  stopped: async () => {
    const stop: Callback = {
      onBatchEnd: (context, { batch }) => {
        if (isFirst && batch === 2) context.stop('enough');
      },
    };
    const data = scattered(sources.plain);
    const first = await trained(plainModel(), data, world, { callbacks: [stop] });
    const afterStop = { ...state };
    const second = await trained(plainModel(), data);
    await tell({ afterStop, state, epochs: [first.history.length, second.history.length] });
  },
  aborted: async () => {
    const controller = new AbortController();
    const abort: Callback = {
      onBatchEnd: (_, { batch }) => {
        if (rank === size - 1 && batch === 2) controller.abort(new Error('by hand'));
      },
    };
    const data = scattered(sources.plain);
    const said = await outcome(() =>
      trained(plainModel(), data, world, { callbacks: [abort], signal: controller.signal }),
    );
    await tell({ said, closed: state.closed, given: state.given });
  },
  throws: async () => tellAlone(await outcome(() => trained(plainModel(), scattered(sources.throws)))),
  ragged: async () => tellAlone(await outcome(() => trained(plainModel(), scattered(sources.ragged)))),
  empty: async () => tellAlone(await outcome(() => trained(plainModel(), scattered(sources.empty)))),
  once: async () => tellAlone(await outcome(() => trained(plainModel(), scattered(sources.plain())))),
  array: async () =>
    tellAlone(await outcome(() => trained(plainModel(), scattered([plainBatch(0), { x: [[1, 2, 3, 4]] }])))),
  worldless: async () => {
    const data = scattered(sources.plain);
    await tell(await outcome(() => trained(plainModel(), data, null)));
  },
  nothing: async () =>
    tellAlone(await outcome(async () => world.scatter(isFirst ? ({ x: [1], y: [1] } as never) : undefined))),

  // A loop of a user's own goes on after an error, as all ranks know of it.
  hand: async () => {
    const data = scattered(() => [
      {
        x: [
          [1, 2],
          [3, 4],
          [5, 6],
          [7, 8],
        ],
        y: Int32Array.of(1, -2, 3, 2 ** 31 - 1),
      },
      { x: [[9, 10]], y: Int32Array.of(5), sampleWeight: [0.5] },
      { x: [Float64Array.of(1 / 3), Float64Array.of(2 / 3)], y: [[1], [2]] },
    ]);
    const seen = [];
    for (let pass = 0; pass < 2; pass++) {
      for await (const { x, y, sampleWeight } of data) {
        seen.push([x, y, sampleWeight].map((t) => t && [t.dtype, ...t.shape, ...t.data]));
      }
    }
    const error = await outcome(async () => {
      for await (const _ of scattered(sources.throws)) void _;
    });
    await tell({ seen, error });
  },

  kernel: async () => {
    const root = size - 1;
    const counts = Int32Array.from({ length: size }, (_, i) => (i === 1 ? 0 : 3 + i));
    const total = counts.reduce((sum, one) => sum + one, 0);
    const seen = [Float32Array, Float64Array, Int32Array].map((kind) => {
      const whole = new kind(rank === root ? total : 0).map((_: number, i: number) => 2 ** 30 * (i - 3));
      const part = new kind(counts[rank]).fill(-1);
      kernels.scatter(part, whole, counts, world.state, root);
      return Array.from(part);
    });
    const [small, whole] = [new Int32Array(2), new Int32Array(2 * size)];
    const each = (count: number) => new Int32Array(size).fill(count);
    const calls: Parameters<typeof kernels.scatter>[] = [
      [small.subarray(1), whole, each(2), world.state, 0],
      [small, small, each(2), world.state, rank],
      [small, small, each(2).subarray(1), world.state, 0],
      [small, small, each(-1), world.state, 0],
      [small, small, each(2 ** 31 - 1), world.state, 0],
      [small, whole, each(2), world.state, size],
    ];
    const wrong: string[] = [];
    for (const call of calls) wrong.push(await outcome(async () => kernels.scatter(...call)));
    await tell({ seen, wrong });
  },
};

await actions[what]();
