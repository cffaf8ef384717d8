/*:
# 11. Counting parameters

Is there a ball in this picture? A colour image of 64 × 64 pixels has three numbers a pixel, for red, green and blue. A fully
connected layer does not care for rows and columns: it takes the image *flattened* into one long vector. The notes put a
network of three layers behind it, with three, two and one neurons, and count the numbers that it has to learn.

{{network}}

## The image as a vector
*/
import { Dense, Flatten, Sequential, seed, tensor } from 'axpy';
// hide
import { main, type Page, type Picture } from './support/index.ts';

export async function run(page: Page): Promise<void> {
  // show
  const [height, width, channels] = [64, 64, 3];
  // Each element says where it is: row 5, column 17, green (1) is 51,701.
  const where = Array.from({ length: height }, (_, row) =>
    Array.from({ length: width }, (_, column) =>
      [0, 1, 2].map((channel) => 10_000 * row + 100 * column + channel),
    ),
  );
  const image = tensor([where]);
  const vector = new Flatten().forward(image);
  page.number('n', vector.shape[1]);
  page.number('at', (5 * width + 17) * channels + 1);
  page.number('element', vector.data[page.value('at')]);
  /*:
  The vector has {{n}} elements, row by row, pixel by pixel, and for each pixel red, green and blue: element {{at}} is the green
  of row 5, column 17 (all counted from 0), as its value {{element}} says.

  ## Sizes, from the equations

  For one example the network computes

  $$z^{[1]} = W^{[1]} x^{(i)} + b^{[1]} \qquad a^{[1]} = g(z^{[1]})$$

  $$z^{[2]} = W^{[2]} a^{[1]} + b^{[2]} \qquad a^{[2]} = g(z^{[2]})$$

  $$z^{[3]} = W^{[3]} a^{[2]} + b^{[3]} \tag{3}$$

  $$\hat y^{(i)} = a^{[3]} = g(z^{[3]}) \tag{4}$$

  Since $x$ has $n$ elements and $z^{[1]}$ three, $W^{[1]}$ must be a matrix of 3 rows and $n$ columns, and $b^{[1]}$ has an
  element for each row. So it goes on, layer by layer. The library's `Dense` keeps its weight in just this shape,
  [neurons, inputs].
  */
  seed(11);
  const model = new Sequential(
    [
      new Flatten(),
      new Dense(12_288, 3, { activation: 'sigmoid' }),
      new Dense(3, 2, { activation: 'sigmoid' }),
      new Dense(2, 1, { activation: 'sigmoid' }),
    ],
    { inputShape: [height, width, channels] },
  );
  page.table(
    'sizes',
    model.namedParameters().map(([name, { shape, size }]) => ({
      parameter: `${name.endsWith('weight') ? 'W' : 'b'}[${name[0]}]`,
      shape: `[${shape.join(', ')}]`,
      numbers: size,
    })),
  );
  page.text('summary', model.summary());
  /*:
  {{sizes}}

  `model.summary()` adds them up:

  ```
  {{summary}}
  ```

  By the notes' count that is $3n + 3$, then $2 \cdot 3 + 2$, then $2 + 1$: in all $3n + 14$, with $n$ = {{n}} therefore
  {{formula}}. The library counts {{counted}}.

  ## It is all in the first layer

  The same network for other images:
  */
  const images = [
    { image: 'Fashion-MNIST, grey', shape: [28, 28, 1] },
    { image: 'the notes’ ball', shape: [64, 64, 3] },
    { image: 'a small photo', shape: [480, 640, 3] },
  ];
  page.table(
    'images',
    images.map(({ image, shape }) => {
      const n = shape.reduce((product, size) => product * size);
      const network = new Sequential([new Dense(n, 3), new Dense(3, 2), new Dense(2, 1)]);
      const first = network.layers[0].parameterCount();
      const all = network.parameterCount();
      return { image, n, '3n + 14': 3 * n + 14, counted: all, 'in the first layer': first };
    }),
  );
  // hide
  page.number('formula', 3 * page.value('n') + 14);
  page.number('counted', model.parameterCount());
  page.picture('network', diagram());
  // show
  /*:
  {{images}}

  Each of the three neurons has a weight of its own for every pixel and colour. That is why images want something else, which
  page 20 comes to.
  */
  // hide
}

/** The network n-3-2-1 as circles and lines, with the first and the last few inputs. */
function diagram(): Picture {
  const middle = 190;
  const columns = [
    { x: 90, ys: [50, 95, 140, 240, 285, 330], color: '#8a8a8a' },
    { x: 320, ys: [110, 190, 270], color: '#2f6db5' },
    { x: 510, ys: [150, 230], color: '#2f6db5' },
    { x: 690, ys: [middle], color: '#c0504d' },
  ];
  const names = [['x₁', 'x₂', 'x₃', '', '', 'xₙ'], ['a₁', 'a₂', 'a₃'], ['a₁', 'a₂'], ['ŷ']];
  const nodes = columns.flatMap(({ x, ys, color }, layer) =>
    ys.map((y, i) => ({
      id: `${layer}-${i}`,
      x,
      y,
      symbolSize: layer === 0 ? 26 : 40,
      itemStyle: { color: '#ffffff', borderColor: color, borderWidth: 2 },
      label: { show: true, formatter: names[layer][i], color: '#202020', fontSize: layer === 0 ? 12 : 15 },
    })),
  );
  const links = columns
    .slice(1)
    .flatMap(({ ys }, layer) =>
      columns[layer].ys.flatMap((_, from) =>
        ys.map((_, to) => ({ source: `${layer}-${from}`, target: `${layer + 1}-${to}` })),
      ),
    );
  const caption = (x: number, lines: string) => ({
    type: 'text',
    x,
    y: 370,
    style: { text: lines, align: 'center', fill: '#404040', fontSize: 13, lineHeight: 18 },
  });
  return {
    width: 780,
    height: 430,
    alt: 'The network: an image of 12,288 numbers, then three, two and one neurons, each connected with all before it',
    option: {
      series: [
        {
          type: 'graph',
          layout: 'none',
          left: 90,
          right: 90,
          top: 50,
          bottom: 100,
          width: 600,
          height: 280,
          data: nodes,
          links,
          lineStyle: { color: '#b0b0b0', width: 1 },
          silent: true,
        },
      ],
      graphic: [
        caption(90, 'the image\nn = 12,288 numbers'),
        caption(320, 'layer 1\n3n + 3 = 36,867'),
        caption(510, 'layer 2\n2 · 3 + 2 = 8'),
        caption(690, 'layer 3\n2 + 1 = 3'),
        {
          type: 'text',
          x: 90,
          y: middle - 12,
          style: { text: '⋮', align: 'center', fill: '#404040', fontSize: 22 },
        },
      ],
    },
  };
}

await main(import.meta.url, run);
