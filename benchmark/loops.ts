/**
 * Why vectorize: one layer and one training step by for-loops, by the TypeScript kernels and by BLAS, for layers of
 * n inputs and n outputs and a batch of 64. Prints a table; writes benchmark/results/loops.svg.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import Benchmark from 'benchmark';
import * as echarts from 'echarts';
import type { Kernels } from '../binding.d.ts';
import { Dense, losses, randn, SGD, seed } from '../lib/index.ts';
import { fallback } from '../lib/kernels/fallback/index.ts';
import { withKernels } from '../lib/kernels/index.ts';
import { loadNative } from '../lib/kernels/native.ts';
import { printTable } from './table.ts';

const batch = 64;
const sizes = [4, 16, 64, 256, 1024, 4096];
const native = loadNative();
native.setThreads(Number(process.env.AXPY_THREADS ?? 2));

/** a = max(W x + b, 0) for each example: what one writes first, and what the notes advise against. */
function layerByLoops(
  a: Float32Array,
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array,
  n: number,
): void {
  for (let i = 0; i < batch; i++) {
    for (let j = 0; j < n; j++) {
      let z = bias[j];
      for (let k = 0; k < n; k++) z += weight[j * n + k] * x[i * n + k];
      a[i * n + j] = Math.max(z, 0);
    }
  }
}

/** Forward, mean squared error, backward and W ← W − α·∂J/∂W, all by loops. */
function stepByLoops(n: number): () => void {
  const [x, y] = [randn([batch, n]).data, randn([batch, n]).data];
  const weight = randn([n, n]).mul(1 / Math.sqrt(n)).data;
  const bias = new Float32Array(n);
  const a = new Float32Array(batch * n);
  const gradient = new Float32Array(n * n);
  return () => {
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
  };
}

function forwardByLoops(n: number): () => void {
  const [x, weight] = [randn([batch, n]).data, randn([n, n]).data];
  const [a, bias] = [new Float32Array(batch * n), new Float32Array(n)];
  return () => layerByLoops(a, x, weight, bias, n);
}

function forward(n: number, kernels: Kernels): () => void {
  const layer = new Dense(n, n, { activation: 'relu' });
  const x = randn([batch, n]);
  return () => withKernels(kernels, () => void layer.forward(x));
}

function step(n: number, kernels: Kernels): () => void {
  const layer = new Dense(n, n, { activation: 'relu' });
  const [x, y] = [randn([batch, n]), randn([batch, n])];
  const optimizer = new SGD(layer.parameters(), { learningRate: 0.01 });
  return () =>
    withKernels(kernels, () => {
      const loss = losses.mse(layer.forward(x), y);
      optimizer.zeroGrad();
      loss.backward();
      optimizer.step();
    });
}

/** Seconds a call, the median of benchmark.js's samples. */
function seconds(fn: () => void): number {
  fn();
  const bench = new Benchmark(fn, { maxTime: 0.5, minSamples: 3 });
  bench.run();
  if (bench.error) throw bench.error;
  const sample = [...bench.stats.sample].sort((a, b) => a - b);
  return sample[sample.length >> 1];
}

interface Row {
  n: number;
  loops: number;
  fallback: number;
  blas: number;
}

function measure(
  byLoops: (n: number) => () => void,
  byKernels: (n: number, kernels: Kernels) => () => void,
): Row[] {
  return sizes.map((n) => {
    seed(n);
    const row = {
      n,
      loops: seconds(byLoops(n)),
      fallback: seconds(byKernels(n, fallback)),
      blas: seconds(byKernels(n, native)),
    };
    process.stderr.write(`  n = ${n}\n`);
    return row;
  });
}

function show(title: string, rows: Row[]): void {
  const time = (s: number) =>
    s < 1e-3 ? `${(s * 1e6).toFixed(1)} µs` : s < 1 ? `${(s * 1e3).toFixed(2)} ms` : `${s.toFixed(2)} s`;
  console.log(`\n${title}, batch ${batch}`);
  printTable(
    rows.map(({ n, loops, fallback, blas }) => ({
      n,
      'for-loops': time(loops),
      fallback: time(fallback),
      BLAS: time(blas),
      'loops / fallback': `${(loops / fallback).toFixed(1)}×`,
      'loops / BLAS': `${(loops / blas).toFixed(1)}×`,
    })),
  );
}

function picture(panels: { title: string; rows: Row[] }[]): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 960, height: 440 });
  const kinds = [
    ['for-loops', 'loops', '#c0504d'],
    ['fallback (TypeScript)', 'fallback', '#e0a030'],
    ['BLAS', 'blas', '#2f6db5'],
  ] as const;
  chart.setOption({
    backgroundColor: '#ffffff',
    animation: false,
    color: kinds.map(([, , color]) => color),
    legend: { bottom: 8, itemGap: 40, data: kinds.map(([label]) => label) },
    title: panels.map(({ title }, i) => ({
      text: title,
      left: i === 0 ? '4%' : '54%',
      textStyle: { fontSize: 15 },
    })),
    grid: panels.map((_, i) => ({ left: i === 0 ? '8%' : '58%', width: '38%', top: 76, bottom: 88 })),
    xAxis: panels.map((_, i) => ({
      type: 'category',
      gridIndex: i,
      data: sizes.map(String),
      name: 'inputs and outputs of the layer',
      nameLocation: 'middle',
      nameGap: 28,
    })),
    yAxis: panels.map((_, i) => ({
      type: 'log',
      gridIndex: i,
      name: 'milliseconds',
      axisLabel: { formatter: '{value}' },
    })),
    series: panels.flatMap(({ rows }, i) =>
      kinds.map(([label, key]) => ({
        name: label,
        type: 'line',
        xAxisIndex: i,
        yAxisIndex: i,
        data: rows.map((row) => row[key] * 1e3),
      })),
    ),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return svg;
}

const { blas, simd, threads } = native.info();
console.log(`BLAS: ${blas}, ${simd}, ${threads} threads; Node ${process.version}`);
const layer = measure(forwardByLoops, forward);
show('One layer, max(W x + b, 0)', layer);
const training = measure(stepByLoops, step);
show('One training step of it', training);

const folder = new URL('./results/', import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(
  new URL('loops.svg', folder),
  picture([
    { title: 'One layer, batch of 64', rows: layer },
    { title: 'One training step, batch of 64', rows: training },
  ]),
);
console.log('picture: benchmark/results/loops.svg');
