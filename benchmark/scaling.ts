/**
 * How time goes with threads, batch and width, and how near each workload is to what the machine can do. Prints tables in
 * Markdown; writes benchmark/results/scaling.svg and roofline.svg.
 *
 *     npm run bench:scaling -- [--threads 1,2] [--seconds 0.3] [--only mlp,gpt]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Adam, backendInfo, compile, Dense, losses, randn, Sequential, seed, setThreads, tensor } from 'axpy';
import * as echarts from 'echarts';
import { type Workload, workloads } from './workloads.ts';

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: `1,${availableParallelism()}` },
    seconds: { type: 'string', default: '0.3' },
    only: { type: 'string', default: Object.keys(workloads).join(',') },
  },
});
const threads = values.threads.split(',').map(Number);
const most = threads[threads.length - 1];

/** Seconds a call, for each number of threads: the best of five rounds, in turn. */
function timesOf(call: () => void): number[] {
  const counts = threads.map((count) => {
    setThreads(count);
    for (let i = 0; i < 3; i++) call();
    const start = performance.now();
    call();
    return Math.max(3, Math.floor((Number(values.seconds) * 200) / (performance.now() - start)));
  });
  const best = threads.map(() => Infinity);
  for (let round = 0; round < 5; round++) {
    threads.forEach((count, i) => {
      setThreads(count);
      const start = performance.now();
      for (let run = 0; run < counts[i]; run++) call();
      best[i] = Math.min(best[i], (performance.now() - start) / counts[i] / 1e3);
    });
  }
  return best;
}

const show = (s: number) =>
  s < 1e-4 ? `${(s * 1e6).toFixed(1)} µs` : s < 1 ? `${(s * 1e3).toPrecision(3)} ms` : `${s.toFixed(2)} s`;
const percent = (share: number) => `${(100 * share).toFixed(0)} %`;

