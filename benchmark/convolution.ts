/**
 * Convolutions of well-known networks beside PyTorch (/usr/bin/python3, channels first and last) and oneDNN (where a
 * program can be compiled against it), in one run: the systems take turns, and the best time of each counts. Prints a
 * table in Markdown: GFLOP/s, the part of the limit that the machine's peak and bandwidth set, and how many times as
 * long the others take.
 *
 *     npm run bench:convolution -- [--only ResNet,7×7] [--part 1/3] [--rounds 3] [--times 5] [--alone]
 *                                    [--random 40 --seed 1]
 *
 * `--part` takes every third layer, from the first on; `--alone` leaves the others out; `--random` takes so many layers of
 * odd sizes instead.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { costOf, leastTime } from '../lib/kernels/cost.ts';
import { backendInfo, type Call, kernels, measureLimits, setThreads } from '../lib/kernels/index.ts';
import { type Layer, layers, operations, sideOfOutput } from './convolution/layers.ts';
import { randomLayers } from './convolution/random.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    part: { type: 'string', default: '1/1' },
    rounds: { type: 'string', default: '3' },
    times: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
    alone: { type: 'boolean', default: false },
    random: { type: 'string' },
    seed: { type: 'string', default: '1' },
  },
});
const times = Number(values.times);
const passes = ['output', 'gradient of the input', 'gradient of the weight'] as const;
type Pass = (typeof passes)[number];

interface System {
  name: string;
  /** Seconds of a pass, the best of `times`; 0 where it has none. */
  measure(layer: Layer, pass: Pass): Promise<number>;
  close(): void;
}

const random = (length: number) =>
  new Float32Array(new SharedArrayBuffer(4 * length)).map(() => Math.random() - 0.5);

function callsOf(layer: Layer): Record<Pass, Call> {
  const { batch, side, channels, outChannels, kernel, stride, padding, dilation, groups, flat } = layer;
  const out = sideOfOutput(layer);
  const [height, outHeight, kernelHeight, padTop] = flat ? [1, 1, 1, 0] : [side, out, kernel, padding];
  const geometry = Int32Array.of(
    ...[batch, height, side, channels, outHeight, out, outChannels, kernelHeight, kernel],
    ...[flat ? 1 : stride, stride, flat ? 1 : dilation, dilation, padTop, padding, groups],
  );
  const x = random(batch * height * side * channels);
  const y = random(batch * outHeight * out * outChannels);
  const weight = random((outChannels * kernelHeight * kernel * channels) / groups);
  const forward: Call = ['convolve', new Float32Array(y.length), x, weight, null, geometry, -1, 0, 1];
  const back: Call = ['convolveTransposed', new Float32Array(x.length), y, weight, null, geometry, -1, 0, 1];
  return {
    output: layer.transposed ? back : forward,
    'gradient of the input': layer.transposed ? forward : back,
    'gradient of the weight': [
      'convolveWeightGradient',
      new Float32Array(weight.length),
      x,
      y,
      geometry,
      1,
    ] as Call,
  };
}

/** The calls of a layer, until another is asked for. */
let current: { layer: Layer; calls: Record<Pass, Call> } | undefined;
function callOf(layer: Layer, pass: Pass): Call {
  if (current?.layer !== layer) current = { layer, calls: callsOf(layer) };
  return current.calls[pass];
}

const own: System = {
  name: 'axpy',
  async measure(layer, pass) {
    const [kernel, ...args] = callOf(layer, pass);
    const run = kernels[kernel] as (...args: unknown[]) => void;
    let best = Infinity;
    for (let i = 0; i <= times; i++) {
      const start = performance.now();
      run(...args);
      if (i > 0) best = Math.min(best, performance.now() - start);
    }
    return best / 1e3;
  },
  close() {},
};

/** A process that answers each line with a line. */
function answers(child: ChildProcess): (line: string) => Promise<number> {
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  return async (line) => {
    child.stdin?.write(`${line}\n`);
    const { value } = await lines.next();
    return Number(value);
  };
}

