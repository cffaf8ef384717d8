/*: # 01. A neuron is max(ax + b, 0)

> The notes: a straight line can price a house below zero. Bend it where it reaches zero, and you have the smallest neural
> network there is: $f(x) = \max(ax + b, 0)$.

$x$ is the size of a house and $f(x)$ its price. The function $\max(z, 0)$ is called ReLU, “rectified linear unit”; $a$ is
a *weight* and $b$ a *bias*. Both are *learned*: we do not choose them, we look for those with which the prices come out
best. In axpy one neuron is a `Dense` layer of one input and one output.

The houses are {{houses}} sales in the Sacramento area in May 2008. One in five is held out: the neuron never sees them
while it learns, so they tell how well it prices a house that is new to it.
*/
import { compile, Dense, losses, SGD, tensor } from 'axpy';
import { type House, loadSacramento, mean } from '../support/sacramento.ts';
// hide
import { xAxis, yAxis } from './support/axes.ts';
import { main, type Page } from './support/index.ts';

// show

// Sizes in 1,000 square feet and prices in $100,000 are numbers near 1, on which one learning rate suits both a and b.
const sizes = (houses: House[]) => tensor(houses.map((house) => [house.size / 1000]));
const prices = (houses: House[]) => tensor(houses.map((house) => [house.price / 100_000]));

function learnNeuron(houses: House[]): Dense {
  const neuron = new Dense(1, 1, { activation: 'relu', init: 'ones' }); // a = 1, b = 0 to begin with
  const optimizer = new SGD(neuron.parameters(), { learningRate: 0.1 });
  const [x, y] = [sizes(houses), prices(houses)];
  const step = compile(() => {
    const loss = losses.mse(neuron.forward(x), y); // how far off the prices are: the mean of the squared errors
    optimizer.zeroGrad();
    loss.backward(); // which way a and b must go for the loss to fall
    optimizer.step(); // a small step that way
  });
  for (let i = 0; i < 3000; i++) step.sync();
  return neuron;
}

/*: How the four lines of the step work is the matter of pages 14 and 15. One warning already: a neuron whose $ax + b$ is
negative for every house outputs 0, and a small change of $a$ or $b$ leaves it there, so it would never learn. It starts
with $a = 1$ for that reason.

The straight line to compare with needs no learning; its $a$ and $b$ are known in closed form (“least squares”):
*/
function fitLine(houses: House[]): (size: number) => number {
  const [size, price] = [mean(houses.map((h) => h.size)), mean(houses.map((h) => h.price))];
  const slope =
    mean(houses.map((h) => (h.size - size) * (h.price - price))) /
    mean(houses.map((h) => (h.size - size) ** 2));
  return (x) => price + slope * (x - size);
}
// hide

/** The root of the mean squared error, in dollars. */
const errorOf = (price: (size: number) => number, houses: House[]) =>
  Math.sqrt(mean(houses.map((house) => (price(house.size) - house.price) ** 2)));

export function run(page: Page): void {
  // show

  const { train, test } = loadSacramento(1);
  const neuron = learnNeuron(train);
  const line = fitLine(train);
  const priceBy = (layer: Dense) => (size: number) => 100_000 * layer.forward(tensor([[size / 1000]])).item();
  // hide
  const kinkOf = (layer: Dense) => (-1000 * layer.bias!.data[0]) / layer.weight.data[0];
  page.number('houses', train.length + test.length);
  page.number('kinkAll', kinkOf(neuron), 3);
  page.table('errors', [
    { 'held-out error of': 'the straight line', dollars: errorOf(line, test) },
    { 'held-out error of': 'the neuron', dollars: errorOf(priceBy(neuron), test) },
  ]);
  // show

  /*: {{errors}}

  The error is the root of the mean squared error: a typical miss, in dollars. The neuron's is the line's, and no wonder.
  No house is so small that the line would fall below zero there: the kink, at $x = -b/a$, lies at {{kinkAll}} square
  feet. Right of it the neuron *is* a line, and learning found the one that the closed form knows.

  Houses with two bedrooms are another matter. Their prices rise more steeply with the size:
  */
  const small = train.filter((house) => house.bedrooms === 2);
  const smallNeuron = learnNeuron(small);
  const smallLine = fitLine(small);
  // hide
  const smallTest = test.filter((house) => house.bedrooms === 2);
  const grid = Array.from({ length: 251 }, (_, i) => i * 10);
  page.number('smallHouses', small.length);
  page.number('smallHeldOut', smallTest.length);
  page.number('kink', kinkOf(smallNeuron), 3);
  page.number('lowest', Math.min(...grid.map(priceBy(smallNeuron))));
  page.number('lowestOfLine', Math.min(...grid.map(smallLine)));
  page.table('smallErrors', [
    { 'held-out error of': 'the straight line', dollars: errorOf(smallLine, smallTest) },
    { 'held-out error of': 'the neuron', dollars: errorOf(priceBy(smallNeuron), smallTest) },
  ]);
  const curve = (price: (size: number) => number) => grid.map((size) => [size, price(size) / 1000]);
  page.picture('prices', {
    width: 760,
    height: 460,
    alt: 'Price against size of houses with two bedrooms: the line falls below zero, the neuron bends and stays at zero',
    option: {
      legend: { top: 8, itemGap: 32, textStyle: { fontSize: 13 } },
      grid: { left: 80, right: 28, top: 48, bottom: 56 },
      xAxis: xAxis('size in square feet', { min: 0, max: 2500 }),
      yAxis: yAxis('price in $1,000', { min: -100 }),
      series: [
        {
          name: 'houses with two bedrooms',
          type: 'scatter',
          symbolSize: 6,
          itemStyle: { color: '#9a9a9a' },
          data: small.map((house) => [house.size, house.price / 1000]),
        },
        {
          name: 'straight line',
          type: 'line',
          showSymbol: false,
          lineStyle: { type: 'dashed', width: 2.5 },
          color: '#c0504d',
          data: curve(smallLine),
        },
        {
          name: 'neuron, max(ax + b, 0)',
          type: 'line',
          showSymbol: false,
          lineStyle: { width: 2.5 },
          color: '#2f6db5',
          data: curve(priceBy(smallNeuron)),
        },
      ],
    },
  });

  // show

  /*: {{prices}}

  The line through these {{smallHouses}} houses reaches zero at {{kink}} square feet, and for something smaller it would
  pay the buyer: down to {{lowestOfLine}} dollars. The neuron never goes below {{lowest}}. On the {{smallHeldOut}} held-out
  houses with two bedrooms they tie again, as no house is that small:

  {{smallErrors}}

  So the kink costs nothing where the line was right, and mends it where it was absurd. Its real use comes with the next
  page, where neurons feed neurons, and each kink is a place where the network may change its mind.
  */
  // hide
}

await main(import.meta.url, run);
