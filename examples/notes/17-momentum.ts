/*:
# 17. Momentum

> Keep a velocity: a running mean of the gradients, and move by it. Where the gradient keeps its direction the steps grow
> long; where it flips from side to side they cancel.

The notes' rule has two stages, for every layer:

```math
\begin{aligned} v &\leftarrow \beta\, v + (1-\beta)\,\frac{\partial J}{\partial W} \\ W &\leftarrow W - \alpha\, v \end{aligned}
```

$`\beta`$ says how much of the old velocity stays, and $`v`$ starts at zero. The library's `SGD` knows it as `momentum: β,
dampening: β`; the dampening is what makes the new gradient count $`1 - \beta`$. (Many papers leave that factor out. It is the
same method, with a learning rate that is $`1/(1-\beta)`$ times as large.)

## A valley

Where does plain gradient descent have a hard time? Where the cost is steep in one direction and flat in another. That
takes no exotic problem: two inputs in different units will do. Here is the price of {{houses}} houses in Ames, Iowa, from
their living area in units of 100 square feet and their number of bedrooms, with one weight for each. Area varies by
{{deviationArea}} of its units, bedrooms by {{deviationBedrooms}}, and so the same change of a weight matters far more for
the one than for the other.
*/
import { readFileSync } from 'node:fs';
import { Dense, losses, SGD, type Tensor, tensor } from 'axpy';
import { parse } from 'csv-parse/sync';
// hide
import { main, type Page } from './support/index.ts';

