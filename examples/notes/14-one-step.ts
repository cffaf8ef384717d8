/*:
# 14. One step of gradient descent

Training a network is one small step, over and over: find out in which direction each weight makes the loss grow, and move
it the other way. The notes write the step as

$$W^{[\ell]} = W^{[\ell]} - \alpha \frac{\partial \mathcal{L}}{\partial W^{[\ell]}} \tag{5}$$

$$b^{[\ell]} = b^{[\ell]} - \alpha \frac{\partial \mathcal{L}}{\partial b^{[\ell]}} \tag{6}$$

with the learning rate $\alpha$. The derivative $\partial \mathcal{L} / \partial W$ says how fast the loss grows when
that one weight grows; there is one for each weight, and together they are called the gradient.

## By pencil

One neuron with two inputs, $w = (1, -1)$, $b = 0$, sees the example $x = (2, 2)$ whose label is $y = 1$:

1. $z = w^T x + b = 2 - 2 + 0 = 0$ and $a = \sigma(0) = \tfrac12$.
2. The log loss is $\mathcal{L} = -\log \tfrac12 = \log 2$.
3. Its derivative by $z$ is $a - y = -\tfrac12$ ([page 15](15-backpropagation.md) derives it), so that
   $\partial \mathcal{L} / \partial w = (a - y) x = (-1, -1)$ and $\partial \mathcal{L} / \partial b = -\tfrac12$.
4. With $\alpha = \tfrac14$, (5) and (6) give $w = (1\tfrac14, -\tfrac34)$ and $b = \tfrac18$.

The same with the library:
*/
import { Dense, losses, rand, Sequential, SGD, seed, type Tensor, tensor } from 'axpy';
// hide
import { main, type Page } from './support/index.ts';

