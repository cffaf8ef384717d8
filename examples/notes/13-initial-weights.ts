/*:
# 13. Weights of the right size

Random weights break the symmetry ([page 12](12-symmetry.md)). How large should they be? In a deep network each layer
multiplies what the last one gave it. Make the weights a little too small and the signal fades, a little too large and it
swells, and twenty layers do so twenty times over. The notes' answer is *Xavier/He initialization*, a normal
distribution whose width depends on the size of the layer,

$$w^{[\ell]} \sim \mathcal{N}\left(0, \sqrt{\frac{2}{n^{[\ell]} + n^{[\ell-1]}}}\right),$$

where $n^{[\ell]}$ is the number of neurons in layer $\ell$ and the root is the standard deviation. It is meant to make
the spread of a layer's output, $\sigma^{(out)}$, similar to that of its input, $\sigma^{(in)}$.

## Why this width

One neuron without activation adds $n$ products, $z = \sum_j w_j x_j$. Where the $w_j$ are independent of each other and
of $x$, and all have mean 0, variances add up:

$$\mathrm{Var}(z) = n \cdot \mathrm{Var}(w) \cdot \mathrm{Var}(x)$$

To keep the variance, $\mathrm{Var}(w)$ must be $1/n^{[\ell-1]}$, one over the number of inputs. On the way back the same
sum runs over the outputs, and wants $1/n^{[\ell]}$. The formula is the compromise: one over the mean of the two.
Let us measure one layer of {{width}} inputs and as many outputs.
*/
import { Dense, noGrad, randn, Sequential, seed, type Tensor } from 'axpy';
// hide
import { formatNumber, main, type Page } from './support/index.ts';

