/*:
# 20. Slide it: parameters shared over the image

> A detector with one weight for each pixel knows the ball only where it saw one. A small matrix of weights that slides
> over the image knows it everywhere.

A logistic regression on an image has a weight $`\theta_i`$ for every pixel $`x_i`$; $`\theta_1`$ looks at the top left pixel
and at nothing else, ever. If there was never a ball at some place in the training images, then the weights of that place
have learned nothing about balls. So the notes let a small matrix $`\theta`$ look at one region of the image,

```math
a = \sum_i \sum_j \theta_{ij}\, x_{ij},
```

then at the next region, and so on until it has seen all of them. That is a convolution.

## Balls and boxes

We draw our own images, as then we can say where things are: {{size}}×{{size}} grey pixels of noise with one object of 9×9 on
it. A soccer ball, with its dark pentagon in the middle and pieces of others at the rim, or a box. Is it a ball?
*/
import {
  Adam,
  Conv2D,
  conv2d,
  Dense,
  evaluate,
  Flatten,
  fit,
  type Layer,
  MaxPool2D,
  rand,
  randn,
  Sequential,
  seed,
  type Tensor,
  tensor,
} from 'axpy';
// hide
import { main, type Page } from './support/index.ts';

const size = 32;
const side = 9;

/** A dark spot at an angle and a distance from the middle. */
const spots = [[0, 0], ...[0, 1, 2, 3, 4].map((k) => [(k * 2 * Math.PI) / 5 - Math.PI / 2, 3.9])];

function ball(row: number, column: number): number {
  const [y, x] = [row - (side - 1) / 2, column - (side - 1) / 2];
  const edge = Math.min(Math.max(4.6 - Math.hypot(x, y), 0), 1); // soft over one pixel
  const nearest = Math.min(
    ...spots.map(([angle, distance]) =>
      Math.hypot(x - distance * Math.cos(angle), y - distance * Math.sin(angle)),
    ),
  );
  const dark = Math.min(Math.max(1.9 - nearest, 0), 1);
  return edge * (1 - 1.6 * dark);
}

function box(row: number, column: number): number {
  const fromEdge = Math.min(row, column, side - 1 - row, side - 1 - column);
  return fromEdge === 2 ? -0.6 : fromEdge >= 1 ? 1 : 0;
}

type Corner = 'top left' | 'top right' | 'bottom left' | 'bottom right';

/** Noise with an object near a corner: three to six pixels from the edges. */
function draw(count: number, corner: Corner): { x: Tensor; y: Tensor } {
  const x = randn([count, size, size, 1]).mul(0.3);
  const places = rand([count, 2]).data;
  for (let i = 0; i < count; i++) {
    const [down, across] = [0, 1].map((axis) => 3 + Math.floor(4 * places[2 * i + axis]));
    const top = corner.startsWith('top') ? down : size - side - down;
    const left = corner.endsWith('left') ? across : size - side - across;
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        const at = (i * size + top + row) * size + left + column;
        x.data[at] += i % 2 === 0 ? ball(row, column) : box(row, column);
      }
    }
  }
  return { x, y: tensor(Array.from({ length: count }, (_, i) => [1 - (i % 2)])) };
}