export async function run(page: Page): Promise<void> {
  // show
  const neuron = new Dense(2, 1, { activation: 'sigmoid', dtype: 'float64' });
  neuron.weight.assign([[1, -1]]);
  const descent = new SGD(neuron.parameters(), { learningRate: 1 / 4 });

  const x = tensor([[2, 2]], { dtype: 'float64' });
  const y = tensor([[1]], { dtype: 'float64' });
  const loss = losses.binaryCrossEntropy(neuron.forward(x), y);
  loss.backward();
  descent.step();
  // hide
  page.number('loss', loss.item());
  page.number('w1', neuron.weight.data[0]);
  page.number('w2', neuron.weight.data[1]);
  page.number('b', neuron.bias!.data[0]);
  page.number('better', losses.binaryCrossEntropy(neuron.forward(x), y).item());
  // show
  /*:
  The loss was {{loss}}. Now $w$ = ({{w1}}, {{w2}}) and $b$ = {{b}}, to the last bit, and the loss of that example is
  {{better}}.

  `backward` finds the gradient and leaves it beside each parameter, in `grad`. `step` is (5) and (6) and nothing else.

  ## All six of a network

  The network of [page 11](11-parameters.md), here with four inputs, has three layers, and so six parameters: $W^{[1]}$,
  $b^{[1]}$, $W^{[2]}$, $b^{[2]}$, $W^{[3]}$ and $b^{[3]}$. Take a step, do (5) and (6) by a loop over the numbers as they
  were before, and compare.
  */
  /** The numbers that equations (5) and (6) give: one subtraction and one product each. */
  function byHand(parameters: Tensor[], rate: number): number[] {
    return parameters.flatMap((parameter) =>
      Array.from(parameter.data, (value, i) => value - rate * parameter.grad!.data[i]),
    );
  }

  seed(14);
  const dtype = 'float64';
  const model = new Sequential([
    new Dense(4, 3, { activation: 'sigmoid', dtype }),
    new Dense(3, 2, { activation: 'sigmoid', dtype }),
    new Dense(2, 1, { activation: 'sigmoid', dtype }),
  ]);
  const inputs = rand([8, 4], { dtype });
  const labels = tensor([[0], [1], [1], [0], [1], [0], [0], [1]], { dtype });

  /** The largest difference between the optimizer and the loop in a thousand steps. */
  function differenceAt(learningRate: number): number {
    const parameters = model.parameters();
    const optimizer = new SGD(parameters, { learningRate });
    let largest = 0;
    for (let step = 0; step < 1000; step++) {
      optimizer.zeroGrad();
      losses.binaryCrossEntropy(model.forward(inputs), labels).backward();
      const expected = byHand(parameters, learningRate);
      optimizer.step();
      const actual = parameters.flatMap((parameter) => Array.from(parameter.data));
      for (const [i, value] of actual.entries()) largest = Math.max(largest, Math.abs(value - expected[i]));
    }
    return largest;
  }

  const start = model.stateDict();
  page.number('quarter', differenceAt(1 / 4));
  page.number('tenth', differenceAt(1 / 10));
  // hide
  page.number('parameters', model.parameterCount());
  // show
  /*:
  All {{parameters}} numbers agree in each of a thousand steps. With $\alpha = \tfrac14$ the largest difference is
  {{quarter}}: the library does exactly what (5) and (6) say. With $\alpha = 0.1$ it may be one unit in the last place, and
  was {{tenth}}: a product with 0.1 has to be rounded, which the native kernels spare themselves, since a processor can
  multiply and subtract in one instruction that rounds once. (A product with a power of two needs no rounding, so that there
  is nothing to spare.)

  ## How far to go

  The gradient tells the truth only where it was taken. Here is the loss after one step from the same start, for rates of
  all sizes:
  */
  model.loadStateDict(start);
  const before = losses.binaryCrossEntropy(model.forward(inputs), labels);
  for (const parameter of model.parameters()) parameter.zeroGrad();
  before.backward();
  const gradients = model.parameters().map((parameter) => parameter.grad!.clone());

  function lossAfter(rate: number): number {
    model.loadStateDict(start);
    for (const [i, parameter] of model.parameters().entries()) {
      parameter.assign(parameter.sub(gradients[i].mul(rate)).detach());
    }
    return losses.binaryCrossEntropy(model.forward(inputs), labels).item();
  }

  const rates = Array.from({ length: 81 }, (_, i) => i / 10);
  const curve = rates.map((rate) => [rate, lossAfter(rate)]);

  // What the gradient promises: the loss falls by α times its squared length.
  const slope = gradients.reduce((sum, gradient) => sum + gradient.square().sum().item(), 0);
  // hide
  const lowest = curve.reduce((best, point) => (point[1] < best[1] ? point : best));
  const useless = curve.find(([rate, value]) => rate > lowest[0] && value >= curve[0][1])!;
  page.number('before', before.item());
  page.number('slope', slope, 3);
  page.number('lowest-rate', lowest[0], 2);
  page.number('lowest', lowest[1]);
  page.number('useless', useless[0], 2);
  page.number('small-step', (curve[0][1] - curve[1][1]) / 0.1, 3);
  page.picture('curve', {
    width: 720,
    height: 400,
    alt: 'The loss after one step against the learning rate: it falls along the tangent at first, then rises',
    option: {
      color: ['#2f6db5', '#8a8a8a'],
      legend: { top: 8, itemGap: 32 },
      grid: { left: 72, right: 32, top: 64, bottom: 56 },
      xAxis: {
        type: 'value',
        max: 8,
        name: 'learning rate α',
        nameLocation: 'middle',
        nameGap: 32,
        splitLine: { show: false },
      },
      yAxis: {
        type: 'value',
        min: 0.6,
        max: 0.85,
        name: 'loss after one step',
        nameTextStyle: { align: 'left' },
      },
      series: [
        { name: 'the loss', type: 'line', showSymbol: false, data: curve },
        {
          name: 'what the gradient promises',
          type: 'line',
          showSymbol: false,
          lineStyle: { type: 'dashed' },
          data: [0, 4].map((rate) => [rate, before.item() - rate * slope]),
        },
      ],
    },
  });
  // show
  /*:
  {{curve}}

  The loss before is {{before}}, and the gradient promises that it falls by {{slope}} times $\alpha$. For a step of 0.1 that
  is nearly so: {{small-step}}. But the ground bends. At $\alpha$ = {{lowest-rate}} the loss is at its lowest, {{lowest}},
  and from {{useless}} on the step makes things worse than they were. Hence small steps, many of them.
  */
  // hide
}

await main(import.meta.url, run);
