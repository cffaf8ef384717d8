/*:
# 12. Where to start

Gradient descent needs parameters to start from. Zero would be a natural choice, and is a bad one. The notes argue so:

- **All zeros.** Then $z^{[3]} = W^{[3]} a^{[2]} + b^{[3]} = 0$, and $\hat y = \sigma(0) = 0.5$, no matter what $x$ is.
- **All equal, but not zero.** Then all elements of $a^{[1]} = g(W^{[1]} x^{(i)} + b^{[1]})$ are the same, and so in every
  layer. All neurons of a layer have the same part in the loss, get the same gradient, and learn the same thing. The notes
  call it *symmetry*.
- **Small random numbers**, say $\mathcal{N}(0, 0.1)$, break it.

## Three starts

The network $n$-3-2-1 of [page 11](11-parameters.md) is to tell boots from sandals, {{each}} pictures of either, by a hundred
steps of gradient descent on all of them (with momentum, which [page 17](17-momentum.md) explains). Three times over, with
nothing different but the weights it starts from.
*/
import {
  averagePool2d,
  Dense,
  type Initializer,
  losses,
  Sequential,
  SGD,
  seed,
  type Tensor,
  tensor,
} from 'axpy';
// hide
import { classes, loadFashion } from '../support/fashion-mnist.ts';
import { formatNumber, main, type Page, type Picture } from './support/index.ts';

export async function run(page: Page): Promise<void> {
  // show
  const dtype = 'float64';
  const each = page.quick ? 200 : 500;
  const { train } = loadFashion({ embedded: true });
  const some = (kind: string) =>
    Array.from(train.y.data, (label, i) => (classes[label] === kind ? [i] : []))
      .flat()
      .slice(0, each);
  const pictures = [...some('sandal'), ...some('boot')];
  const x = train.x.gather(tensor(pictures, { dtype: 'int32' })).cast(dtype);
  const y = tensor(
    pictures.map((_, i) => [i < each ? 0 : 1]),
    { dtype },
  );

  function learnFrom(init: Initializer) {
    seed(12);
    const layers = [
      new Dense(784, 3, { activation: 'sigmoid', init, dtype }),
      new Dense(3, 2, { activation: 'sigmoid', init, dtype }),
      new Dense(2, 1, { activation: 'sigmoid', init, dtype }),
    ];
    const model = new Sequential(layers);
    const optimizer = new SGD(model.parameters(), { learningRate: 1, momentum: 0.9 });
    const first = layers[0].weight;
    const start = first.clone();
    const before = { output: model.forward(x), apart: apart(first) };
    for (let step = 0; step < 100; step++) {
      optimizer.zeroGrad();
      losses.binaryCrossEntropy(model.forward(x), y).backward();
      optimizer.step();
    }
    const output = model.forward(x);
    const loss = losses.binaryCrossEntropy(output, y).item();
    return { before, after: { output, apart: apart(first), loss }, learned: first.sub(start).detach() };
  }

  /** How far the weights of any two neurons of a layer lie apart: the largest difference. */
  function apart(weight: Tensor): number {
    return weight.max(0).sub(weight.min(0)).max().item();
  }

  const zeros = learnFrom('zeros');
  const equal = learnFrom({ name: 'constant', value: 0.01 });
  const random = learnFrom({ name: 'normal', deviation: 0.1 });
  // hide
  page.number('each', each);
  const starts = { 'all 0': zeros, 'all 0.01': equal, 'N(0, 0.1)': random };
  const range = (output: Tensor) => {
    const [low, high] = [output.min().item(), output.max().item()].map((value) => value.toFixed(3));
    return low === high ? low : `${low} to ${high}`;
  };
  page.table(
    'starts',
    Object.entries(starts).map(([name, { before, after }]) => ({
      start: name,
      'ŷ before': range(before.output),
      'ŷ after': range(after.output),
      'loss after': formatNumber(after.loss, 3),
      'neurons apart before': formatNumber(before.apart, 2),
      'neurons apart after': formatNumber(after.apart, 2),
    })),
  );
  page.number('equal-before', equal.before.apart, 2);
  page.number('equal-after', equal.after.apart, 2);
  page.number('random-after', random.after.apart, 2);
  page.number('equal-loss', equal.after.loss, 3);
  page.number('random-loss', random.after.loss, 3);
  const farthest = (output: Tensor) => output.sub(0.5).abs().max().item();
  page.number('from-half-before', farthest(zeros.before.output), 2);
  page.number('from-half-after', farthest(zeros.after.output), 2);
  page.picture('neurons', drawNeurons([equal.learned, random.learned], ['from all 0.01', 'from N(0, 0.1)']));
  // show
  /*:
  {{starts}}

  (“Apart” is the largest difference between the weights that two neurons of the first layer have for one pixel.)

  - From zeros the output is 0.5 for every picture, before and after a hundred steps: it strays from that by {{from-half-before}},
    then {{from-half-after}}. Nothing reaches the first two layers, as $W^{[3]}$ is zero; and as many pictures pull the
    third one up as down.
  - From 0.01 the network does learn. But its neurons were {{equal-before}} apart at the start, and are {{equal-after}} apart at
    the end, which is rounding and nothing else. Three neurons do the work of one.
  - From $\mathcal{N}(0, 0.1)$ the neurons end {{random-after}} apart, each with a task of its own, and after the same hundred
    steps the loss is {{random-loss}} instead of {{equal-loss}}.

  ## What the neurons have learned

  This is by how much the weights of the first layer's neurons have changed, laid out as the picture that they look at, two by
  two pixels averaged. Where it is blue, a bright pixel raises the neuron's $z$; where it is red, it lowers it.

  {{neurons}}

  Above, one neuron three times over. Below, three that differ.
  */
  // hide
}

