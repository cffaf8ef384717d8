/** The queue of runs: whatever fails, every run settles, in its turn and with its own outcome. */
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  compile,
  Dense,
  IndexError,
  losses,
  MemoryError,
  Parameter,
  SGD,
  type Tensor,
  tensor,
  zeros,
} from '../lib/index.ts';
import { mainQueue, runNow } from '../lib/kernels/queue.ts';
import { occupy } from './train/support.ts';

/** Where a run can fail: before it, at the start of the thread, within the program, after it. */
const edges = ['nowhere', 'enter', 'start', 'program', 'leave'] as const;
type Edge = (typeof edges)[number];

/** A run that fails at an edge, and what became of it. */
class Stub {
  failed = false;
  abandoned = 0;
  outcome: unknown = 'none';
  readonly error: Error;
  readonly run;

  constructor(
    readonly name: string,
    edge: Edge,
    /** What happened to all runs, in order. */
    readonly log: string[],
  ) {
    this.error = new Error(`${name} failed at ${edge}`);
    const fail = (at: Edge) => {
      if (edge !== at) return;
      this.failed = true;
      throw this.error;
    };
    this.run = {
      program: {
        run: () => fail('program'),
        runAsync: () => {
          fail('start');
          return turn().then(() => fail('program'));
        },
        times: () => new Float64Array(0),
        setSteady: () => {},
      },
      enter: () => {
        log.push(`${name} in`);
        fail('enter');
      },
      leave: () => {
        log.push(`${name} out`);
        fail('leave');
        return name;
      },
      abandon: () => {
        this.abandoned++;
      },
    };
  }

  /** @param mayBeAtOnce whether it is made at once where nothing is under way */
  ask(mayBeAtOnce = false): void {
    const settle = (outcome: unknown) => {
      this.outcome = outcome;
      this.log.push(`${this.name} settled`);
    };
    const isAtOnce = mayBeAtOnce && mainQueue.isFree;
    (isAtOnce ? mainQueue.atOnce(() => runNow(this.run)) : mainQueue.enqueue(this.run)).then(settle, settle);
  }
}

/** What happens between the runs, after the first, second and third of which `pause` is called. */
const ways: Record<string, (pause: number) => void> = {
  'on the executor': () => {},
  'drained after the first': (pause) => pause === 1 && mainQueue.drain(),
  'drained after the second': (pause) => pause === 2 && mainQueue.drain(),
  'drained at the end': (pause) => pause === 3 && mainQueue.drain(),
  'with calls on this thread in between': () => {
    mainQueue.drain();
    expect(mainQueue.isBusy).toBe(false);
    expect(runNow(new Stub('between', 'nowhere', []).run)).toBe('between');
  },
};

const all = Object.entries(ways).flatMap(([name, pause]) => [
  { name, pause, mayBeAtOnce: false },
  { name: `${name}, at once where nothing is under way`, pause, mayBeAtOnce: true },
]);

describe.each(all)('three runs, $name', ({ pause, mayBeAtOnce }) => {
  const combinations = edges.flatMap((a) => edges.flatMap((b) => edges.map((c) => [a, b, c] as const)));
  test.each(combinations)('that fail at %s, %s, %s', async (...at) => {
    const log: string[] = [];
    const stubs = at.map((edge, i) => new Stub(String(i), edge, log));
    stubs.forEach((stub, i) => {
      stub.ask(mayBeAtOnce);
      pause(i + 1);
    });
    for (let i = 0; i < 20; i++) await turn();

    expect(mainQueue.isBusy).toBe(false);
    expect(stubs.map(({ outcome }) => outcome)).toEqual(
      stubs.map(({ failed, error, name }) => (failed ? error : name)),
    );
    expect(stubs.map(({ abandoned }) => abandoned)).toEqual(stubs.map(({ failed }) => Number(failed)));
    expect(log.filter((entry) => entry.endsWith('settled'))).toEqual(['0 settled', '1 settled', '2 settled']);
    // Nobody enters before the one ahead has left, or has failed.
    const steps = log.filter((entry) => !entry.endsWith('settled')).map((entry) => Number(entry[0]));
    expect(steps).toEqual([...steps].sort());
  });
});

test('ten thousand runs, every third of which fails, settle in order', async () => {
  const log: string[] = [];
  const stubs = Array.from(
    { length: 10_000 },
    (_, i) => new Stub(String(i), edges[i % 3 === 0 ? (i % 4) + 1 : 0], log),
  );
  for (const stub of stubs) stub.ask();
  mainQueue.drain();
  await turn();
  await turn();
  expect(stubs.filter(({ failed, error, name, outcome }) => outcome !== (failed ? error : name))).toEqual([]);
  expect(log.filter((entry) => entry.endsWith('settled'))).toEqual(
    stubs.map(({ name }) => `${name} settled`),
  );
});

