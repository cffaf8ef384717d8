/*: # 03. Logistic regression is one neuron

> The notes: logistic regression is a neuron with two parts, a sum $z = w^T x + b$ and then $a = \sigma(z)$, where
> $\sigma(z) = \frac{1}{1 + e^{-z}}$.

Statisticians have used logistic regression since long before there were neural networks, to say how probable a *yes* is. It is
the neuron of page 01 with another bend: σ, the *sigmoid*, leads every number $z$ to one between 0 and 1. If the two are the
same thing, then training the neuron step by step must end where the statisticians' own method ends. Let us see.

The question: did a house sell for more than $220,000? The three inputs $x_1, x_2, x_3$ are its size, bedrooms and bathrooms,
each brought to mean 0 and deviation 1.
*/
import { compile, concat, Dense, losses, ones, SGD, type Tensor, tensor, zeros } from 'axpy';
import { loadSacramento, standardiser } from '../support/sacramento.ts';
// hide
import { xAxis, yAxis } from './support/axes.ts';
import { main, type Page } from './support/index.ts';
import { solve } from './support/solve.ts';

const distance = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i])));

export function run(page: Page): void {
  // show

  const { train } = loadSacramento(1);
  const columns = [
    train.map((house) => house.size),
    train.map((house) => house.bedrooms),
    train.map((house) => house.bathrooms),
  ].map((values) => values.map(standardiser(values)));
  const x = tensor(columns, { dtype: 'float64' }).transpose(); // [houses, 3]
  const y = tensor(
    train.map((house) => [house.price > 220_000 ? 1 : 0]),
    { dtype: 'float64' },
  );

  /*: **The neuron.** It starts from zeros and steps down the gradient of the log loss, which page 10 is about:
   */
  const neuron = new Dense(3, 1, { activation: 'sigmoid', init: 'zeros', dtype: 'float64' });
  const optimizer = new SGD(neuron.parameters(), { learningRate: 1 });
  const step = compile(() => {
    const loss = losses.binaryCrossEntropy(neuron.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
  });
  const path: number[][] = [];
  const weights = () => [...neuron.weight.data, ...neuron.bias!.data];
  for (let i = 0; i < 2000; i++) {
    step.sync();
    path.push(weights());
  }

  /*: **Newton's method**, as textbooks have it for logistic regression. With a column of ones beside the inputs, $b$ is one
  more weight. Each step solves $H d = \nabla$ for the step $d$, where $\nabla = X^T(\sigma(Xw) - y)$ is the gradient of the
  log loss, and $H = X^T S X$ its matrix of second derivatives, with $a(1 - a)$ of each house on the diagonal of $S$:
  */
  const x1 = concat([x, ones([x.shape[0], 1], { dtype: 'float64' })], 1);
  let w: Tensor = zeros([4, 1], { dtype: 'float64' });
  const newton: number[][] = [];
  for (let i = 0; i < 10; i++) {
    const a = x1.matmul(w).sigmoid();
    const gradient = x1.matmul(a.sub(y), { transposeA: true });
    const hessian = x1.matmul(x1.mul(a.mul(a.neg().add(1))), { transposeA: true });
    const d = solve(hessian.toArray<number[][]>(), [...gradient.data]);
    w = w.sub(tensor(d, { dtype: 'float64' }).reshape([4, 1]));
    newton.push([...w.data]);
  }
  // hide
  const names = ['size, w₁', 'bedrooms, w₂', 'bathrooms, w₃', 'bias, b'];
  page.table(
    'weights',
    names.map((name, i) => ({
      '': name,
      neuron: weights()[i].toFixed(10).replace('-', '−'),
      'Newton’s method': w.data[i].toFixed(10).replace('-', '−'),
    })),
  );
  page.number('difference', distance(weights(), w.data), 2);
  page.number('steps', path.findIndex((some) => distance(some, w.data) < 1e-4) + 1);
  page.number('newtonSteps', newton.findIndex((some) => distance(some, w.data) < 1e-4) + 1);
  const right = Array.from(neuron.forward(x).data, (a, i) => a > 0.5 === y.data[i] > 0.5);
  page.number('correct', (100 * right.filter(Boolean).length) / right.length, 3);
  const points = (some: number[][]) =>
    some.map((one, i) => [i + 1, distance(one, w.data)]).filter(([, far]) => far > 1e-12);
  page.picture('paths', {
    width: 720,
    height: 400,
    alt: 'Distance to the solution against steps: both fall to zero, Newton’s method in a handful of steps',
    option: {
      legend: { top: 8, itemGap: 32, textStyle: { fontSize: 13 } },
      grid: { left: 84, right: 32, top: 48, bottom: 56 },
      xAxis: xAxis('step', { type: 'log', min: 1, max: 2000 }),
      yAxis: yAxis('largest difference of a weight', {
        type: 'log',
        nameGap: 60,
        min: 1e-10,
        max: 100,
        interval: 2,
        axisLabel: { formatter: (value: number) => value.toExponential(0).replace('-', '−') },
      }),
      series: [
        {
          name: 'neuron, gradient descent',
          type: 'line',
          showSymbol: false,
          lineStyle: { width: 2.5 },
          data: points(path),
        },
        {
          name: 'Newton’s method',
          type: 'line',
          symbolSize: 7,
          lineStyle: { width: 2.5 },
          data: points(newton),
        },
      ],
    },
  });
  // show

  /*: {{weights}}

  The largest difference is {{difference}}. They are the same model, and it says right of {{correct}} % of these houses
  whether they sold for more.

  {{paths}}

  Newton's method needs {{newtonSteps}} steps to come within 0.0001 where gradient descent needs {{steps}}. Why does nobody
  train neural networks with it? Its step solves a system of as many equations as there are weights: four here, millions there.
  And with hidden layers there is no longer one lowest point that every path leads to.
  */
  // hide
}

await main(import.meta.url, run);