export async function run(page: Page): Promise<void> {
  // show
  const file = new URL('../data/ames.csv', import.meta.url);
  const houses: Record<string, string>[] = parse(readFileSync(file), { columns: true });
  const centred = (values: number[]) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return values.map((value) => value - mean);
  };
  const area = centred(houses.map((house) => Number(house.Gr_Liv_Area) / 100));
  const bedrooms = centred(houses.map((house) => Number(house.Bedroom_AbvGr)));
  const price = centred(houses.map((house) => Number(house.Sale_Price) / 10_000)); // in $10,000

  const x = tensor(
    area.map((value, i) => [value, bedrooms[i]]),
    { dtype: 'float64' },
  );
  const y = tensor(
    price.map((value) => [value]),
    { dtype: 'float64' },
  );

  /*:
  Everything is centred, so that two weights without a bias suffice and the cost, the mean squared error, can be drawn as
  a map over them. It is a bowl, $`J = J_{min} + \frac12 (W - W^*)^T H\, (W - W^*)`$ with $`H = \frac2m X^TX`$, and the
  eigenvalues of $`H`$ say how steep it is along its axes.
  */
  const H = x.matmul(x, { transposeA: true }).mul(2 / houses.length);
  const [h11, h12, , h22] = H.data;
  const spread = Math.hypot((h11 - h22) / 2, h12);
  const [flat, steep] = [(h11 + h22) / 2 - spread, (h11 + h22) / 2 + spread];

  const c = x.matmul(y, { transposeA: true }).mul(2 / houses.length).data; // H W* = c
  const determinant = flat * steep;
  const best = [(h22 * c[0] - h12 * c[1]) / determinant, (h11 * c[1] - h12 * c[0]) / determinant];
  // hide
  const deviation = (values: number[]) =>
    Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
  page.number('houses', houses.length);
  page.number('deviationArea', deviation(area), 2);
  page.number('deviationBedrooms', deviation(bedrooms), 2);
  page.number('flat', flat, 3);
  page.number('steep', steep, 3);
  page.number('condition', steep / flat, 3);
  // show
  /*:
  The steep axis has the eigenvalue {{steep}}, the flat one {{flat}}: their quotient, the *condition* of the problem, is
  {{condition}}.

  ## Two runs

  Plain descent diverges where $`\alpha`$ is beyond $`2/\lambda_{max}`$, and is at its fastest on a bowl with
  $`\alpha = 2/(\lambda_{max} + \lambda_{min})`$: it gets this best of all rates. Momentum gets round numbers, $`\beta = 0.75`$ and
  $`\alpha\,(1 - \beta) = 1/\lambda_{max}`$, so that a gradient moves the weights by half as much at first.
  */
  const beta = 0.75;
  const plain = { learningRate: 2 / (steep + flat) };
  const withMomentum = { learningRate: 1 / steep / (1 - beta), momentum: beta, dampening: beta };

  const start = [best[0] + 0.2, best[1] - 5];
  const descend = (options: typeof plain, steps: number) => {
    const neuron = new Dense(2, 1, { bias: false, init: () => start, dtype: 'float64' });
    const optimizer = new SGD(neuron.parameters(), options);
    const path: { weights: number[]; gradient: number[]; J: number }[] = [];
    for (let step = 0; step <= steps; step++) {
      const weights = Array.from(neuron.weight.data);
      const J = losses.mse(neuron.forward(x), y);
      optimizer.zeroGrad();
      J.backward();
      path.push({ weights, gradient: Array.from((neuron.weight.grad as Tensor).data), J: J.item() });
      optimizer.step();
    }
    return path;
  };
  const paths = { plain: descend(plain, 1000), momentum: descend(withMomentum, 1000) };
  // hide
  const least = Math.min(...paths.plain.map(({ J }) => J), ...paths.momentum.map(({ J }) => J));
  const excess = paths.plain[0].J - least;
  const stepsTo = (path: { J: number }[], part: number) =>
    path.findIndex(({ J }) => J - least <= part * excess);
  const parts: [string, number][] = [
    ['1 %', 1e-2],
    ['0.01 %', 1e-4],
    ['0.0001 %', 1e-6],
  ];
  page.table(
    'steps',
    parts.map(([name, part]) => {
      const [slow, fast] = [stepsTo(paths.plain, part), stepsTo(paths.momentum, part)];
      return { 'what is left of J − J_min': name, 'plain, steps': slow, 'momentum, steps': fast };
    }),
  );
  page.number('plainSteps', stepsTo(paths.plain, 1e-4));
  page.number('momentumSteps', stepsTo(paths.momentum, 1e-4));

  const contours = [0.001, 0.01, 0.04, 0.1, 0.2, 0.35, 0.55, 0.8, 1.1].map((level) => {
    const angle = 0.5 * Math.atan2(2 * h12, h11 - h22); // of the steep axis
    const [a, b] = [steep, flat].map((lambda) => Math.sqrt((2 * level * excess) / lambda));
    const points = Array.from({ length: 121 }, (_, i) => {
      const t = (i / 120) * 2 * Math.PI;
      const [u, v] = [a * Math.cos(t), b * Math.sin(t)];
      return [
        best[1] + u * Math.sin(angle) + v * Math.cos(angle),
        best[0] + u * Math.cos(angle) - v * Math.sin(angle),
      ];
    });
    return {
      type: 'line' as const,
      data: points,
      showSymbol: false,
      silent: true,
      lineStyle: { color: '#c8ccd2', width: 1 },
      z: 1,
    };
  });
  const trace = (name: string, path: { weights: number[] }[], color: string, steps: number) => ({
    type: 'line' as const,
    name,
    data: path.slice(0, steps + 1).map(({ weights: [area, bedrooms] }) => [bedrooms, area]),
    symbol: 'circle',
    symbolSize: 5,
    lineStyle: { color, width: 1.5 },
    itemStyle: { color },
    z: 3,
  });
  const axis = (name: string, nameGap: number) => ({
    type: 'value' as const,
    name,
    nameLocation: 'middle' as const,
    nameGap,
    axisLine: { onZero: false },
    splitLine: { show: false },
  });
  const shown = 40;
  page.picture('paths', {
    width: 760,
    height: 440,
    alt: `The first ${shown} steps of both methods over contour lines of the cost`,
    option: {
      legend: { bottom: 6, itemGap: 40, data: ['plain gradient descent', 'momentum', 'the best weights'] },
      grid: { left: 70, right: 30, top: 24, bottom: 84 },
      xAxis: { ...axis('weight of the bedrooms ($10,000 each)', 30), min: -9, max: 1 },
      yAxis: { ...axis('weight of the area ($10,000 per 100 square feet)', 40), min: 0.5, max: 2.5 },
      series: [
        ...contours,
        trace('plain gradient descent', paths.plain, '#2f6db5', shown),
        trace('momentum', paths.momentum, '#c0504d', shown),
        {
          type: 'scatter',
          name: 'the best weights',
          data: [[best[1], best[0]]],
          symbol: 'diamond',
          symbolSize: 14,
          itemStyle: { color: '#202020' },
          z: 4,
        },
      ],
    },
  });
  // show
  /*:
  {{paths}}

  The first {{shown}} steps of each; the grey lines join weights of equal cost. Plain descent jumps from wall to wall of the
  valley, since its step is as long as the steep direction just bears, and hardly moves along the floor. Momentum is the
  car of the notes: the jumps from side to side cancel in its velocity, the small pulls along the floor add up.

  {{steps}}

  To come within a ten-thousandth of the way, plain descent takes {{plainSteps}} steps and momentum {{momentumSteps}}. For a
  bowl the theory says (Polyak, 1964): at their best constants, the steps needed grow with the condition for the one and
  with its square *root* for the other.

  ## Is it the notes' rule?

  We do the recurrence by hand, with the gradients that the run met, and compare the weights after every step.
  */
  const followed = (path: typeof paths.momentum, alpha: number, beta: number): number => {
    let w = path[0].weights;
    let v = w.map(() => 0);
    let worst = 0;
    for (const { weights, gradient } of path) {
      for (const [i, value] of weights.entries()) worst = Math.max(worst, Math.abs(value - w[i]));
      v = v.map((value, i) => beta * value + (1 - beta) * gradient[i]);
      w = w.map((value, i) => value - alpha * v[i]);
    }
    return worst;
  };
  const difference = followed(paths.momentum, withMomentum.learningRate, beta);

  /*:
  Over 1,000 steps the two differ by {{difference}}. That is rounding: BLAS-speed kernels multiply and add in one
  operation, which rounds once where JavaScript rounds twice. To rule out that rounding hides something, we take numbers
  that a computer holds without any: $`\beta = \frac34`$, $`\alpha = \frac12`$, and a bowl with the steepnesses 1 and $`\frac14`$. For
  eight steps all results fit into the 53 bits of a number, and the two must be equal to the last bit.
  */
  const exact = (() => {
    const w = new Dense(2, 1, { bias: false, init: () => [1, -3], dtype: 'float64' });
    const optimizer = new SGD(w.parameters(), { learningRate: 0.5, momentum: 0.75, dampening: 0.75 });
    const steepness = tensor([[1, 0.25]], { dtype: 'float64' });
    const path: typeof paths.momentum = [];
    for (let step = 0; step <= 8; step++) {
      const weights = Array.from(w.weight.data);
      const J = w.weight.square().mul(steepness).sum().mul(0.5);
      optimizer.zeroGrad();
      J.backward();
      path.push({ weights, gradient: Array.from((w.weight.grad as Tensor).data), J: J.item() });
      optimizer.step();
    }
    return followed(path, 0.5, 0.75);
  })();
  // hide
  page.number('shown', shown);
  page.number('difference', difference, 1);
  page.number('exact', exact);
  // show
  /*:
  The largest difference is {{exact}}.
  */
  // hide
}

await main(import.meta.url, run);
