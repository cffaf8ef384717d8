/*: # 06. For-loops and BLAS

> The notes: for-loops were good enough for small data; modern networks are infeasible with them. Matrix algebra packages such as
> BLAS make them fast.

BLAS, the “basic linear algebra subprograms”, is a list of routines from the 1970s that processor vendors and specialists have
been tuning ever since. axpy's native backend calls OpenBLAS; where no native code can be loaded, its *fallback* has the same
kernels in TypeScript. Both are measured here against loops as one writes them first, on a layer of $n$ inputs and $n$
neurons and a batch of 64 examples, twice: computing $a = \max(Wx + b, 0)$, and one step of training.
*/

// hide
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { backendInfo, Dense, losses, randn, SGD } from 'axpy';
import { xAxis, yAxis } from './support/axes.ts';
import { formatNumber, formatSeconds, main, type Page } from './support/index.ts';
import { secondsOf } from './support/time.ts';

// show

const batch = 64;

function layerByLoops(a: Float32Array, x: Float32Array, weight: Float32Array, bias: Float32Array, n: number) {
  for (let i = 0; i < batch; i++) {
    for (let j = 0; j < n; j++) {
      let z = bias[j];
      for (let k = 0; k < n; k++) z += weight[j * n + k] * x[i * n + k];
      a[i * n + j] = Math.max(z, 0);
    }
  }
}

/*: A step of training by loops is the layer, the derivative of the mean squared error for each weight, and the update. (Pages 14
and 15 derive what it computes; here it is the amount of work that counts.)
*/
function stepByLoops(
  a: Float32Array,
  x: Float32Array,
  y: Float32Array,
  weight: Float32Array,
  bias: Float32Array,
  gradient: Float32Array,
  n: number,
) {
  layerByLoops(a, x, weight, bias, n);
  gradient.fill(0);
  for (let i = 0; i < batch; i++) {
    for (let j = 0; j < n; j++) {
      if (a[i * n + j] === 0) continue;
      const dz = (2 / (batch * n)) * (a[i * n + j] - y[i * n + j]);
      for (let k = 0; k < n; k++) gradient[j * n + k] += dz * x[i * n + k];
      bias[j] -= 0.01 * dz;
    }
  }
  for (let k = 0; k < n * n; k++) weight[k] -= 0.01 * gradient[k];
}

/*: The library's counterpart, for either backend (`secondsOf` takes the best of several rounds): */
interface Times {
  n: number;
  layer: number;
  step: number;
}

function timesOfLibrary(n: number): Times {
  const layer = new Dense(n, n, { activation: 'relu' });
  const optimizer = new SGD(layer.parameters(), { learningRate: 0.01 });
  const [x, y] = [randn([batch, n]), randn([batch, n])];
  return {
    n,
    layer: secondsOf(() => layer.forward(x)),
    step: secondsOf(() => {
      const loss = losses.mse(layer.forward(x), y);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    }),
  };
}
// hide

const floats = (shape: number[], deviation = 1) => randn(shape).mul(deviation).data;

function timesOfLoops(n: number): Times {
  const [x, y, weight] = [floats([batch, n]), floats([batch, n]), floats([n, n], 1 / Math.sqrt(n))];
  const [a, bias, gradient] = [new Float32Array(batch * n), new Float32Array(n), new Float32Array(n * n)];
  return {
    n,
    layer: secondsOf(() => layerByLoops(a, x, weight, bias, n)),
    step: secondsOf(() => stepByLoops(a, x, y, weight, bias, gradient, n)),
  };
}

/** The largest difference between the two, to know that they compute the same. */
function disagreement(n: number): number {
  const layer = new Dense(n, n, { activation: 'relu' });
  const optimizer = new SGD(layer.parameters(), { learningRate: 0.01 });
  const [x, y] = [randn([batch, n]), randn([batch, n])];
  const [weight, bias] = [new Float32Array(layer.weight.data), new Float32Array(n)];
  const a = new Float32Array(batch * n);
  const own = layer.forward(x);
  stepByLoops(a, x.data as Float32Array, y.data as Float32Array, weight, bias, new Float32Array(n * n), n);
  losses.mse(own, y).backward();
  optimizer.step();
  const pairs = [
    [[...a], own.data],
    [[...weight], layer.weight.data],
    [[...bias], layer.bias!.data],
  ] as const;
  return pairs.reduce(
    (most, [p, q]) => p.reduce((m, value, i) => Math.max(m, Math.abs(value - q[i])), most),
    0,
  );
}

const sizesOf = (quick: boolean) => (quick ? [4, 64, 1024] : [4, 16, 64, 256, 1024, 4096]);

/** The first size is measured twice, as the first time pays for the compiler's second thoughts about this code. */
const timesOfLibraryWarm = (sizes: number[]) => [sizes[0], ...sizes].map(timesOfLibrary).slice(1);

