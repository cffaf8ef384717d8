/*:
# 10. How wrong is a probability?

A network that tells pictures of cats from others puts out a probability, $a^{[2](i)}$ for picture $i$. The label $y^{(i)}$ is
1 or 0. Which parameters are best? Those that make the labels we have seen most likely. The notes take the logarithm of that,
the *log likelihood* of logistic regression:

$$\sum_{i=1}^{m} \left( y^{(i)} \log a^{[2](i)} + (1 - y^{(i)}) \log (1 - a^{[2](i)}) \right)$$

Of the two terms one is always zero. What is left is the logarithm of the probability that the network gave to what was true:
0 where it was certain and right, far below 0 where it was certain and wrong. The notes climb this hill, by gradient *ascent*;
turned over, it is a *loss* to descend, as in later sections:

$$\mathcal{L}(\hat y, y) = -\left[ (1 - y) \log (1 - \hat y) + y \log \hat y \right]$$

## The sum, and the library's loss

There are no cats here, but {{images}} grey pictures of clothes (Fashion-MNIST). The network, two layers as in the notes, is
to tell whether it sees a bag.
*/
import { Dense, losses, Sequential, SGD, seed, tensor } from 'axpy';
// hide
import { classes, loadFashion } from '../support/fashion-mnist.ts';
import { main, type Page } from './support/index.ts';