export async function run(page: Page): Promise<void> {
  // show
  seed(20);
  const corners = ['top left', 'top right', 'bottom left', 'bottom right'] as const;
  const learn = draw(page.quick ? 1200 : 2000, 'top left'); // x [images, 32, 32, 1], y 1 for a ball, 0 for a box
  const unseen = corners.map((corner) => ({ corner, ...draw(page.quick ? 300 : 500, corner) }));
  // hide
  const grey = (values: ArrayLike<number>, columns: number, left: number, top: number) =>
    Array.from(values, (value, i) => [left + (i % columns), top + Math.floor(i / columns), value]);
  const pixels = (name: string, data: number[][], low: number, high: number, colors: string[]) => ({
    name,
    series: { type: 'heatmap' as const, data, itemStyle: { borderWidth: 0 } },
    scale: { show: false, min: low, max: high, inRange: { color: colors } },
  });
  const hiddenAxis = (count: number) => ({
    type: 'category' as const,
    data: Array.from({ length: count }, (_, i) => i),
    show: false,
  });
  const gap = 3;
  const shown = [
    [0, 0],
    [0, 1],
    [1, 0],
    [2, 1],
    [3, 0],
    [3, 1],
  ].map(([set, i], k) => {
    const { corner, x } = unseen[set];
    const values = x.data.subarray(i * size * size, (i + 1) * size * size);
    return {
      title: `${i === 0 ? 'ball' : 'box'}, ${corner}`,
      cells: grey(values, size, k * (size + gap), 0),
    };
  });
  const wide = shown.length * (size + gap) - gap;
  const cell = 4;
  const strip = pixels(
    'images',
    shown.flatMap(({ cells }) => cells),
    -0.9,
    1.4,
    ['#000000', '#ffffff'],
  );
  page.number('size', size);
  page.picture('images', {
    width: wide * cell + 40,
    height: size * cell + 56,
    alt: 'Six of the images: balls and boxes in noise, in the four corners',
    option: {
      title: shown.map(({ title }, k) => ({
        text: title,
        left: 20 + (k * (size + gap) + size / 2) * cell,
        top: 10,
        textAlign: 'center' as const,
        textStyle: { fontSize: 12, fontWeight: 'normal' as const },
      })),
      grid: { left: 20, right: 20, top: 36, bottom: 20 },
      xAxis: hiddenAxis(wide),
      yAxis: { ...hiddenAxis(size), inverse: true },
      visualMap: strip.scale,
      series: [strip.series],
    },
  });
  // show
  /*:
  {{images}}

  **Every training image has its object at the top left.** The other corners come up only in the test.

  ## Three detectors

  The logistic regression of the notes; a dense network, in case depth helps; and $`\theta`$, a 9×9 matrix that slides. There are
  24×24 places for it, so it gives 24×24 values $`a`$, each saying how much its place looks like a ball. The largest of them is
  the answer: there is a ball if there is one *somewhere*. Sigmoid and log loss are the same for all three.
  */
  const theta = new Conv2D(1, 1, 9);
  const detectors: Record<string, Layer> = {
    'logistic regression': new Sequential([new Flatten(), new Dense(1024, 1)]),
    'dense network': new Sequential([
      new Flatten(),
      new Dense(1024, 32, { activation: 'relu' }),
      new Dense(32, 1),
    ]),
    'θ slides': new Sequential([theta, new MaxPool2D(24), new Flatten()]),
  };

  const loss = 'binaryCrossEntropyWithLogits';
  const rightOn = async (model: Layer, { x, y }: { x: Tensor; y: Tensor }) =>
    (await evaluate(model, { x, y }, { loss, metrics: ['accuracy'] })).accuracy;

  const results: { name: string; parameters: number; right: number[] }[] = [];
  for (const [name, model] of Object.entries(detectors)) {
    await fit(model, learn, {
      loss,
      optimizer: new Adam(model.parameters(), { learningRate: 0.01 }),
      epochs: 5,
      seed: 20,
    });
    const right = [await rightOn(model, learn)];
    for (const set of unseen) right.push(await rightOn(model, set));
    results.push({ name, parameters: model.parameterCount(), right });
  }
  // hide
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  page.table(
    'right',
    results.map(({ name, parameters, right }) => ({
      '': name,
      parameters,
      'in training': percent(right[0]),
      ...Object.fromEntries(corners.map((corner, i) => [corner, percent(right[i + 1])])),
    })),
  );
  page.picture('corners', {
    width: 760,
    height: 360,
    alt: 'How often each detector is right, by the corner where the object is',
    option: {
      legend: { bottom: 6, itemGap: 36 },
      grid: { left: 64, right: 56, top: 28, bottom: 72 },
      xAxis: { type: 'category', data: corners.map((corner) => corner), axisTick: { show: false } },
      yAxis: {
        type: 'value',
        name: 'answers that are right, %',
        nameLocation: 'middle',
        nameGap: 40,
        min: 0,
        max: 100,
      },
      series: results.map(({ name, right }, k) => ({
        type: 'bar',
        name,
        data: right.slice(1).map((share) => Number((100 * share).toFixed(1))),
        itemStyle: { color: ['#c8ccd2', '#9dbfe6', '#2f6db5'][k] },
        barGap: '8%',
        barCategoryGap: '32%',
        label: {
          show: true,
          position: 'top',
          fontSize: 10,
          formatter: ({ value }) => Math.round(Number(value)).toString(),
        },
        ...(k === 0
          ? {
              markLine: {
                silent: true,
                symbol: 'none',
                data: [{ yAxis: 50 }],
                lineStyle: { color: '#c0504d', type: 'dashed' as const },
                label: { formatter: 'a coin', position: 'end' as const, color: '#c0504d' },
              },
            }
          : {}),
      })),
    },
  });
  // show
  /*:
  {{corners}}

  {{right}}

  At the top left all three know their job. Everywhere else the two dense detectors toss a coin, a deep one as well as a
  shallow one: an object at a place whose weights have only ever seen noise looks to them like noise. $`\theta`$ does not even notice
  that the object has moved, and it does so with {{thetaCount}} parameters against {{denseCount}}.

  ## What θ has learned
  */
  const weights = theta.weight.reshape([9, 9]);
  const found = conv2d(unseen[3].x.slice([[0, 1]]), theta.weight, theta.bias).reshape([24, 24]);
  // hide
  const most = weights.abs().max().item();
  const filter = pixels('θ', grey(weights.data, 9, 0, 0), -most, most, ['#b5382f', '#ffffff', '#2f6db5']);
  const image = pixels('image', grey(unseen[3].x.data.subarray(0, size * size), size, 0, 0), -0.9, 1.4, [
    '#000000',
    '#ffffff',
  ]);
  const [least, largest] = [found.min().item(), found.max().item()];
  const map = pixels('a', grey(found.data, 24, 0, 0), least, largest, ['#ffffff', '#2f6db5']);
  const panels = [
    { part: filter, count: 9, title: 'θ: blue wants light, red wants dark' },
    { part: image, count: size, title: 'an image' },
    { part: map, count: 24, title: 'a at each of the 24×24 places' },
  ];
  page.picture('filter', {
    width: 860,
    height: 310,
    alt: 'The learned matrix θ, an image with a ball at the bottom right, and the values a over that image',
    option: {
      title: panels.map(({ title }, k) => ({
        text: title,
        left: 20 + 280 * k + 130,
        top: 10,
        textAlign: 'center' as const,
        textStyle: { fontSize: 13, fontWeight: 'normal' as const },
      })),
      grid: panels.map((_, k) => ({ left: 20 + 280 * k, width: 260, top: 38, height: 260 })),
      xAxis: panels.map(({ count }, gridIndex) => ({ ...hiddenAxis(count), gridIndex })),
      yAxis: panels.map(({ count }, gridIndex) => ({ ...hiddenAxis(count), gridIndex, inverse: true })),
      visualMap: panels.map(({ part }, seriesIndex) => ({ ...part.scale, seriesIndex })),
      series: panels.map(({ part }, k) => ({ ...part.series, xAxisIndex: k, yAxisIndex: k })),
    },
  });
  // show
  /*:
  {{filter}}

  $`\theta`$ is a picture of what tells a ball from a box: it wants light where only the ball is light, and dark at its
  pentagons. The pattern need not sit in the middle of $`\theta`$; as it slides, any place in it is as good. On an image with the
  ball at the bottom right, where it never saw one in training, $`a`$ has one dark blue spot, at the ball. The detector was only ever
  asked *whether* there is a ball, and can also say *where*.

  ## Is it the double sum?

  By hand, with the loops of the notes, at every place $`(p, q)`$ of an image and in 64 bits:

  ```math
  a_{pq} = \sum_{i=1}^{9}\sum_{j=1}^{9} \theta_{ij}\, x_{p+i-1,\;q+j-1}
  ```
  */
  const x = unseen[3].x.slice([[0, 1]]).cast('float64'); // [1, 32, 32, 1]
  const filter64 = theta.weight.detach().cast('float64'); // [1, 9, 9, 1]
  const a = conv2d(x, filter64).data;

  let difference = 0;
  for (let p = 0; p < 24; p++) {
    for (let q = 0; q < 24; q++) {
      let sum = 0;
      for (let i = 0; i < 9; i++) {
        for (let j = 0; j < 9; j++) sum += filter64.data[i * 9 + j] * x.data[(p + i) * 32 + q + j];
      }
      difference = Math.max(difference, Math.abs(a[p * 24 + q] - sum));
    }
  }
  // hide
  page.number('difference', difference, 1);
  page.number('thetaCount', results[2].parameters);
  page.number('denseCount', results[1].parameters);
  // show
  /*:
  The largest difference over all 576 places is {{difference}}, at most the rounding of the last digits.

  That is all there is to a convolutional layer. A real one has many such matrices, each looking for something else, and
  layers above it that look for patterns in what these found; [the example on real clothes](../../examples/convolution.ts)
  has 32 and 64 of them. With this the notes end, and so do these pages.
  */
  // hide
}

await main(import.meta.url, run);
