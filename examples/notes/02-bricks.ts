/*: # 02. Stack neurons like bricks

> The notes: let size, bedrooms, zip code and wealth feed three neurons, and let those feed a fourth that says the price. What
> the three in the middle stand for is for the network to find out.

One could think of something for them: the family that fits in, how far one walks to the shops, the school. In the notes'
picture a person has drawn those boxes. But the data has no such columns, and nobody tells the network. It gets four
numbers in and the price out, and learns all in between: *end-to-end learning*. The three neurons are called *hidden*, because
no one ever sees what they should have said.

The four numbers have to be numbers. Size and bedrooms are; a zip code is a name, and wealth is not in the data at all. Here
stand in for them, as proxies:

- **zip code**: dollars per square foot of the houses sold under it, averaged together with five houses of the overall average,
  so that a zip code with a single sale does not take that sale's word for it;
- **wealth of the neighbourhood**: the mean price of the ten houses sold nearest by.

Both come **from the training houses alone**, and a training house never counts itself. Else the price that the network is to
find would hide among its inputs, and the held-out error would be a lie.
*/
import { Adam, compile, Dense, losses, Sequential, type Tensor, tensor } from 'axpy';
import {
  type Feature,
  type House,
  loadSacramento,
  mean,
  standardiser,
  wealthFeature,
  zipFeature,
} from '../support/sacramento.ts';
// hide
import { xAxis, yAxis } from './support/axes.ts';
import { main, type Page } from './support/index.ts';

// show

/** The inputs of a house, each with mean 0 and deviation 1 over the training houses. */
function inputsFrom(train: House[]): (houses: House[]) => Tensor {
  const features: Feature[] = [
    (house) => house.size,
    (house) => house.bedrooms,
    zipFeature(train),
    wealthFeature(train),
  ];
  const scales = features.map((feature) => standardiser(train.map(feature)));
  return (houses) => tensor(houses.map((house) => features.map((feature, j) => scales[j](feature(house)))));
}

const prices = (houses: House[]) => tensor(houses.map((house) => [house.price / 100_000]));

const rate = 0.1;