export async function run(page: Page): Promise<void> {
  // show
  const count = page.quick ? 1000 : 2000;
  const { train } = loadFashion({ embedded: true });
  const x = train.x.slice([[0, count]]).cast('float64');
  const isBag = Array.from(train.y.data.subarray(0, count), (label): number =>
    classes[label] === 'bag' ? 1 : 0,
  );
  const y = tensor(isBag, { dtype: 'float64', shape: [count, 1] });

  seed(10);
  const model = new Sequential([
    new Dense(784, 4, { activation: 'sigmoid', init: 'normal', dtype: 'float64' }),
    new Dense(4, 1, { activation: 'sigmoid', init: 'normal', dtype: 'float64' }),
  ]);

  /** The sum, term by term. */
  function logLikelihood(): number {
    const a = model.forward(x).data;
    return isBag.reduce((sum, y, i) => sum + y * Math.log(a[i]) + (1 - y) * Math.log(1 - a[i]), 0);
  }

  const loss = losses.binaryCrossEntropy(model.forward(x), y, { reduction: 'sum' });
  page.number('images', count);
  page.number('by-hand', logLikelihood(), 10);
  page.number('library', -loss.item(), 10);
  /*:
  By hand the log likelihood is {{by-hand}}, and minus the library's `binaryCrossEntropy` is {{library}}: one and the same.
  (As everywhere, the library takes the mean over the examples unless told otherwise; that only changes what a learning rate
  means.)

  ## Up the hill, or down the valley

  Ascent on the log likelihood and descent on the loss are the same walk: the gradients differ in their sign, and where the
  loss is a mean also by the number of examples $m$. Written out with tensors, the formula can be differentiated itself:
  */
  const parameters = model.parameters();
  const gradients = () => parameters.flatMap((parameter) => Array.from(parameter.grad!.data));

  const a = model.forward(x);
  const terms = y.mul(a.log()).add(y.neg().add(1).mul(a.neg().add(1).log()));
  terms.sum().backward();
  const uphill = gradients();

  for (const parameter of parameters) parameter.zeroGrad();
  losses.binaryCrossEntropy(model.forward(x), y).backward();
  const downhill = gradients();
  const largest = Math.max(...uphill.map(Math.abs));
  page.number('opposite', Math.max(...uphill.map((up, i) => Math.abs(up + count * downhill[i]))) / largest);

  const optimizer = new SGD(parameters, { learningRate: 0.5, momentum: 0.9 });
  const before = logLikelihood();
  for (let step = 0; step < 100; step++) {
    optimizer.zeroGrad();
    losses.binaryCrossEntropy(model.forward(x), y).backward();
    optimizer.step();
  }
  const right = Array.from(model.forward(x).data).filter((a, i) => a > 0.5 === (isBag[i] === 1)).length;
  // hide
  page.number('before', before);
  page.number('after', logLikelihood());
  page.number('right', (100 * right) / count, 3);
  page.number('bags', (100 * isBag.filter((y) => y === 1).length) / count, 3);
  // show
  /*:
  The two gradients, one times $-m$, differ by {{opposite}} of their largest element. A hundred steps take the log likelihood
  from {{before}} to {{after}}, and {{right}} % of these pictures are then told right ({{bags}} % are bags).

  ## Certain, and wrong

  A probability of exactly 0 for what turns out to be true would make the log likelihood $-\infty$. In theory the sigmoid never
  gets there. In a computer it does, as soon as $z$ is large enough for $\sigma(z)$ to round to 1. So the last sigmoid and the
  logarithm are better taken together. With $a = \sigma(z)$ the loss becomes

  $$\mathcal{L} = \max(z, 0) - z y + \log(1 + e^{-|z|})$$

  where nothing can overflow. That is `binaryCrossEntropyWithLogits`; $z$ is called the *logit*, and the network's last layer
  then has no activation. Three ways to the loss, for a label that is 0 where $z$ says 1 and the reverse:
  */
  /** The loss and ∂L/∂z at one z. */
  function at(z: number, y: number) {
    const target = tensor([y], { dtype: 'float64' });
    const onProbability = tensor([z], { dtype: 'float64', requiresGrad: true });
    const onLogit = tensor([z], { dtype: 'float64', requiresGrad: true });
    const lossOfProbability = losses.binaryCrossEntropy(onProbability.sigmoid(), target);
    const lossOfLogit = losses.binaryCrossEntropyWithLogits(onLogit, target);
    lossOfProbability.backward();
    lossOfLogit.backward();
    const a = 1 / (1 + Math.exp(-z));
    return {
      z,
      y,
      'as written': -((1 - y) * Math.log(1 - a) + y * Math.log(a)),
      'on σ(z)': lossOfProbability.item(),
      'on z': lossOfLogit.item(),
      '∂L/∂z by σ(z)': onProbability.grad!.item(),
      '∂L/∂z by z': onLogit.grad!.item(),
    };
  }
  const wrong = [1, 10, 30, 40, 1000].flatMap((z) => [at(z, 0), at(-z, 1)]);
  page.table('wrong', wrong);
  // hide
  page.number('at-plus', at(1000, 0)['on z']);
  page.number('at-minus', at(-1000, 1)['on z']);
  page.number('right-plus', at(1000, 1)['on z']);
  page.number('right-minus', at(-1000, 0)['on z']);
  // JSON and ECharts know no Infinity; the line simply ends.
  const curve = Array.from({ length: 131 }, (_, i) => at(i - 10, 0));
  const line = (key: 'as written' | 'on σ(z)' | 'on z') =>
    curve.map((point) => [point.z, Number.isFinite(point[key]) ? point[key] : null]);
  page.picture('loss', {
    width: 760,
    height: 420,
    alt: 'The loss of a wrong answer against z: as written it ends at 37, on probabilities it jumps to 100, on logits it goes on',
    option: {
      color: ['#2f6db5', '#e0a030', '#c0504d'],
      legend: { top: 8, itemGap: 28 },
      grid: { left: 72, right: 32, top: 64, bottom: 56 },
      xAxis: {
        type: 'value',
        min: -10,
        max: 120,
        interval: 10,
        name: 'z',
        nameLocation: 'middle',
        nameGap: 32,
        splitLine: { show: false },
        axisLine: { onZero: false },
      },
      yAxis: {
        type: 'value',
        max: 120,
        name: 'loss, where y = 0',
        nameTextStyle: { align: 'left' },
        axisLine: { onZero: false },
      },
      series: [
        { name: 'on z', type: 'line', showSymbol: false, lineStyle: { width: 2 }, data: line('on z') },
        { name: 'on σ(z)', type: 'line', showSymbol: false, lineStyle: { width: 2 }, data: line('on σ(z)') },
        {
          name: 'as written',
          type: 'line',
          showSymbol: false,
          lineStyle: { width: 2, type: 'dashed' },
          data: line('as written'),
        },
      ],
    },
  });
  // show
  /*:
  {{wrong}}

  {{loss}}

  As written, the loss is $\infty$ from $z$ = 37 on. `binaryCrossEntropy` lets no logarithm fall below −100, which saves the
  sum, but not the gradient: where the network is most wrong it learns nothing any more. On $z$ itself the loss is {{at-plus}}
  at $z$ = 1000 and {{at-minus}} at $z$ = −1000, and {{right-plus}} and {{right-minus}} where these are the right answers; the
  gradient is what it should be, $\sigma(z) - y$.

  Train on logits, then; apply the sigmoid to read the answer.
  */
  // hide
}

await main(import.meta.url, run);
