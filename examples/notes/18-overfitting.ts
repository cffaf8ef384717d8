/*:
# 18. Learned by heart

> A model that is right on 96 % of the examples it learned from and on 64 % of new ones has learned them by heart. The
> notes name three remedies: more data, regularization, a shallower model.

Nobody needs the answers to the training examples; they are known. What counts is how a model does on examples it has never
seen, and the difference of the two is the *gap*. We make a large one on purpose, with the two things that make one: few
examples, and much in them that means nothing. The examples are 400 images of Fashion-MNIST, some forty of each kind of
clothes, with the grain of a photograph taken in the dark: each pixel, from 0 to 1, gets $`\mathcal{N}(0, 0.5)`$ on top. The network
has three hidden layers and {{weights}} parameters, some six hundred for every image that it could remember.
*/
import { AvgPool2D, Dense, evaluate, Flatten, fit, type Layer, randn, Sequential, SGD, seed } from 'axpy';
import { loadFashion } from '../support/fashion-mnist.ts';
// hide
import { formatNumber, main, type Page } from './support/index.ts';

export async function run(page: Page): Promise<void> {
  // show
  seed(18);
  const { train, test } = loadFashion({ embedded: true });
  const grainy = ({ x, y }: typeof train) => ({
    x: x.add(randn(x.shape).mul(0.5)).reshape([-1, 28, 28, 1]),
    y,
  });
  const learn = grainy(train); // 9,000 images, of which we mostly use the first 400
  const fresh = grainy(test); // 1,000 images that nobody learns from
  const first = (n: number) => ({ x: learn.x.slice([[0, n]]), y: learn.y.slice([[0, n]]) });

  const deep = () =>
    new Sequential([
      new Flatten(),
      new Dense(784, 256, { activation: 'relu' }),
      new Dense(256, 128, { activation: 'relu' }),
      new Dense(128, 64, { activation: 'relu' }),
      new Dense(64, 10),
    ]);

  const examine = async (newModel: () => Layer, examples: number, l2 = 0) => {
    seed(18);
    const model = newModel();
    const data = first(examples);
    const [steps, batchSize] = [600, 50];
    await fit(model, data, {
      loss: 'softmaxCrossEntropy',
      optimizer: new SGD(model.parameters(), { learningRate: 0.02, momentum: 0.9, l2 }),
      epochs: Math.ceil((steps * batchSize) / examples), // the same number of steps, however many examples
      batchSize,
    });
    const options = { loss: 'softmaxCrossEntropy', metrics: ['accuracy'] } as const;
    return { learned: await evaluate(model, data, options), unseen: await evaluate(model, fresh, options) };
  };

  const overfitted = await examine(deep, 400);
  /*:
  It gets {{learned}} of its images right, and {{unseen}} of a thousand new ones: a gap of {{gap}}, much like the one of the
  notes. The grain of one image tells nothing about the next, but it tells the images apart, and the network used it for
  that. Look at the log loss too, which asks how *sure* the model was: {{lossLearned}} on what it learned, {{lossUnseen}} on what
  is new. (Whoever gives each of ten kinds the same chance pays {{lossRandom}}, the logarithm of ten.) Where it errs, it errs with
  full confidence.

  ## Three remedies

  **More data**, if it can be had. In the same number of steps nine thousand images are hard to learn by heart, and what
  helps with all of them is what they have in common.
  */
  const moreData = await examine(deep, 9000);

  /*:
  **Regularization** makes large weights cost something, so that the network uses only those that pay for many examples
  ([example 19](19-l2.md) looks at it closely). The same network, the same images, and $`\lambda`$ = 0.12:
  */
  const regularized = await examine(deep, 400, 0.12);

  /*:
  **A shallower model** has less to remember with. This one has a single layer, and sees the image at a quarter of the
  resolution, 7×7, where neighbours average their grain away: {{smallWeights}} parameters.
  */
  const shallow = () => new Sequential([new AvgPool2D(4), new Flatten(), new Dense(49, 10)]);
  const shallower = await examine(shallow, 400);
  // hide
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const all = {
    'learned by heart': overfitted,
    'more data': moreData,
    regularization: regularized,
    'a shallower model': shallower,
  };
  const rows = Object.entries(all).map(([name, { learned, unseen }]) => ({
    name,
    learned,
    unseen,
    gap: learned.accuracy - unseen.accuracy,
    lossGap: (unseen.loss as number) - (learned.loss as number),
  }));
  page.text('weights', deep().parameterCount().toLocaleString('en-US'));
  page.text('smallWeights', String(shallow().parameterCount()));
  page.text('learned', percent(overfitted.learned.accuracy));
  page.text('unseen', percent(overfitted.unseen.accuracy));
  page.text('gap', `${(100 * rows[0].gap).toFixed(1)} points`);
  page.number('lossLearned', overfitted.learned.loss as number, 2);
  page.number('lossUnseen', overfitted.unseen.loss as number, 2);
  page.number('lossRegularized', regularized.unseen.loss as number, 2);
  page.number('lossRandom', Math.log(10), 2);
  page.table(
    'gaps',
    rows.map(({ name, learned, unseen, gap, lossGap }) => ({
      '': name,
      'right, learned': percent(learned.accuracy),
      'right, new': percent(unseen.accuracy),
      'gap, points': (100 * gap).toFixed(1),
      'loss, learned': formatNumber(learned.loss as number, 2),
      'loss, new': formatNumber(unseen.loss as number, 2),
      'gap of the loss': formatNumber(lossGap, 2),
    })),
  );
  const bars = (name: string, color: string, value: (row: (typeof rows)[number]) => number) => ({
    type: 'bar' as const,
    name,
    data: rows.map((row) => Number((100 * value(row)).toFixed(1))),
    itemStyle: { color },
    barGap: '8%',
    barCategoryGap: '36%',
    label: { show: true, position: 'top' as const, formatter: '{c} %', color: '#303030' },
  });
  page.picture('bars', {
    width: 760,
    height: 380,
    alt: 'Accuracy on learned and on new images, without a remedy and with each of three',
    option: {
      legend: { bottom: 6, itemGap: 40 },
      grid: { left: 64, right: 20, top: 28, bottom: 72 },
      xAxis: { type: 'category', data: rows.map(({ name }) => name), axisTick: { show: false } },
      yAxis: {
        type: 'value',
        name: 'answers that are right, %',
        nameLocation: 'middle',
        nameGap: 40,
        min: 0,
        max: 100,
      },
      series: [
        bars('images it learned from', '#9dbfe6', ({ learned }) => learned.accuracy),
        bars('new images', '#2f6db5', ({ unseen }) => unseen.accuracy),
      ],
    },
  });
  // show
  /*:
  {{bars}}

  {{gaps}}

  All three narrow the gap, each in its way. More data lifts the right column. The shallower model has no room for
  the grain, loses on the images it learned from, and *wins* on new ones with {{smallWeights}} parameters against {{weights}}.
  Regularization does least for the number of right answers here: the right column stays about where it was, and it is
  the left one that comes down. What it does change is the confidence. The loss on new images falls from {{lossUnseen}} to
  {{lossRegularized}}: the network is wrong about as often, but it no longer swears to it.

  Which remedy is best depends on the problem; that they are remedies one can see only on images that were kept apart.
  */
  // hide
}

await main(import.meta.url, run);
