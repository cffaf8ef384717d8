/*:
# 08. Why a neuron needs a bend

Without an activation function a network of any depth is no more than a single layer. The notes show it in a few lines. Take
$g(z) = z$ and no biases; then equation (2), and equation (1) in it, give

$$z^{[2]} = W^{[2]} a^{[1]} = W^{[2]} z^{[1]} = W^{[2]} W^{[1]} x = \tilde W x \quad \text{where} \quad \tilde W = W^{[2]} W^{[1]}$$

The product of two matrices is a matrix, so that the two layers are one. Biases change nothing: that of a lower layer passes
through the matrices above it, and all add up to one $\tilde b$.

## Three layers in one matrix
*/
import {
  compile,
  concat,
  Dense,
  losses,
  ones,
  randn,
  Sequential,
  SGD,
  seed,
  type Tensor,
  tensor,
} from 'axpy';
// hide
import { splitHouses } from '../support/ames.ts';
import { main, type Page } from './support/index.ts';

export async function run(page: Page): Promise<void> {
  // show
  seed(8);
  const dtype = 'float64';
  const layers = [
    new Dense(6, 5, { biasInit: 'normal', dtype }),
    new Dense(5, 4, { biasInit: 'normal', dtype }),
    new Dense(4, 2, { biasInit: 'normal', dtype }),
  ];

  /** The one layer that layers without activation amount to: W̃ [out, in] and b̃ [out]. */
  function collapse(layers: Dense<'float64'>[]): { weight: Tensor; bias: Tensor } {
    let [weight, bias]: Tensor[] = [layers[0].weight, layers[0].bias!];
    for (const layer of layers.slice(1)) {
      weight = layer.weight.matmul(weight);
      bias = layer.weight
        .matmul(bias.reshape([-1, 1]))
        .flatten(0)
        .add(layer.bias!);
    }
    return { weight: weight.detach(), bias: bias.detach() };
  }

  const x = randn([1000, 6], { dtype });
  const deep = new Sequential(layers).forward(x);
  const one = collapse(layers);
  const flat = x.matmul(one.weight, { transposeB: true }).add(one.bias);
  page.number('difference', deep.sub(flat).abs().max().item(), 2);
  /*:
  On a thousand random inputs the three layers and the one matrix differ by {{difference}} at most: rounding, and nothing
  else.

  ## Training does not help

  So all that such a network can learn is a linear function. Which one is best, by squared error, has been known for two
  hundred years: *least squares*, the solution of the normal equations $A^T A w = A^T y$, where the rows of $A$ are the
  examples, each with a 1 for the bias. Four numbers about houses in Ames, Iowa, and what they sold for:
  */
  const columns = ['Gr_Liv_Area', 'Year_Built', 'Total_Bsmt_SF', 'Garage_Area'];
  const { kept, held } = splitHouses(1);

  /** Columns as rows of X, each with mean 0 and deviation 1 over the houses to learn from. */
  function inputs(names: string[], rows: typeof kept): Tensor {
    const scaled = names.map((name) => {
      const known = tensor(kept.map((row) => Number(row[name])));
      const [mean, deviation] = [known.mean().item(), Math.sqrt(known.variance().item())];
      return rows.map((row) => (Number(row[name]) - mean) / deviation);
    });
    return tensor(scaled, { dtype }).transpose();
  }
  /** Prices in units of 100,000 dollars. */
  const prices = (rows: typeof kept) =>
    tensor(
      rows.map((row) => [Number(row.Sale_Price) / 1e5]),
      { dtype },
    );
  const [y, heldY] = [prices(kept), prices(held)];

  /** Gradient descent on all houses at once. */
  function train(model: Sequential, x: Tensor, steps: number): void {
    const optimizer = new SGD(model.parameters(), { learningRate: 0.05, momentum: 0.9 });
    const step = compile(() => {
      const loss = losses.mse(model.forward(x), y);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    });
    for (let i = 0; i < steps; i++) step.sync();
  }

  /** The layers of a network n-8-8-1; the last one predicts a price, and has no activation in any case. */
  const build = (n: number, activation: 'linear' | 'tanh') => [
    new Dense(n, 8, { activation, dtype }),
    new Dense(8, 8, { activation, dtype }),
    new Dense(8, 1, { dtype }),
  ];

  const steps = page.quick ? 600 : 1000;
  const linear = build(4, 'linear');
  train(new Sequential(linear), inputs(columns, kept), steps);
  const learned = collapse(linear);
  const best = leastSquares(inputs(columns, kept), y);
  // hide
  const found = [...learned.weight.data, ...learned.bias.data];
  page.number('kept', kept.length);
  page.number('held', held.length);
  page.number('steps', steps);
  page.number('parameters', new Sequential(linear).parameterCount());
  page.number('apart', Math.max(...found.map((value, i) => Math.abs(value - best[i]))));
  page.table(
    'coefficients',
    ['living area', 'year built', 'basement area', 'garage area', 'bias'].map((name, i) => ({
      '': name,
      'network, collapsed': found[i].toFixed(6),
      'least squares': best[i].toFixed(6),
    })),
  );
  // show
  /*:
  {{coefficients}}

  (In units of 100,000 dollars, for one standard deviation more of each.) After {{steps}} steps on {{kept}} houses the
  network's {{parameters}} parameters make up the five numbers of least squares; the largest difference is {{apart}}. “Without
  non-linear activation functions, the neural network will simply perform linear regression”, say the notes. So it does.

  <details>
  <summary>Least squares, for the comparison</summary>
  */
  /** w and b of the best linear function, by Gaussian elimination on the normal equations. */
  function leastSquares(x: Tensor, y: Tensor): number[] {
    const a = concat([x, ones([x.shape[0], 1], { dtype })], 1);
    const size = a.shape[1];
    // The rows of AᵀA, each followed by its element of Aᵀy.
    const system = a.matmul(concat([a, y], 1), { transposeA: true }).toArray<number[][]>();
    for (let pivot = 0; pivot < size; pivot++) {
      for (let row = 0; row < size; row++) {
        if (row === pivot) continue;
        const factor = system[row][pivot] / system[pivot][pivot];
        system[row] = system[row].map((value, column) => value - factor * system[pivot][column]);
      }
    }
    return system.map((row, i) => row[size] / row[i]);
  }
  /*:
  </details>

  ## With a bend

  The same network with $g(z) = \tanh(z)$ between its layers, and nothing else changed:
  */
  const bent = build(4, 'tanh');
  train(new Sequential(bent), inputs(columns, kept), steps);

  /** The root of the mean squared error on the houses held out, in dollars. */
  const error = (layers: Dense<'float64'>[]) =>
    1e5 * Math.sqrt(losses.mse(new Sequential(layers).forward(inputs(columns, held)), heldY).item());
  // hide
  page.number('linear-error', Math.round(error(linear) / 100) * 100);
  page.number('bent-error', Math.round(error(bent) / 100) * 100);
  // show
  /*:
  On the {{held}} houses held out the linear network is off by {{linear-error}} dollars (root mean square), the one with a
  bend by {{bent-error}}.

  To see what the bend is good for, look at one input alone. Old houses lose value with age, but not for ever, and the newest
  ones are dearer than any line would have them:
  */
  const straight = build(1, 'linear');
  const curved = build(1, 'tanh');
  for (const layers of [straight, curved]) train(new Sequential(layers), inputs(['Year_Built'], kept), steps);
  // hide
  const years = Array.from({ length: 67 }, (_, i) => ({ Year_Built: String(1878 + 2 * i) }));
  const line = (layers: Dense<'float64'>[]) => {
    const predicted = new Sequential(layers).forward(inputs(['Year_Built'], years)).data;
    return years.map(({ Year_Built }, i) => [Number(Year_Built), 100 * predicted[i]]);
  };
  page.picture('years', {
    width: 760,
    height: 440,
    alt: 'Prices of houses by the year they were built: a straight line and a curve through them',
    option: {
      color: ['#b8b8b8', '#c0504d', '#2f6db5'],
      legend: { top: 8, itemGap: 28 },
      grid: { left: 72, right: 32, top: 64, bottom: 56 },
      xAxis: {
        type: 'value',
        min: 1870,
        max: 2010,
        interval: 20,
        name: 'year built',
        nameLocation: 'middle',
        nameGap: 32,
        axisLabel: { formatter: String },
        splitLine: { show: false },
      },
      yAxis: {
        type: 'value',
        max: 500,
        name: 'price, thousands of dollars',
        nameTextStyle: { align: 'left' },
      },
      series: [
        {
          name: 'houses held out',
          type: 'scatter',
          symbolSize: 4,
          data: held.map((row) => [Number(row.Year_Built), Number(row.Sale_Price) / 1000]),
        },
        { name: 'three layers, g(z) = z', type: 'line', showSymbol: false, data: line(straight) },
        { name: 'three layers, tanh', type: 'line', showSymbol: false, data: line(curved) },
      ],
    },
  });
  // show
  /*:
  {{years}}

  Three layers without activation draw the straight line that one neuron would have drawn.
  */
  // hide
}

await main(import.meta.url, run);
