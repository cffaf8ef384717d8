/*:
# 16. All examples, one, or a few

> Gradient descent follows the cost of all examples, which is accurate and slow; stochastic gradient descent follows the
> loss of one, which is noisy and quick. Practice takes the middle, mini-batches.

The three differ in one thing only: over how many examples the loss is averaged before the weights take a step
$`W^{[\ell]} \leftarrow W^{[\ell]} - \alpha\,\partial(\cdot)/\partial W^{[\ell]}`$.

| | follows | steps in one pass over $`m`$ examples |
|---|---|---|
| gradient descent | $`J = \frac1m \sum_{i=1}^m \mathcal{L}^{(i)}`$ | 1 |
| stochastic gradient descent | $`\mathcal{L}^{(i)}`$, one random $`i`$ | $`m`$ |
| mini-batch | $`J_{mb} = \frac1B \sum_{i=1}^B \mathcal{L}^{(i)}`$, $`B`$ random examples | $`m/B`$ |

So a single function serves all three: the size of the batch it is given tells them apart. The problem is
Fashion-MNIST: $`m`$ = {{m}} images of clothes, ten kinds, a network with 32 hidden neurons.
*/
import {
  compile,
  Dense,
  evaluate,
  losses,
  permutation,
  randomState,
  Sequential,
  SGD,
  seed,
  tensor,
} from 'axpy';
import { loadFashion } from '../support/fashion-mnist.ts';
// hide
import { formatNumber, formatSeconds, main, type Page } from './support/index.ts';