export async function run(page: Page): Promise<void> {
  // show
  seed(13);
  const width = page.quick ? 128 : 256;
  const batch = page.quick ? 128 : 512;
  const spread = (x: Tensor) => Math.sqrt(x.variance().item());

  const x = randn([batch, width]);
  const layer = new Dense(width, width, { init: 'xavierNormal' });
  page.number('formula', Math.sqrt(2 / (width + width)));
  page.number('drawn', spread(layer.weight));
  page.number('in', spread(x));
  page.number('out', spread(layer.forward(x)));
  // hide
  page.number('width', width);
  // show
  /*:
  The formula says {{formula}}; the weights drawn have a deviation of {{drawn}}. The input's spread is {{in}}, the output's
  {{out}}.

  ## Twenty layers

  Now twenty of them with four ways to draw the weights. With ReLU half of the signal is cut off at every layer. *He
  initialization*, $\sqrt{2 / n^{[\ell-1]}}$ (He, Zhang, Ren & Sun, 2015), makes up for it with twice the variance; the
  notes name it in the same breath as Xavier's, but the formula above is Xavier's (Glorot & Bengio, 2010).
  */
  const depth = 20;
  const starts = [
    { name: '0.01, tanh', activation: 'tanh', init: { name: 'normal', deviation: 0.01 } },
    { name: '1.0, tanh', activation: 'tanh', init: { name: 'normal', deviation: 1 } },
    { name: 'Xavier, tanh', activation: 'tanh', init: 'xavierNormal' },
    { name: 'He, ReLU', activation: 'relu', init: 'heNormal' },
  ] as const;

  const networks = starts.map(({ name, activation, init }) => {
    const layers = Array.from({ length: depth }, () => new Dense(width, width, { activation, init }));

    // Forward: the spread of each layer's activations.
    const forward: number[] = [];
    let a = x;
    let saturated = 0;
    noGrad(() => {
      for (const layer of layers) {
        a = layer.forward(a);
        forward.push(spread(a));
        saturated = a.data.filter((value) => Math.abs(value) > 0.99).length / a.size;
      }
    });

    // Backward: a random gradient at the output, and what of it reaches the weights of each layer.
    new Sequential(layers).forward(x).backward(randn([batch, width]).div(batch));
    const backward = layers.map((layer) => spread(layer.weight.grad!));
    return { name, forward, backward, saturated };
  });
  /*:
  {{spreads}}

  The left picture in numbers, after some of the layers:

  {{layers}}

  After twenty layers:

  - With weights of deviation 0.01 the spread is {{small-last}}: the signal has faded to nothing, and with it the gradient of
    every weight. Such a network does not learn.
  - With deviation 1 the activations keep a spread of {{large-last}}, but only because tanh ends at ±1: {{saturated}} % of
    them are beyond ±0.99, where tanh is flat. Going back, the gradient grows from layer to layer, until at the first it is
    about {{explosion}} times that at the last. No learning rate suits both.
  - With Xavier's width and tanh it is {{xavier-last}}. Tanh itself takes a little away at each layer, which the derivation
    above left out; the gradients of any two layers are within a factor of {{xavier-evenness}}.
  - With He's width and ReLU it is {{he-last}} after {{he-first}} at the first layer: as good as unchanged. The gradients stay
    within a factor of {{he-evenness}}.

  `Dense` chooses so by itself: He before a rectifier, Xavier before anything else.
  */
  // hide
  const [small, large, xavier, he] = networks;
  const last = depth - 1;
  page.number('small-last', small.forward[last]);
  page.number('large-last', large.forward[last], 2);
  page.number('xavier-last', xavier.forward[last], 2);
  page.number('he-first', he.forward[0], 2);
  page.number('he-last', he.forward[last], 2);
  page.number('saturated', 100 * large.saturated, 2);
  page.number('explosion', Number((large.backward[0] / large.backward[last]).toPrecision(1)));
  page.number('xavier-evenness', Math.max(...xavier.backward) / Math.min(...xavier.backward), 2);
  page.number('he-evenness', Math.max(...he.backward) / Math.min(...he.backward), 2);

  page.table(
    'layers',
    networks.map(({ name, forward }) => ({
      weights: name,
      ...Object.fromEntries(
        [1, 5, 10, 20].map((layer) => [`layer ${layer}`, formatNumber(forward[layer - 1], 2)]),
      ),
    })),
  );
  // ECharts hands over 1e-20 with a rounding error.
  const power = (value: number) =>
    `10${String(Math.round(Math.log10(value))).replace(/./g, (c) => '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'['-0123456789'.indexOf(c)])}`;
  const panels = ['forward', 'backward'] as const;
  page.picture('spreads', {
    width: 960,
    height: 420,
    alt: 'Spread of activations and of gradients of weights through 20 layers, for four ways to draw the weights',
    option: {
      color: ['#8a8a8a', '#c0504d', '#2f6db5', '#3a9150'],
      legend: { bottom: 8, itemGap: 32, data: starts.map(({ name }) => name) },
      title: ['Activations', 'Gradients of the weights'].map((text, i) => ({
        text,
        left: i === 0 ? '8%' : '58%',
        textStyle: { fontSize: 15 },
      })),
      grid: panels.map((_, i) => ({ left: i === 0 ? '8%' : '58%', width: '38%', top: 76, bottom: 92 })),
      xAxis: panels.map((_, gridIndex) => ({
        type: 'category',
        gridIndex,
        data: Array.from({ length: depth }, (_, layer) => layer + 1),
        name: 'layer',
        nameLocation: 'middle',
        nameGap: 28,
        axisLabel: { interval: (layer: number) => layer === 0 || layer % 5 === 4 },
        axisLine: { onZero: false },
      })),
      yAxis: panels.map((_, gridIndex) => ({
        type: 'log',
        gridIndex,
        name: 'standard deviation',
        nameTextStyle: { align: 'left' },
        axisLabel: { formatter: power },
      })),
      series: panels.flatMap((panel, i) =>
        networks.map((network) => ({
          name: network.name,
          type: 'line',
          symbolSize: 5,
          xAxisIndex: i,
          yAxisIndex: i,
          data: network[panel],
        })),
      ),
    },
  });
}

await main(import.meta.url, run);