const env = { ...process.env, OMP_NUM_THREADS: values.threads };
const file = (name: string) => fileURLToPath(new URL(`./convolution/${name}`, import.meta.url));

function torch(channelsLast: boolean): System[] {
  if (spawnSync('/usr/bin/python3', ['-c', 'import torch']).status !== 0) return [];
  const child = spawn('/usr/bin/python3', [file('torch_layers.py')], {
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ask = answers(child);
  return [
    {
      name: channelsLast ? 'PyTorch, channels last' : 'PyTorch',
      measure: (layer, pass) =>
        ask(JSON.stringify({ layer: { ...layer, out: sideOfOutput(layer) }, channelsLast, pass, times })),
      close: () => child.kill(),
    },
  ];
}

function oneDnn(): System[] {
  const program = join(mkdtempSync(join(tmpdir(), 'axpy-')), 'onednn');
  try {
    execFileSync('g++', ['-O2', '-std=c++17', file('onednn.cc'), '-o', program, '-ldnnl'], {
      stdio: 'ignore',
    });
  } catch {
    return [];
  }
  const child = spawn(program, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const ask = answers(child);
  return [
    {
      name: 'oneDNN',
      async measure(layer, pass) {
        if (layer.flat || layer.dilation > 1) return 0;
        const { batch, side, channels, outChannels, kernel, stride, padding, groups, transposed } = layer;
        const index = passes.indexOf(pass);
        // The output of a transposed layer is the gradient of the input of a convolution, and the reverse.
        const which = transposed && index < 2 ? 1 - index : index;
        const sizes = [
          batch,
          side,
          channels,
          sideOfOutput(layer),
          outChannels,
          kernel,
          stride,
          padding,
          groups,
        ];
        return ask([which, times, ...sizes].join(' '));
      },
      close: () => child.kill(),
    },
  ];
}

setThreads(Number(values.threads));
const systems: System[] = [own, ...(values.alone ? [] : [...torch(false), ...torch(true), ...oneDnn()])];
const limits = measureLimits();
const { name, blas, simd, threads } = backendInfo();
console.log(
  `${name}, BLAS ${blas}, ${simd}, ${threads} threads; ${(limits.float32 / 1e9).toFixed(0)} GFLOP/s at most, ` +
    `${((limits.bandwidths.at(-1)?.rate ?? 0) / 1e9).toFixed(0)} GB/s from memory\n`,
);
const others = systems.slice(1).map((system) => system.name);
const heads = ['layer', 'pass', 'ms', 'GFLOP/s', 'of limit', ...others.map((other) => `${other}, ×`)];
console.log(`| ${heads.join(' | ')} |`);
console.log(`|---|---|${'---:|'.repeat(heads.length - 2)}`);
const [part, parts] = values.part.split('/').map(Number);
const all = values.random ? randomLayers(Number(values.random), Number(values.seed)) : layers;
const wanted = all.filter(
  (layer, i) =>
    i % parts === part - 1 && (values.only?.split(',').some((word) => layer.name.includes(word)) ?? true),
);
for (const layer of wanted) {
  for (const pass of passes) {
    const best = systems.map(() => Infinity);
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const [i, system] of systems.entries()) {
        best[i] = Math.min(best[i], await system.measure(layer, pass));
        // Threads of the others go on spinning for a while.
        if (systems.length > 1) await new Promise((resolve) => setTimeout(resolve, 4));
      }
    }
    const limit = leastTime(costOf(callOf(layer, pass)), limits);
    const cells = [
      pass === passes[0] ? layer.name : '',
      pass,
      (best[0] * 1e3).toFixed(2),
      (operations(layer) / best[0] / 1e9).toFixed(0),
      `${((100 * limit) / best[0]).toFixed(0)} %`,
      ...best.slice(1).map((time) => (time === 0 ? '–' : (time / best[0]).toFixed(2))),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
}
for (const system of systems) system.close();