function learn(model: Sequential, x: Tensor, y: Tensor, steps: number): number {
  const optimizer = new Adam(model.parameters(), { learningRate: rate });
  const step = compile(() => {
    const loss = losses.mse(model.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss;
  });
  let loss = 0;
  for (let i = 0; i < steps; i++) {
    optimizer.learningRate = rate * (1 - i / steps); // large steps first, small ones to settle
    loss = step.sync().item();
  }
  return loss;
}

/*: `Adam` is a relative of gradient descent that page 17 leads up to. What learns is one of these two, the neuron of page 01
with as many inputs as it is given, and the bricks:
*/
const oneNeuron = (inputs: number) =>
  new Sequential([new Dense(inputs, 1, { activation: 'relu', init: 'zeros', biasInit: 'ones' })]);

const bricks = () =>
  new Sequential([
    new Dense(4, 3, { activation: 'relu' }), // three hidden units
    new Dense(3, 1), // the price
  ]);

/*: A network starts from random weights (page 12 says why) and can end in better and worse places. So it learns from several
starts, and the one that does best *on the training houses* is kept.
*/
function bestOf(starts: number, x: Tensor, y: Tensor, steps: number): Sequential {
  const tries = Array.from({ length: starts }, () => {
    const model = bricks();
    return { model, loss: learn(model, x, y, steps) };
  });
  return tries.reduce((best, one) => (one.loss < best.loss ? one : best)).model;
}
// hide

/** The root of the mean squared error, in dollars. */
const errorOf = (model: Sequential, x: Tensor, y: Tensor) =>
  100_000 * Math.sqrt(losses.mse(model.forward(x), y).item());

export function run(page: Page): void {
  const [splits, starts, steps] = page.quick ? [3, 3, 1000] : [30, 3, 1000];
  page.number('splits', splits);
  page.number('starts', starts);
  const errors: { size: number; all: number; network: number }[] = [];
  let first: Sequential | undefined;
  // show

  for (let seed = 1; seed <= splits; seed++) {
    const { train, test } = loadSacramento(seed);
    const inputs = inputsFrom(train);
    const [x, y] = [inputs(train), prices(train)];
    const [heldX, heldY] = [inputs(test), prices(test)];
    const sizeOnly = (all: Tensor) => all.slice([null, [0, 1]]);

    const small = oneNeuron(1);
    learn(small, sizeOnly(x), y, steps);
    const wide = oneNeuron(4);
    learn(wide, x, y, steps);
    const network = bestOf(starts, x, y, steps);
    // hide
    errors.push({
      size: errorOf(small, sizeOnly(heldX), heldY),
      all: errorOf(wide, heldX, heldY),
      network: errorOf(network, heldX, heldY),
    });
    if (!first) {
      first = network;
      const truth = test.map((house) => house.price / 1000);
      const guesses = Array.from(network.forward(heldX).data, (price) => price * 100);
      page.picture('predicted', {
        width: 620,
        height: 540,
        alt: 'Predicted against true prices of held-out houses: a cloud along the diagonal, wider for dear houses',
        option: {
          grid: { left: 80, right: 28, top: 24, bottom: 56 },
          xAxis: xAxis('true price in $1,000', { min: 0, max: 1000 }),
          yAxis: yAxis('predicted price in $1,000', { min: 0, max: 1000 }),
          series: [
            {
              type: 'scatter',
              symbolSize: 7,
              itemStyle: { opacity: 0.6 },
              data: truth.map((price, i) => [price, guesses[i]]),
            },
            {
              type: 'line',
              showSymbol: false,
              lineStyle: { color: '#909090', type: 'dashed', width: 1.5 },
              data: [
                [0, 0],
                [1000, 1000],
              ],
            },
          ],
        },
      });
      const [hidden, output] = network.parameters().filter((parameter) => parameter.rank === 2);
      page.table(
        'units',
        ['first', 'second', 'third'].map((unit, j) => ({
          'hidden unit': unit,
          size: hidden.data[4 * j],
          bedrooms: hidden.data[4 * j + 1],
          'zip code': hidden.data[4 * j + 2],
          wealth: hidden.data[4 * j + 3],
          'its weight in the price': output.data[j],
        })),
      );
    }
    // show
  }
  // hide
  const average = (key: keyof (typeof errors)[number]) => mean(errors.map((error) => error[key]));
  page.table('errors', [
    { network: 'one neuron, size', parameters: 2, 'held-out error in dollars': average('size') },
    { network: 'one neuron, all four', parameters: 5, 'held-out error in dollars': average('all') },
    { network: '4-3-1', parameters: 19, 'held-out error in dollars': average('network') },
  ]);
  page.number('gainOfInputs', 100 * (1 - average('all') / average('size')), 2);
  page.number('gainOfUnits', 100 * (1 - average('network') / average('all')), 2);
  page.number('wins', errors.filter(({ all, network }) => network < all).length);
  // show

  /*: {{errors}}

  These are averages over {{splits}} ways to hold houses out, as the luck of one of them is larger than the difference that
  we look for; {{starts}} starts each. Most of the progress comes from knowing more: the same single neuron with four inputs
  instead of one errs by {{gainOfInputs}} % less. The hidden units take another {{gainOfUnits}} % off, and beat the one
  neuron in {{wins}} of {{splits}} splits. They can do what one neuron cannot: let a square foot be worth more where square
  feet are dear. With {{splits}} times 187 held-out houses and prices as scattered as these, do not expect wonders.

  {{predicted}}

  What did the three find? Their weights in the first split:

  {{units}}

  Perhaps “a large house in a good place” is among them. The notes warn against seeing more: the features that a network
  invents need not have a name, and some call it a black box for that.
  */
  // hide
}

await main(import.meta.url, run);
