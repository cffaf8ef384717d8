/*: # 04. Three bends: sigmoid, ReLU, tanh

> The notes: a neuron is $a = g(z)$ with some function $g$ that is not a straight line; sigmoid, ReLU and tanh are the usual
> ones.

$$
\begin{aligned}
g(z) &= \frac{1}{1 + e^{-z}} && \text{(sigmoid)} \\
g(z) &= \max(z, 0) && \text{(ReLU)} \\
g(z) &= \frac{e^z - e^{-z}}{e^z + e^{-z}} && \text{(tanh)}
\end{aligned}
$$

Learning needs their derivatives as well: how much $a$ changes when $z$ changes a little. All three can be had from the
value $a$ that the neuron has computed anyway, which is why they are cheap. Here they are as one would write them down:
*/
import { tensor } from 'axpy';
// hide
import { xAxis, yAxis } from './support/axes.ts';
import { main, type Page } from './support/index.ts';

// show

const formulas = {
  sigmoid: { g: (z: number) => 1 / (1 + Math.exp(-z)), slope: (a: number) => a * (1 - a) },
  relu: { g: (z: number) => Math.max(z, 0), slope: (a: number) => (a > 0 ? 1 : 0) },
  tanh: {
    g: (z: number) => (Math.exp(z) - Math.exp(-z)) / (Math.exp(z) + Math.exp(-z)),
    slope: (a: number) => 1 - a ** 2,
  },
};
const names = ['sigmoid', 'relu', 'tanh'] as const;
// hide

const largest = (differences: number[]) =>
  differences.reduce((most, one) => Math.max(most, Math.abs(one)), 0);

export function run(page: Page): void {
  const differences: Record<string, string | number>[] = [];
  const curves: Record<string, { value: number[][]; slope: number[][] }> = {};
  // show

  /*: axpy's own, in float64 and at 2,001 places from −10 to 10. It gets the derivative by *autograd*: a tensor that asks for it
  with `requiresGrad` remembers what is done to it, and `backward()` walks that back.
  */
  const places = Array.from({ length: 2001 }, (_, i) => (i - 1000) / 100);
  for (const name of names) {
    const z = tensor(places, { dtype: 'float64', requiresGrad: true });
    const a = z[name]();
    a.sum().backward(); // the derivative of the sum by each z is that of its own a
    const { g, slope } = formulas[name];
    const valueDifference = largest(places.map((place, i) => a.data[i] - g(place)));
    const slopeDifference = largest(places.map((place, i) => z.grad!.data[i] - slope(g(place))));
    // hide
    page.number(`${name}Value`, valueDifference, 2);
    page.number(`${name}Slope`, slopeDifference, 2);
    differences.push({ name, valueDifference, slopeDifference });
    const shown = places
      .map((place, i) => ({ place, i }))
      .filter(({ place, i }) => Math.abs(place) <= 5 && (i % 10 === 0 || Math.abs(place) < 0.02));
    curves[name] = {
      value: shown.map(({ place, i }) => [place, a.data[i]]),
      slope: shown.map(({ place, i }) => [place, z.grad!.data[i]]),
    };
    // show
  }
  // hide
  const panel = (index: number, title: string, min: number, max: number) => ({
    title: { text: title, left: index === 0 ? '8%' : '57%', top: 4, textStyle: { fontSize: 14 } },
    grid: { left: index === 0 ? '8%' : '57%', width: '40%', top: 36, bottom: 92 },
    xAxis: xAxis('z', { gridIndex: index, min: -5, max: 5, axisLine: { onZero: false } }),
    yAxis: yAxis('', { gridIndex: index, min, max }),
  });
  const panels = [panel(0, 'a = g(z)', -1, 3), panel(1, 'the derivative, g′(z)', -0.2, 1.2)];
  const labels = { sigmoid: 'sigmoid', relu: 'ReLU', tanh: 'tanh' };
  page.picture('curves', {
    width: 860,
    height: 400,
    alt: 'Sigmoid, ReLU and tanh, and their derivatives',
    option: {
      legend: { bottom: 4, itemGap: 32, textStyle: { fontSize: 13 }, data: Object.values(labels) },
      title: panels.map(({ title }) => title),
      grid: panels.map(({ grid }) => grid),
      xAxis: panels.map((one) => one.xAxis),
      yAxis: panels.map((one) => one.yAxis),
      series: (['value', 'slope'] as const).flatMap((kind, index) =>
        names.map((name, i) => ({
          name: labels[name],
          type: 'line' as const,
          showSymbol: false,
          clip: true,
          lineStyle: { width: 2.5 },
          color: ['#2f6db5', '#c0504d', '#e0a030'][i],
          xAxisIndex: index,
          yAxisIndex: index,
          data: curves[name][kind],
        })),
      ),
    },
  });
  const extremes = tensor([-1000, 0, 1000], { dtype: 'float64', requiresGrad: true });
  const text = (values: ArrayLike<number>) => Array.from(values, (value) => String(value).replace('-', '−'));
  page.table(
    'extremes',
    names.map((name) => {
      const [low, zero, high] = text(extremes[name]().data);
      const { g } = formulas[name];
      return {
        g: labels[name],
        'at −1000': low,
        'at 0': zero,
        'at 1000': high,
        'the formula at 1000': String(g(1000)),
      };
    }),
  );
  page.number('kinkSlope', slopeAtZero());
  // show

  /*: {{curves}}

  The largest difference between the library and the formulas, anywhere:

  | | value | derivative |
  |---|---:|---:|
  | sigmoid | {{sigmoidValue}} | {{sigmoidSlope}} |
  | ReLU | {{reluValue}} | {{reluSlope}} |
  | tanh | {{tanhValue}} | {{tanhSlope}} |

  float64 has about 16 digits, so this is rounding. A function taken literally can do worse. Far from zero, $e^z$ is more than
  a float64 can hold, and the formula of tanh becomes ∞ divided by ∞, which is no number; the library's does not:

  {{extremes}}

  Two things to see in the picture for later. The sigmoid's derivative is never above a quarter and nearly 0 on both sides: a
  neuron out there hardly learns. ReLU's is 1 wherever the neuron is active, which is one reason for its success. At the kink
  itself it has none; by convention it is {{kinkSlope}}.
  */
  // hide
}

function slopeAtZero(): number {
  const z = tensor([0], { dtype: 'float64', requiresGrad: true });
  z.relu().sum().backward();
  return z.grad!.item();
}

await main(import.meta.url, run);