/** The same measurement with the fallback: a process chooses its backend once. */
function timesOfFallback(): Times[] {
  const output = execFileSync(
    process.execPath,
    [...process.execArgv, fileURLToPath(import.meta.url), '--times'],
    {
      env: { ...process.env, AXPY_BACKEND: 'fallback' },
      encoding: 'utf8',
    },
  );
  return JSON.parse(output);
}

export function run(page: Page): void {
  const sizes = sizesOf(page.quick);
  page.number('disagreement', disagreement(64), 2);
  const loops = sizes.map(timesOfLoops);
  const own = timesOfLibraryWarm(sizes);
  const { name, threads } = backendInfo();
  // In the tests, which run on either backend, the one that runs is all there is to see.
  const native = name === 'native' ? own : undefined;
  const fallback = name === 'fallback' ? own : page.quick ? undefined : timesOfFallback();
  page.text('threads', String(threads));
  const ratio = (a: number, b: number) => `${formatNumber(a / b, 2)}×`;
  for (const kind of ['layer', 'step'] as const) {
    page.table(
      `${kind}Times`,
      sizes.map((n, i) => ({
        n,
        'for-loops': formatSeconds(loops[i][kind]),
        ...(fallback && { fallback: formatSeconds(fallback[i][kind]) }),
        ...(native && { BLAS: formatSeconds(native[i][kind]) }),
        ...(fallback && { 'loops / fallback': ratio(loops[i][kind], fallback[i][kind]) }),
        ...(native && { 'loops / BLAS': ratio(loops[i][kind], native[i][kind]) }),
      })),
    );
    const at = sizes.indexOf(1024);
    page.number(`${kind}Speedup`, loops[at][kind] / own[at][kind], 2);
  }
  const last = sizes.length - 1;
  page.text('largestByLoops', formatSeconds(loops[last].step));
  page.text('largestOwn', formatSeconds(own[last].step));
  const panel = (index: number, title: string) => ({
    title: { text: title, left: index === 0 ? '9%' : '58%', top: 4, textStyle: { fontSize: 14 } },
    grid: { left: index === 0 ? '9%' : '58%', width: '39%', top: 40, bottom: 92 },
    xAxis: xAxis('n, inputs and neurons of the layer', {
      gridIndex: index,
      type: 'category' as const,
      data: sizes.map((n) => n.toLocaleString('en-US')),
    }),
    yAxis: yAxis('time', {
      gridIndex: index,
      type: 'log' as const,
      min: 1e-6,
      max: 100,
      interval: 1,
      axisLabel: { formatter: (value: number) => formatSeconds(value).replace('.0', '') },
    }),
  });
  const panels = [panel(0, 'one layer, 64 examples'), panel(1, 'one step of training')];
  const kinds = [
    { name: 'for-loops', color: '#c0504d', times: loops },
    { name: 'fallback (TypeScript)', color: '#e0a030', times: fallback },
    { name: 'BLAS', color: '#2f6db5', times: native },
  ].flatMap((kind) => (kind.times ? [{ ...kind, times: kind.times }] : []));
  page.picture('times', {
    width: 940,
    height: 440,
    alt: 'Times of a layer and of a training step against their size: from 16 on, loops take far longer than the library',
    option: {
      legend: { bottom: 4, itemGap: 32, textStyle: { fontSize: 13 } },
      title: panels.map(({ title }) => title),
      grid: panels.map(({ grid }) => grid),
      xAxis: panels.map((one) => one.xAxis),
      yAxis: panels.map((one) => one.yAxis),
      series: (['layer', 'step'] as const).flatMap((kind, index) =>
        kinds.map(({ name, color, times }) => ({
          name,
          color,
          type: 'line' as const,
          symbolSize: 6,
          lineStyle: { width: 2.5 },
          xAxisIndex: index,
          yAxisIndex: index,
          data: times.map((one) => one[kind]),
        })),
      ),
    },
  });
  // show

  /*: Loops and library agree to {{disagreement}} after one step (float32 has seven digits), so they are two ways to do the same. How long they take,
  BLAS on {{threads}} threads and the others on one:

  **One layer**, $a = \max(Wx + b, 0)$, 64 examples

  {{layerTimes}}

  **One step of training** it

  {{stepTimes}}

  {{times}}

  Both axes of the picture go up by factors. At four inputs there is next to no arithmetic, the time goes into calling
  functions, and a plain loop is as good as anything. At 1,024 the layer is {{layerSpeedup}} times faster with the library, and the step
  {{stepSpeedup}} times. At 4,096 a single step takes {{largestByLoops}} by loops and {{largestOwn}} with the library. Training takes
  many thousand steps: that is what “infeasible” means.

  The times are of the machine that made this page; machines differ, so read the ratios. `npm run bench:loops` measures more
  carefully, and the README has its table.
  */
  // hide
}

if (process.argv.includes('--times')) console.log(JSON.stringify(timesOfLibraryWarm(sizesOf(false))));
else await main(import.meta.url, run);