export async function run(page: Page): Promise<void> {
  // show
  const m = page.quick ? 1000 : 2000;
  const { x: images, y: labels } = loadFashion({ embedded: true }).train;
  const all = { x: images.slice([[0, m]]), y: labels.slice([[0, m]]) };
  const take = (chosen: Int32Array) => {
    const rows = tensor(chosen);
    return { x: all.x.gather(rows), y: all.y.gather(rows) };
  };
  const newModel = () => {
    seed(16); // the same start for all
    return new Sequential([new Dense(784, 32, { activation: 'relu' }), new Dense(32, 10)]);
  };

  /*:
  ## How noisy is the gradient of a few?

  The gradient of one example is a guess at the gradient of all. It is a fair guess: the mean of the $`\mathcal{L}^{(i)}`$
  is $`J`$, so the mean of their gradients is the gradient of $`J`$. How far off is it, usually? For each batch size we draw
  random batches, all at the same weights, and measure the distance from the true gradient $`g = \partial J/\partial W`$, and
  the angle between the two.
  */
  const model = newModel();
  const gradientOf = ({ x, y }: typeof all): Float64Array => {
    for (const parameter of model.parameters()) parameter.zeroGrad();
    losses.softmaxCrossEntropy(model.forward(x), y).backward();
    const gradient = new Float64Array(model.parameterCount());
    let offset = 0;
    for (const { grad, size } of model.parameters()) {
      gradient.set(grad!.data, offset);
      offset += size;
    }
    return gradient;
  };
  const dot = (a: Float64Array, b: Float64Array) => {
    let sum = 0;
    for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
    return sum;
  };

  const g = gradientOf(all);
  const length = Math.sqrt(dot(g, g));
  const random = randomState(16);
  const noiseOf = (batchSize: number, draws: number) => {
    const mean = new Float64Array(g.length);
    let [squares, degrees] = [0, 0];
    const order = permutation(m, random);
    for (let draw = 0; draw < draws; draw++) {
      const rows = batchSize === 1 ? order.slice(draw, draw + 1) : permutation(m, random).slice(0, batchSize);
      const guess = gradientOf(take(rows));
      for (let i = 0; i < g.length; i++) mean[i] += guess[i] / draws;
      const [product, own] = [dot(guess, g), dot(guess, guess)];
      squares += own - 2 * product + length ** 2;
      degrees += (Math.acos(Math.min(product / Math.sqrt(own) / length, 1)) * 180) / Math.PI;
    }
    // Of the distances the root of the mean square, in lengths of g; of the angles the mean.
    return { noise: Math.sqrt(squares / draws) / length, degrees: degrees / draws, mean };
  };

  const single = { batchSize: 1, ...noiseOf(1, m) }; // every example once
  const draws = page.quick ? 60 : 100;
  const measured = [
    single,
    ...[4, 16, 64, 256].map((size) => ({ batchSize: size, ...noiseOf(size, draws) })),
  ];
  const bias = Math.max(...single.mean.map((value, i) => Math.abs(value - g[i]))) / length;

  // hide
  // Without replacement, the mean of B of m has the variance of one over B, times (m − B)/(m − 1).
  const expected = (batchSize: number) =>
    measured[0].noise * Math.sqrt((m - batchSize) / (m - 1) / batchSize);
  page.number('m', m);
  page.table(
    'noise',
    measured.map(({ batchSize, noise, degrees }) => ({
      B: batchSize,
      'distance from g, in lengths of g': formatNumber(noise, 3),
      'as 1/√B foretells': formatNumber(expected(batchSize), 3),
      'angle to g': `${degrees.toFixed(0)}°`,
    })),
  );
  page.number('bias', bias, 1);
  page.number('noise1', measured[0].noise, 2);
  page.number('angle1', measured[0].degrees, 2);
  page.number('noise64', measured[3].noise, 2);
  // show
  /*:
  {{noise}}

  Fair it is: the mean of all {{m}} single gradients differs from $`g`$ by {{bias}} of its length at most, the
  rounding of 32-bit numbers. But a single example errs by {{noise1}} times the length of what it wants to find, and points {{angle1}}° away from it,
  little better than a random direction, which in so many dimensions would be at 90°. Yet a mean of 64 errs by {{noise64}}
  only. Statistics knows the law: the error of a mean falls with $`1/\sqrt B`$ (and a little faster when the batch is a
  good part of all there is). Four times the work buys half the noise, so the first few examples of a batch help most.

  ## What it means for learning

  Now all three train the same network from the same start. Noise has to be paid for with smaller steps, so that each gets
  a learning rate that suits it. We note $`J`$ over all {{m}} examples now and then, and stop the clock while we do.
  */
  interface Point {
    examples: number;
    seconds: number;
    J: number;
  }
  const train = async (batchSize: number, learningRate: number, epochs: number): Promise<Point[]> => {
    const model = newModel();
    const optimizer = new SGD(model.parameters(), { learningRate });
    const step = compile((x: typeof all.x, y: typeof all.y) => {
      const loss = losses.softmaxCrossEntropy(model.forward(x), y);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
      return loss;
    });
    const costNow = async () => (await evaluate(model, all, { loss: 'softmaxCrossEntropy' })).loss as number;

    const points: Point[] = [{ examples: 0, seconds: 0, J: await costNow() }];
    const pause = Math.max(batchSize, m / 20); // examples between two looks at J
    const random = randomState(1);
    let [examples, seconds, looked] = [0, 0, 0];
    for (let epoch = 0; epoch < epochs; epoch++) {
      const order = permutation(m, random);
      for (let start = 0; start < m; start += batchSize) {
        const began = performance.now();
        const { x, y } = take(order.slice(start, start + batchSize));
        step.sync(x, y);
        seconds += (performance.now() - began) / 1000;
        examples += x.shape[0];
        // From the fourth pass on the curves are smooth enough for one look each.
        if (examples - looked < (epoch < 3 ? pause : m)) continue;
        points.push({ examples, seconds, J: await costNow() });
        looked = examples;
      }
    }
    return points;
  };

  const epochs = page.quick ? 6 : 12;
  const curves = {
    'gradient descent': await train(m, 0.1, 10 * epochs), // quick passes, so that it may take more of them
    'mini-batches of 32': await train(32, 0.05, 4 * epochs),
    'one example a step': await train(1, 0.005, epochs),
  };

  // hide
  const after = (points: Point[], examples: number) =>
    points.find((point) => point.examples >= examples) ?? points[points.length - 1];
  const rows = Object.entries(curves).map(([name, points]) => ({
    name,
    three: after(points, 3 * m),
    six: after(points, 6 * m),
    last: points[points.length - 1],
  }));
  page.table(
    'cost',
    rows.map(({ name, three, six, last }) => ({
      '': name,
      'J after 3 passes': formatNumber(three.J, 3),
      'after 6': formatNumber(six.J, 3),
      'time of 6 passes': formatSeconds(six.seconds),
      'at the end': `${formatNumber(last.J, 3)} after ${Math.round(last.examples / m)} passes, ${formatSeconds(last.seconds)}`,
    })),
  );
  const [descent, mini, one] = rows.map(({ six }) => six);
  page.number('descent', descent.J, 3);
  page.number('mini', mini.J, 3);
  page.number('one', one.J, 3);
  page.number('slower', one.seconds / mini.seconds, 2);
  const longest = rows[2].last.seconds;
  const panel = (at: number) => ({
    left: at === 0 ? 70 : 520,
    width: 360,
    top: 60,
    bottom: 90,
  });
  const axis = (name: string, gridIndex: number, max: number) => ({
    type: 'value' as const,
    gridIndex,
    name,
    nameLocation: 'middle' as const,
    nameGap: 30,
    min: 0,
    max,
  });
  const lines = (at: number, x: (point: Point) => number, limit: number) =>
    Object.entries(curves).map(([name, points]) => ({
      type: 'line' as const,
      name,
      xAxisIndex: at,
      yAxisIndex: at,
      showSymbol: false,
      lineStyle: { width: 2 },
      data: points.filter((point) => x(point) <= limit).map((point) => [x(point), point.J]),
    }));
  page.picture('curves', {
    width: 920,
    height: 420,
    alt: 'J against examples seen and against time for gradient descent, mini-batches and single examples',
    option: {
      title: [
        { text: 'By examples seen', left: 180, top: 16, textStyle: { fontSize: 15 } },
        { text: 'By time', left: 670, top: 16, textStyle: { fontSize: 15 } },
      ],
      legend: { bottom: 8, itemGap: 40, data: Object.keys(curves) },
      grid: [panel(0), panel(1)],
      xAxis: [axis('passes over the examples', 0, epochs), axis('seconds', 1, Math.ceil(longest * 10) / 10)],
      yAxis: [0, 1].map((gridIndex) => ({
        type: 'value' as const,
        gridIndex,
        name: 'cost J',
        nameLocation: 'middle' as const,
        nameGap: 40,
        min: 0,
      })),
      series: [
        ...lines(0, ({ examples }) => examples / m, epochs),
        ...lines(1, ({ seconds }) => seconds, longest),
      ],
    },
  });
  // show
  /*:
  {{curves}}

  {{cost}}

  After six passes over the same images gradient descent has taken six steps and stands at $`J`$ = {{descent}}; mini-batches
  stand at {{mini}}, single examples at {{one}}. An accurate direction is worth little when one may take so few steps
  along it.

  By the clock the picture shifts. A step with one example is a product of a matrix and a vector, which
  BLAS cannot speed up the way it does a product of two matrices (example 7); so a pass of single
  examples took {{slower}} times as long as one in mini-batches. Mini-batches have most of the progress of the one and most
  of the speed of the other, and a memory that needs to hold only $`B`$ examples at a time. That is why everybody uses
  them, and why `fit` has a `batchSize`, 32 unless you say otherwise.
  */
  // hide
}

await main(import.meta.url, run);
