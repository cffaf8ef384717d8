/*:
# 19. L2 regularization: large weights cost something

> Add $`\frac\lambda2\|W\|^2`$ to the cost. Every step then also shrinks the weights a little, which keeps them small and
> makes overfitting less.

```math
\begin{aligned} J_{L2} &= J + \frac{\lambda}{2}\|W\|^2 && (9) \\ &= J + \frac{\lambda}{2}\sum_{ij} |W_{ij}|^2 && (10) \\ &= J + \frac{\lambda}{2} W^T W && (11) \end{aligned}
```

The three are one thing in three notations: square every weight and add them up; $`W`$ in (11) is the column of all
weights. $`\lambda`$ says how much it counts. The derivative of $`\frac\lambda2 w^2`$ is $`\lambda w`$, so the rule (5) becomes

```math
W \leftarrow W - \alpha\left(\frac{\partial J}{\partial W} + \lambda W\right) = (1 - \alpha\lambda)\,W - \alpha\frac{\partial J}{\partial W}.
```

Before the usual step each weight loses the same small share of itself, hence the other name, *weight decay*. A weight
survives only if the gradient keeps putting back what decays: if it earns its keep.
*/
import { Dense, evaluate, fit, losses, type Scores, Sequential, SGD, seed, type Tensor, tensor } from 'axpy';
import { loadFashion } from '../support/fashion-mnist.ts';
// hide
import { formatNumber, main, type Page } from './support/index.ts';