function printMarkdown(rows: Record<string, string>[]): void {
  const heads = Object.keys(rows[0]);
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`;
  console.log(line(heads));
  console.log(`|${heads.map((_, i) => (i === 0 ? '---|' : '--:|')).join('')}`);
  for (const row of rows) console.log(line(Object.values(row)));
}

// ── the workloads ───────────────────────────────────────────────────────────────────────────────────────────────────

interface Point {
  name: string;
  /** Operations a byte, and a second. */
  intensity: number;
  rate: number;
  share: number;
}

const points: Point[] = [];
let ridge = { peak: 0, bandwidth: 0 };

function measureWorkloads(): void {
  const rows = values.only.split(',').map((name) => {
    const ways = (workloads[name as keyof typeof workloads] as Workload)();
    const times = timesOf(ways.compiled.step);
    setThreads(most);
    const { calls, time, kernels, limits } = ways.profile();
    const sum = (key: 'operations' | 'bytes' | 'limit') =>
      calls.reduce((total, call) => total + call[key], 0);
    ridge = { peak: limits.float32, bandwidth: limits.bandwidths[2].rate };
    const share = sum('limit') / time;
    points.push({
      name,
      intensity: sum('operations') / sum('bytes'),
      rate: sum('operations') / time,
      share,
    });
    const longest = kernels.slice(0, 3).map((kernel) => {
      return `${kernel.kernel} ${percent(kernel.time / time)} at ${percent(kernel.limit / kernel.time)}`;
    });
    return {
      step: name,
      ...Object.fromEntries(threads.map((count, i) => [`${count} threads`, show(times[i])])),
      gain: `${(times[0] / times[times.length - 1]).toFixed(2)}×`,
      'of the limit': percent(share),
      'GFLOP/s': (sum('operations') / time / 1e9).toFixed(0),
      calls: String(calls.length),
      'where the time goes, at which share of the limit': longest.join(', '),
    };
  });
  const { blas, simd } = backendInfo();
  console.log(`\n${simd}, ${blas}; ${(ridge.peak / 1e9).toFixed(0)} GFLOP/s with ${most} threads\n`);
  printMarkdown(rows);
}

// ── batch and width ─────────────────────────────────────────────────────────────────────────────────────────────────

/** A step of width-width-width-10 with ReLU, cross-entropy and Adam; and its operations. */
function net(width: number, batch: number): { step: () => void; operations: number } {
  seed(0);
  const model = new Sequential([
    new Dense(width, width, { activation: 'relu' }),
    new Dense(width, width, { activation: 'relu' }),
    new Dense(width, 10),
  ]);
  const optimizer = new Adam(model.parameters());
  const x = randn([batch, width]);
  const y = tensor(Int32Array.from({ length: batch }, (_, i) => i % 10));
  const step = compile(() => {
    const loss = losses.softmaxCrossEntropy(model.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
  });
  // Forward, dW and, but for the first layer, dX.
  const operations = 2 * batch * (5 * width * width + 3 * width * 10);
  return { step: () => step.sync(), operations };
}

interface Line {
  label: string;
  points: [x: number, rate: number][];
}

function measureLines(
  title: string,
  sizes: number[],
  make: (size: number) => ReturnType<typeof net>,
): Line[] {
  const lines: Line[] = threads.map((count) => ({ label: `${count} threads`, points: [] }));
  console.log(`\n${title}\n`);
  printMarkdown(
    sizes.map((size) => {
      const { step, operations } = make(size);
      const times = timesOf(step);
      times.forEach((time, i) => void lines[i].points.push([size, operations / time / 1e9]));
      return {
        [title.split(',')[0]]: String(size),
        ...Object.fromEntries(threads.map((count, i) => [`${count} threads`, show(times[i])])),
        gain: `${(times[0] / times[times.length - 1]).toFixed(2)}×`,
        'GFLOP/s': (operations / times[times.length - 1] / 1e9).toFixed(0),
      };
    }),
  );
  return lines;
}

// ── pictures ────────────────────────────────────────────────────────────────────────────────────────────────────────

const colors = ['#e0a030', '#2f6db5', '#5a9a55', '#c0504d'];

function draw(width: number, height: number, option: echarts.EChartsOption): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
  chart.setOption({ backgroundColor: '#ffffff', animation: false, color: colors, ...option });
  return chart.renderToSVGString();
}

function drawLines(panels: { title: string; axis: string; lines: Line[] }[]): string {
  return draw(960, 400, {
    title: panels.map(({ title }, i) => ({
      text: title,
      left: `${2 + 50 * i}%`,
      textStyle: { fontSize: 14 },
    })),
    legend: { bottom: 8, data: panels[0].lines.map(({ label }) => label) },
    grid: panels.map((_, i) => ({ left: `${6 + 50 * i}%`, width: '40%', top: 60, bottom: 80 })),
    xAxis: panels.map(({ axis }, i) => ({
      type: 'log' as const,
      logBase: 2,
      name: axis,
      nameLocation: 'middle' as const,
      nameGap: 28,
      gridIndex: i,
    })),
    yAxis: panels.map((_, i) => ({
      type: 'value' as const,
      name: 'GFLOP/s',
      gridIndex: i,
      max: Math.ceil(ridge.peak / 1e11) * 100,
    })),
    series: panels.flatMap(({ lines }, i) =>
      lines.map(({ label, points: data }, j) => ({
        type: 'line' as const,
        name: label,
        data,
        xAxisIndex: i,
        yAxisIndex: i,
        itemStyle: { color: colors[j] },
      })),
    ),
  });
}

function drawRoofline(): string {
  const knee = ridge.peak / ridge.bandwidth;
  const roof = [0.25, knee, 512].map((x) => [x, Math.min(ridge.peak, x * ridge.bandwidth) / 1e9]);
  return draw(720, 440, {
    title: {
      text: 'One training step, against arithmetic and the bandwidth of the last cache',
      textStyle: { fontSize: 14 },
    },
    grid: { left: 70, right: 40, top: 60, bottom: 60 },
    xAxis: {
      type: 'log',
      logBase: 2,
      name: 'operations a byte',
      nameLocation: 'middle',
      nameGap: 28,
      min: 0.25,
      max: 512,
    },
    yAxis: { type: 'log', name: 'GFLOP/s', min: 1 },
    series: [
      { type: 'line', data: roof, symbol: 'none', lineStyle: { color: '#888888' } },
      {
        type: 'scatter',
        symbolSize: 10,
        itemStyle: { color: '#2f6db5' },
        label: { show: true, position: 'bottom', formatter: ({ name }: { name: string }) => name },
        data: points.map(({ name, intensity, rate, share }) => ({
          name: `${name} (${percent(share)})`,
          value: [intensity, rate / 1e9],
        })),
      } as never,
    ],
  });
}

measureWorkloads();
const widths = measureLines('width, batch 128', [32, 64, 128, 256, 512, 1024, 2048], (width) =>
  net(width, 128),
);
const batches = measureLines('batch, width 512', [1, 4, 16, 64, 256, 1024], (batch) => net(512, batch));
const folder = new URL('./results/', import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(
  new URL('scaling.svg', folder),
  drawLines([
    { title: 'A step of width-width-width-10, batch 128', axis: 'width', lines: widths },
    { title: 'A step of 512-512-512-10', axis: 'batch', lines: batches },
  ]),
);
writeFileSync(new URL('roofline.svg', folder), drawRoofline());
