/*: # 07. Many examples at once: $Z = WX + b$

> The notes: the examples need no loop either. Stack them side by side as the columns of $X$, and all of them go through the layer
> in one product, $Z = WX + b$.

Three houses through a layer of four neurons, one by one:

$$z^{[1](i)} = W^{[1]} x^{(i)} + b^{[1]}, \qquad i = 1, 2, 3.$$

Square brackets count layers, round ones examples. Together, with an example in each **column**:

$$
X = \begin{bmatrix} | & | & | \\ x^{(1)} & x^{(2)} & x^{(3)} \\ | & | & | \end{bmatrix}, \qquad
Z^{[1]} = \begin{bmatrix} | & | & | \\ z^{[1](1)} & z^{[1](2)} & z^{[1](3)} \\ | & | & | \end{bmatrix} = W^{[1]} X + b^{[1]}.
$$

$b$ is a single column; it is added to every column, which libraries call *broadcasting*. axpy, as most libraries, has the
examples in **rows** instead, $Z^T = X^T W^T + b^T$: a batch is a list of examples, and each lies in one piece of memory. That is
the same product read the other way:
*/
import { Dense, stack, tensor } from 'axpy';
import { loadFashion } from '../support/fashion-mnist.ts';
import { loadSacramento } from '../support/sacramento.ts';
// hide
import { xAxis, yAxis } from './support/axes.ts';
import { formatSeconds, main, type Page } from './support/index.ts';
import { secondsOf } from './support/time.ts';

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i])));

export function run(page: Page): void {
  // show

  const houses = loadSacramento(1).train.slice(0, 3);
  const rows = tensor(
    houses.map((house) => [house.size / 1000, house.bedrooms, house.bathrooms]),
    { dtype: 'float64' },
  ); // [examples, inputs]
  const layer = new Dense(3, 4, { biasInit: 'normal', dtype: 'float64' });
  const { weight } = layer; // [neurons, inputs], as in the notes
  const bias = layer.bias!.reshape([4, 1]);

  // Each example by itself.
  const single = [0, 1, 2].map((i) => {
    const x = rows.slice([[i, i + 1]]).reshape([3, 1]);
    return weight.matmul(x).add(bias).flatten();
  });

  // The notes' form: examples in columns.
  const X = rows.transpose(); // [inputs, examples]
  const Z = weight.matmul(X).add(bias); // [neurons, examples]

  // The library's form: examples in rows.
  const zRows = layer.forward(rows); // [examples, neurons]
  // hide
  page.number('columnsAgainstRows', largestDifference(Z.transpose().data, zRows.data), 2);
  page.number('columnsAgainstSingle', largestDifference(Z.data, stack(single, 1).data), 2);
  page.table(
    'z',
    [0, 1, 2, 3].map((j) => ({
      'Z = WX + b': `neuron ${j + 1}`,
      'house 1': Z.data[3 * j],
      'house 2': Z.data[3 * j + 1],
      'house 3': Z.data[3 * j + 2],
    })),
  );
  // show

  /*: {{z}}

  Columns and rows differ by at most {{columnsAgainstRows}}, columns and single examples by {{columnsAgainstSingle}};
  more than rounding, some $10^{-16}$, it must not be.

  What stacking buys is time. The pictures of clothes of Fashion-MNIST have 784 pixels; here they go through a layer of 1,024
  neurons, in batches from one to {{largest}}:
  */
  const images = loadFashion({ embedded: true }).train.x;
  const wide = new Dense(784, 1024, { activation: 'relu' });
  // hide
  const largest = page.quick ? 64 : 1024;
  page.number('largest', largest);
  // show
  const times: { batch: number; perExample: number }[] = [];
  for (let batch = 1; batch <= largest; batch *= 4) {
    const x = images.slice([[0, batch]]);
    times.push({ batch, perExample: secondsOf(() => wide.forward(x)) / batch });
  }
  // hide
  const best = times.reduce((least, one) => (one.perExample < least.perExample ? one : least));
  page.number('gain', times[0].perExample / best.perExample, 2);
  page.number('bestBatch', best.batch);
  page.table(
    'times',
    times.map(({ batch, perExample }) => ({
      'batch size': batch,
      'time per example': formatSeconds(perExample),
      'examples in a second': Math.round(1 / perExample / 100) * 100,
    })),
  );
  page.picture('perExample', {
    width: 640,
    height: 380,
    alt: 'Time per example against the batch size: it falls as the batch grows, and then levels off',
    option: {
      grid: { left: 84, right: 32, top: 24, bottom: 56 },
      xAxis: xAxis('batch size, examples', {
        type: 'category',
        data: times.map(({ batch }) => batch.toLocaleString('en-US')),
      }),
      yAxis: yAxis('time per example in µs', { min: 0 }),
      series: [
        {
          type: 'line',
          symbolSize: 7,
          lineStyle: { width: 2.5 },
          data: times.map(({ perExample }) => perExample * 1e6),
        },
      ],
    },
  });
  // show

  /*: {{times}}

  {{perExample}}

  In a batch of {{bestBatch}} the layer gets through {{gain}} times as many examples in a second as with one at a time (on the machine
  that made this page). Alone, an example fetches each of the 802,816 weights from memory, uses it once and drops it; in a
  batch every example uses it while it is at hand. Beyond some size there is nothing left to share, and the curve is flat.
  Mini-batches, page 16, live from this.
  */
  // hide
}

await main(import.meta.url, run);
