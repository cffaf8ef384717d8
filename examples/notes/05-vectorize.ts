/*: # 05. Four neurons at once: $Wx + b$

> The notes: do not compute the neurons of a layer one after the other in a loop. Stack their weights as the rows of a matrix
> $W$, and the whole layer is $z = Wx + b$, equation (1).

A layer of four neurons on three inputs computes, neuron by neuron,

$$z_j = W_j^T x + b_j \quad\text{and}\quad a_j = g(z_j), \qquad j = 1 \ldots 4.$$

As code that is a loop over the neurons around a loop over the inputs:
*/
import { Dense, randn, type Tensor, tensor } from 'axpy';
import { loadSacramento } from '../support/sacramento.ts';
// hide
import { formatSeconds, main, type Page } from './support/index.ts';
import { secondsOf } from './support/time.ts';

// show

type Numbers = Tensor['data'];

function byLoops(z: Numbers, weight: Numbers, x: Numbers, bias: Numbers): void {
  for (let j = 0; j < z.length; j++) {
    let sum = bias[j];
    for (let k = 0; k < x.length; k++) sum += weight[j * x.length + k] * x[k];
    z[j] = sum;
  }
}
// hide

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i])));

export function run(page: Page): void {
  // show

  /*: Equation (1) says the same with a matrix: $W$ is 4×3, one row for each neuron, $x$ is 3×1, $b$ is 4×1, and

  $$\underbrace{z}_{4 \times 1} = \underbrace{W}_{4 \times 3}\ \underbrace{x}_{3 \times 1} + \underbrace{b}_{4 \times 1} \tag{1}$$

  Here $x$ is a house: its size in 1,000 square feet, its bedrooms, its bathrooms.
  */
  const [house] = loadSacramento(1).train;
  const x = tensor([[house.size / 1000], [house.bedrooms], [house.bathrooms]], { dtype: 'float64' });
  const weight = randn([4, 3], { dtype: 'float64' });
  const bias = randn([4, 1], { dtype: 'float64' });

  const loop = new Float64Array(4);
  byLoops(loop, weight.data, x.data, bias.data);
  const z = weight.matmul(x).add(bias); // (1)
  const a = z.sigmoid(); // a = 1 ./ (1 + exp(−z)), for all elements at once
  // hide
  page.number('difference', largestDifference(loop, z.data), 2);
  page.table(
    'neurons',
    Array.from(loop, (one, j) => ({
      neuron: j + 1,
      'z by the loop': one,
      'z by Wx + b': z.data[j],
      'a = σ(z)': a.data[j],
    })),
  );
  // show

  /*: {{neurons}}

  The largest difference of the two is {{difference}}. Then why bother? For speed. A layer that earns its keep has
  hundreds of inputs and neurons and works on many examples. Let the loop do {{batch}} examples, one by one, and `Dense`, which is
  equation (1) and $g$, do the same ones:
  */
  const batch = 64;
  const layerByLoops = (z: Numbers, layer: Dense<'float64'>, x: Tensor) => {
    const [inputs, outputs] = [layer.inFeatures, layer.outFeatures];
    for (let i = 0; i < batch; i++) {
      const example = x.data.subarray(i * inputs, (i + 1) * inputs);
      byLoops(z.subarray(i * outputs, (i + 1) * outputs), layer.weight.data, example, layer.bias!.data);
    }
  };
  // hide
  page.number('batch', batch);
  const sizes = page.quick ? [4, 256] : [4, 64, 256, 1024];
  const rows = sizes.map((n) => {
    const layer = new Dense(n, n, { dtype: 'float64' });
    const x = randn([batch, n], { dtype: 'float64' });
    const z = new Float64Array(batch * n);
    const loops = secondsOf(() => layerByLoops(z, layer, x));
    const vectorized = secondsOf(() => layer.forward(x));
    return { n, loops, vectorized };
  });
  page.number('speedup', rows.at(-1)!.loops / rows.at(-1)!.vectorized, 2);
  page.number('largest', rows.at(-1)!.n);
  page.table(
    'times',
    rows.map(({ n, loops, vectorized }) => ({
      'inputs and neurons': n,
      'by loops': formatSeconds(loops),
      'Wx + b': formatSeconds(vectorized),
      'times faster':
        loops / vectorized < 10 ? (loops / vectorized).toFixed(1) : Math.round(loops / vectorized),
    })),
  );
  // show

  /*: {{times}}

  With {{largest}} inputs and neurons the matrix form is {{speedup}} times faster (times are of the machine that made this
  page). It does the same multiplications and additions, but the loop goes through $W$ for each example anew, one
  number after the other. A matrix product knows all of the work beforehand, and can keep pieces of $W$ in the cache while it uses
  them for many examples, multiply 8 or 16 numbers with one instruction, and share the work among cores. At size 4 there is
  nothing to gain. Page 06 looks at where the gain begins and how far it goes.
  */
  // hide
}

await main(import.meta.url, run);