describe('of compiled functions', () => {
  const doubled = () => compile((x: Tensor) => x.mul(2));

  /** Runs `fn` while the nth copy of an array, from now on, finds no memory. */
  async function without(nth: number, fn: () => Promise<void>): Promise<void> {
    const { Float32Array: genuine } = globalThis;
    let copies = 0;
    globalThis.Float32Array = new Proxy(genuine, {
      construct(target, args, newTarget) {
        if (ArrayBuffer.isView(args[0]) && ++copies === nth)
          throw new RangeError('Array buffer allocation failed');
        return Reflect.construct(target, args, newTarget === globalThis.Float32Array ? target : newTarget);
      },
    });
    try {
      await fn();
    } finally {
      globalThis.Float32Array = genuine;
    }
  }

  // Three results, and the arguments of runs that wait.
  test.each([1, 2, 3, 4, 5, 6])('one of which finds no memory for copy %d', async (nth) => {
    const f = doubled();
    const x = tensor([1]);
    f.sync(x);
    occupy();
    await without(nth, async () => {
      const runs = [1, 2, 3].map((value) => {
        x.data[0] = value;
        return f(x).then((y) => y.item());
      });
      const outcomes = await Promise.allSettled(runs);
      const failed = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
      expect(failed.map(({ reason }) => reason.constructor)).toEqual([MemoryError]);
      outcomes.forEach((outcome, i) => {
        if (outcome.status === 'fulfilled') expect(outcome.value).toBe(2 * (i + 1));
      });
    });
    expect((await f(tensor([4]))).item()).toBe(8);
  });

  // The argument of the run that waits, and then two tensors from outside, which it would have copied.
  test.each([1, 2, 3])(
    'a run that finds no memory for copy %d has not copied what changed outside',
    async (nth) => {
      const [first, second] = [tensor([1]), tensor([1])];
      const f = compile((x: Tensor) => x.add(first).add(second));
      const x = tensor([0]);
      for (let i = 0; i < 2; i++) f.sync(x);
      occupy();
      const running = f(x);
      first.assign([10]);
      second.assign([10]);
      await without(nth, async () => {
        await expect(f(x)).rejects.toThrow(MemoryError);
      });
      expect((await running).item()).toBe(2);
      expect((await f(x)).item()).toBe(20);
    },
  );

  /** One that costs too much to be made at once. */
  const long = () => {
    const weights = zeros([1024, 1024]);
    return compile((x: Tensor) => x.add(weights.matmul(weights).sum()));
  };

  test('what costs little is made at once where nothing is under way, and else in its turn', async () => {
    const weight = new Parameter([1]);
    const step = compile((x: Tensor) => weight.add_(x));
    const [one, work] = [tensor([1]), long()];
    await step(one);
    const running = [step(one)];
    expect(weight.data[0]).toBe(2);
    const worked = work(one);
    running.push(step(one));
    expect(mainQueue.isFree).toBe(false);
    expect(mainQueue.isBusy).toBe(true);
    await Promise.all([...running, worked]);
    expect(weight.data[0]).toBe(3);
  });

  test('runs made at once settle in their order among others', async () => {
    const [short, work] = [doubled(), long()];
    const x = tensor([1]);
    const order: number[] = [];
    const calls = [short, work, short, short, work, short, short];
    const runs = calls.map((f, i) => {
      // With what was asked for before made by then, others are free to go at once, and wait with their promises.
      if (i === 3 || i === 5) f.sync(x);
      return f(x).then(() => order.push(i));
    });
    await Promise.all(runs);
    expect(order).toEqual(calls.map((_, i) => i));
  });

  test('whoever awaits one run after the other keeps the event loop turning', async () => {
    const [f, other] = [doubled(), doubled()];
    const x = tensor([1]);
    await Promise.all([f(x), other(x)]);
    let turns = 0;
    let isOver = false;
    const count = () => {
      turns++;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    const loop = async (run: typeof f) => {
      for (let i = 0; i < 100; i++) await run(x);
    };
    await Promise.all([loop(f), loop(other)]);
    isOver = true;
    // Both may settle in one turn, and some runs be made by the executor, where others have taken the time of a turn.
    expect(turns).toBeGreaterThan(25);
  });

  test('an error of a kernel is that of its run alone', async () => {
    const f = compile((x: Tensor, y: Tensor) => losses.softmaxCrossEntropy(x, y));
    const other = doubled();
    const logits = zeros([2, 4]);
    const good = tensor(new Int32Array([0, 1]));
    const bad = tensor(new Int32Array([0, 4]));
    f.sync(logits, good);
    other.sync(tensor([1]));
    for (const drains of [false, true]) {
      const runs = [f(logits, bad), other(tensor([1])), f(logits, bad), f(logits, good)];
      if (drains) expect(other.sync(tensor([3])).item()).toBe(6);
      const outcomes = await Promise.allSettled(runs);
      expect(outcomes.map(({ status }) => status)).toEqual([
        'rejected',
        'fulfilled',
        'rejected',
        'fulfilled',
      ]);
      for (const i of [0, 2])
        expect((outcomes[i] as PromiseRejectedResult).reason).toBeInstanceOf(IndexError);
    }
  });

  test('a getter in a result is read when it is recorded, and not at each run', async () => {
    let reads = 0;
    const f = compile((x: Tensor) => ({
      get y() {
        reads++;
        return x.mul(2);
      },
    }));
    f.sync(tensor([1]));
    const runs = [f(tensor([2])), f(tensor([3]))];
    expect(f.sync(tensor([4])).y.item()).toBe(8);
    expect((await Promise.all(runs)).map(({ y }) => y.item())).toEqual([4, 6]);
    const before = reads;
    // Called anew before the 5th and the 17th run, to see that it does the same.
    for (let i = 0; i < 20; i++) f.sync(tensor([i]));
    expect(reads - before).toBe(2);
  });

  test('an array that the function keeps does no harm', async () => {
    let kept: Tensor[] = [];
    const f = compile((x: Tensor) => {
      kept = [x.mul(2)];
      return kept;
    });
    f.sync(tensor([1]));
    f.sync(tensor([1, 2]));
    const runs = [f(tensor([5])), f(tensor([6, 7])), f(tensor([8]))];
    kept.length = 0;
    const results = await Promise.all(runs);
    expect(results.map((list) => list.map((x) => x.toArray()))).toEqual([[[10]], [[12, 14]], [[16]]]);
  });

  test('a tensor that the function keeps for later is refused there', () => {
    let kept = tensor([1]);
    const f = compile((x: Tensor) => {
      kept = kept.add(x);
      return kept.mul(1);
    });
    expect(f.sync(tensor([1])).toArray()).toEqual([2]);
    const refused = expect.objectContaining({ code: 'AXPY_AUTOGRAD' });
    expect(() => kept.toArray()).toThrow(refused);
    expect(() => kept.add(1)).toThrow(refused);
    expect(() => f.sync(tensor([1]))).toThrow(refused);
  });

  test('a failed step leaves the next ones of another model alone', async () => {
    const [first, second] = [new Dense(2, 3), new Dense(1, 1, { init: 'zeros' })];
    const stepOf = (model: Dense, loss: (y: Tensor, t: Tensor) => Tensor) => {
      const optimizer = new SGD(model.parameters(), { learningRate: 1 });
      return compile((x: Tensor, t: Tensor) => {
        const value = loss(model.forward(x), t);
        optimizer.zeroGrad();
        value.backward();
        optimizer.step();
        return value;
      });
    };
    const broken = stepOf(first, losses.softmaxCrossEntropy);
    const sound = stepOf(second, losses.mse);
    await broken(zeros([1, 2]), tensor(new Int32Array([0])));
    await sound(tensor([[1]]), tensor([[1]]));
    const weights = [...first.weight.data];
    const runs = [
      broken(zeros([1, 2]), tensor(new Int32Array([7]))),
      sound(tensor([[0]]), tensor([[0]])),
      broken(zeros([1, 2]), tensor(new Int32Array([9]))),
    ];
    const outcomes = await Promise.allSettled(runs);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected']);
    expect([...first.weight.data]).toEqual(weights);
  });

  test('a failed run leaves the gradients of those behind it', async () => {
    const layer = new Dense(2, 3);
    const optimizer = new SGD(layer.parameters(), { learningRate: 1 });
    const step = (x: Tensor, t: Tensor) => {
      const loss = losses.softmaxCrossEntropy(layer.forward(x), t);
      optimizer.zeroGrad();
      loss.backward();
    };
    const x = tensor([[1, 2]]);
    const [good, bad] = [0, 3].map((label) => tensor([label], { dtype: 'int32' }));
    step(x, good);
    const expected = layer.weight.grad!.toArray();
    const compiled = compile(step);
    await compiled(x, good);
    for (const labels of [
      [bad, good],
      [bad, good, bad, good],
    ]) {
      await Promise.allSettled(labels.map((label) => compiled(x, label)));
      expect(layer.weight.grad?.toArray()).toEqual(expected);
    }
    await Promise.allSettled([compiled(x, good), compiled(x, bad)]);
    expect(layer.weight.grad).toBeNull();
  });
});