/** Rows of three neurons, each a picture of 14 × 14; every row is scaled to its largest number. */
function drawNeurons(weights: Tensor[], names: string[]): Picture {
  const [side, gap] = [14, 2];
  const cells = weights.flatMap((weight, row) => {
    const small = averagePool2d(weight.reshape([3, 28, 28, 1]), 2).data;
    const largest = Math.max(...small.map(Math.abs));
    return Array.from(small, (value, i) => {
      const [neuron, y, x] = [Math.floor(i / side ** 2), Math.floor(i / side) % side, i % side];
      return [neuron * (side + gap) + x, row * (side + gap) + y, Number((value / largest).toFixed(2))];
    });
  });
  const axis = (size: number) => ({
    type: 'category' as const,
    data: Array.from({ length: size }, (_, i) => i),
    show: false,
  });
  const scale = 10;
  const [width, height] = [3 * side + 2 * gap, 2 * side + gap].map((size) => size * scale);
  const [left, top] = [130, 40];
  const label = (text: string, x: number, y: number) => ({
    type: 'text' as const,
    x,
    y,
    style: { text, fill: '#404040', fontSize: 13, align: 'center' as const },
  });
  return {
    width: left + width + 24,
    height: top + height + 24,
    alt: 'Learned weights of three neurons: from equal weights three times the same, from random ones three different pictures',
    option: {
      grid: { left, top, width, height },
      xAxis: axis(3 * side + 2 * gap),
      yAxis: { ...axis(2 * side + gap), inverse: true },
      visualMap: { show: false, min: -1, max: 1, inRange: { color: ['#b5382f', '#f4f4f4', '#2f6db5'] } },
      series: [{ type: 'heatmap', data: cells }],
      graphic: [
        ...names.map((name, row) => label(name, left / 2, top + (row * (side + gap) + side / 2) * scale - 6)),
        ...[1, 2, 3].map((neuron) =>
          label(`neuron ${neuron}`, left + ((neuron - 1) * (side + gap) + side / 2) * scale, top - 24),
        ),
      ],
    },
  };
}

await main(import.meta.url, run);