export async function run(page: Page): Promise<void> {
  // show
  /*:
  ## The update

  The option is `l2: λ`. First with numbers that a computer holds without rounding, so that *equal* can mean equal: two
  weights, $`\alpha = \frac14`$, $`\lambda = \frac18`$.
  */
  const [alpha, lambda] = [1 / 4, 1 / 8];
  const neuron = new Dense(2, 1, { init: () => [3, -5], bias: false, dtype: 'float64' });
  const tiny = { x: tensor([[1, 2]], { dtype: 'float64' }), y: tensor([[4]], { dtype: 'float64' }) };
  const descent = new SGD(neuron.parameters(), { learningRate: alpha, l2: lambda });

  losses.mse(neuron.forward(tiny.x), tiny.y).backward();
  const before = Array.from(neuron.weight.data);
  const gradient = (neuron.weight.grad as Tensor).clone();
  descent.step();

  const byHand = before.map((w, i) => (1 - alpha * lambda) * w - alpha * gradient.data[i]);
  // hide
  const equal = byHand.every((w, i) => w === neuron.weight.data[i]);
  page.number('exact', Math.max(...byHand.map((w, i) => Math.abs(w - neuron.weight.data[i]))));
  const vector = (values: ArrayLike<number>) => Array.from(values).join(' and ');
  page.table('update', [
    { '': 'W before', 'the two weights': vector(before) },
    { '': '∂J/∂W', 'the two weights': vector(gradient.data) },
    { '': '(1 − αλ) W − α ∂J/∂W', 'the two weights': vector(byHand) },
    { '': 'W after step()', 'the two weights': vector(neuron.weight.data) },
  ]);
  page.text('equal', equal ? 'Equal to the last bit.' : 'They differ!');
  // show
  /*:
  {{update}}

  {{equal}} The difference is {{exact}}.

  Now a real network with real images, in 64 bits, in two ways: by the option, and by equation (9) itself, where the penalty is
  part of the cost and autograd differentiates it. Biases are left out of the penalty, as is the custom: they do not
  multiply anything that a network could learn by heart.
  */
  const { train, test } = loadFashion({ embedded: true });
  const newModel = (dtype: 'float32' | 'float64') => {
    seed(19);
    return new Sequential([
      new Dense(784, 64, { activation: 'relu', dtype }),
      new Dense(64, 10, { init: 'xavierNormal', dtype }),
    ]);
  };
  const weightsOf = (model: Sequential) => model.layers.map((layer) => (layer as Dense).weight);
  const squaredNorm = (model: Sequential) =>
    weightsOf(model).reduce((sum: Tensor | null, w) => {
      const squares = w.square().sum();
      return sum ? sum.add(squares) : squares;
    }, null) as Tensor;

  const some = { x: train.x.slice([[0, 50]]).cast('float64'), y: train.y.slice([[0, 50]]) };
  const [byOption, byCost] = [newModel('float64'), newModel('float64')];
  losses.softmaxCrossEntropy(byOption.forward(some.x), some.y).backward();
  new SGD(byOption.parameters(), { learningRate: alpha, l2: lambda }).step();

  const J = losses.softmaxCrossEntropy(byCost.forward(some.x), some.y);
  J.add(squaredNorm(byCost).mul(lambda / 2)).backward();
  new SGD(byCost.parameters(), { learningRate: alpha }).step();

  const difference = Math.max(
    ...byOption.parameters().map((w, i) => w.sub(byCost.parameters()[i]).abs().max().item()),
  );
  // hide
  page.number('difference', difference, 1);
  // show
  /*:
  After the step the largest difference between the weights of the one and of the other is {{difference}}, at most the
  rounding of the last digit.

  ## What it does

  The same network learns from 200 images of Fashion-MNIST, until it knows them by heart or $`\lambda`$ keeps it from that.
  */
  const learn = { x: train.x.slice([[0, 200]]), y: train.y.slice([[0, 200]]) };
  const lambdas = [0, 0.003, 0.01, 0.03, 0.1, 0.2];
  const outcomes: { l2: number; norm: number; learned: Scores; unseen: Scores }[] = [];
  for (const l2 of lambdas) {
    const model = newModel('float32');
    const optimizer = new SGD(model.parameters(), { learningRate: 0.02, momentum: 0.9, l2 });
    await fit(model, learn, { loss: 'softmaxCrossEntropy', optimizer, epochs: 400, batchSize: 200 });
    const options = { loss: 'softmaxCrossEntropy', metrics: ['accuracy'] } as const;
    outcomes.push({
      l2,
      norm: Math.sqrt(squaredNorm(model).item()),
      learned: await evaluate(model, learn, options),
      unseen: await evaluate(model, test, options),
    });
  }
  // hide
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  page.table(
    'lambdas',
    outcomes.map(({ l2, norm, learned, unseen }) => ({
      λ: String(l2),
      '‖W‖': formatNumber(norm, 3),
      'loss, learned': formatNumber(learned.loss as number, 3),
      'loss, new': formatNumber(unseen.loss as number, 3),
      'gap of the loss': formatNumber((unseen.loss as number) - (learned.loss as number), 3),
      'right, learned': percent(learned.accuracy),
      'right, new': percent(unseen.accuracy),
      'gap, points': (100 * (learned.accuracy - unseen.accuracy)).toFixed(1),
    })),
  );
  const best = outcomes.reduce((a, b) => ((b.unseen.loss as number) < (a.unseen.loss as number) ? b : a));
  page.text('best', String(best.l2));
  const names = outcomes.map(({ l2 }) => String(l2));
  const line = (
    name: string,
    at: number,
    color: string,
    value: (outcome: (typeof outcomes)[number]) => number,
  ) => ({
    type: 'line' as const,
    name,
    xAxisIndex: at,
    yAxisIndex: at,
    symbol: 'circle',
    symbolSize: 7,
    lineStyle: { color, width: 2 },
    itemStyle: { color },
    data: outcomes.map((outcome) => Number(value(outcome).toFixed(3))),
  });
  const axes = (gridIndex: number, name: string) => ({
    xAxis: {
      type: 'category' as const,
      gridIndex,
      data: names,
      name: 'λ',
      nameLocation: 'middle' as const,
      nameGap: 28,
    },
    yAxis: { type: 'value' as const, gridIndex, name, nameLocation: 'middle' as const, nameGap: 36, min: 0 },
  });
  const [left, right] = [axes(0, 'length of all weights, ‖W‖'), axes(1, 'log loss')];
  page.picture('sweep', {
    width: 860,
    height: 360,
    alt: 'The length of the weights, and the loss on learned and on new images, for six values of λ',
    option: {
      legend: { bottom: 4, itemGap: 36, data: ['‖W‖', 'loss on learned images', 'loss on new images'] },
      grid: [
        { left: 60, width: 340, top: 24, bottom: 88 },
        { left: 490, width: 340, top: 24, bottom: 88 },
      ],
      xAxis: [left.xAxis, right.xAxis],
      yAxis: [left.yAxis, right.yAxis],
      series: [
        line('‖W‖', 0, '#606060', ({ norm }) => norm),
        line('loss on learned images', 1, '#9dbfe6', ({ learned }) => learned.loss as number),
        line('loss on new images', 1, '#2f6db5', ({ unseen }) => unseen.loss as number),
      ],
    },
  });
  // show
  /*:
  {{sweep}}

  {{lambdas}}

  The larger $`\lambda`$, the smaller the weights, and the closer together the two losses. They meet from both sides at first:
  a little $`\lambda`$ makes the network *better* on new images, as it stops being sure of what it learned by heart; the loss on
  them is at its least for $`\lambda`$ = {{best}}. A larger $`\lambda`$ goes on closing the gap, but now by forgetting: both losses grow.
  The right $`\lambda`$ is found by trying, on images kept apart for that.
  */
  // hide
}

await main(import.meta.url, run);
