/**
 * One binary on one platform: writes to the file that it is given, as JSON, what the addon of this process (AXPY_BINARY)
 * makes of the contract's calls beside the fallback, of every case's gradient, and of a training whose losses another
 * platform must give as well. To a file, as some programs that run others' binaries lose what is printed.
 */
import { writeFileSync } from 'node:fs';
import * as axpy from '../../lib/index.ts';
import { fallback } from '../../lib/kernels/fallback/index.ts';
import { kernels } from '../../lib/kernels/index.ts';
import { declarations } from '../cases/index.ts';
import { inputsOf } from '../cases/values.ts';
import { recordDeclaration, replay } from '../contract/call.ts';
import { compareWithin, showCall } from '../contract/compare.ts';

export interface Report {
  backend: axpy.BackendInfo;
  versions: string;
  calls: number;
  gradients: number;
  /** By network: the losses of a training. */
  losses: Record<string, number[]>;
  problems: string[];
  seconds: number;
}

const start = performance.now();
const problems: string[] = [];
axpy.setThreads(2);

let calls = 0;
for (const declaration of declarations) {
  for (const call of recordDeclaration(kernels, declaration)) {
    calls++;
    const problem = compareWithin(call, replay(fallback, call), replay(kernels, call));
    if (problem !== null) problems.push(`${declaration.op}: ${problem}\n${showCall(call)}`);
  }
}

let gradients = 0;
for (const { op, cases } of declarations) {
  for (const c of cases) {
    if ((c.gradient ?? 'smooth') !== 'smooth') continue;
    gradients++;
    const inputs = inputsOf(op, c, 'float64');
    const wanting = inputs.filter((x) => x.requiresGrad);
    const { ok, maxError, worst } = axpy.gradCheck(() => c.run(...inputs), wanting);
    if (!ok) problems.push(`${op}, ${c.name}: gradient off by ${maxError} at ${JSON.stringify(worst)}`);
  }
}

// Products of many terms, in blocks as the core type has them. Of whole numbers, so that all sums are exact.
for (const Floats of [Float32Array, Float64Array]) {
  for (const [m, n, k] of [
    [64, 64, 300],
    [64, 64, 511],
    [5, 7, 1025],
    [200, 130, 1500],
    [1, 64, 2048],
    [64, 1, 2048],
  ]) {
    for (const [transposeA, transposeB] of [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ] as const) {
      const a = new Floats(m * k).map((_, i) => (i % 7) - 3);
      const b = new Floats(k * n).map((_, i) => (i % 5) - 2);
      const [own, other] = [new Floats(m * n), new Floats(m * n)];
      kernels.gemm(own, a, b, null, 1, m, n, k, transposeA, transposeB, 0, 0, -1, 0, null);
      fallback.gemm(other, a, b, null, 1, m, n, k, transposeA, transposeB, 0, 0, -1, 0, null);
      calls++;
      if (own.some((value, i) => value !== other[i])) {
        problems.push(`${Floats.name}: the product of ${m}x${n}x${k}, ${transposeA}${transposeB} is wrong`);
      }
    }
  }
}

/** Three epochs of a network on 256 examples that follow a rule. */
async function train(model: axpy.Layer, shape: number[], dtype: axpy.FloatDtype): Promise<number[]> {
  const x = axpy.randn([256, ...shape], { dtype });
  const sums = x.reshape([256, -1]).sum([1]);
  const y = axpy.tensor(Int32Array.from(sums.data as Float32Array, (sum) => (sum > 0 ? 1 : 0)));
  const optimizer = new axpy.Adam(model.parameters(), { learningRate: 0.01 });
  const options = { loss: 'softmaxCrossEntropy', optimizer, epochs: 3, batchSize: 32, seed: 2 } as const;
  const { epochs } = await axpy.fit(model, { x, y }, options);
  return epochs.map(({ loss }) => loss);
}

axpy.seed(1);
const losses: Report['losses'] = {};
for (const dtype of ['float32', 'float64'] as const) {
  const dense = new axpy.Sequential([
    new axpy.Dense(20, 64, { activation: 'tanh', dtype }),
    new axpy.Dense(64, 2, { dtype }),
  ]);
  losses[`dense ${dtype}`] = await train(dense, [20], dtype);
  const convolutional = new axpy.Sequential([
    new axpy.Conv2D(3, 16, 3, { padding: 'same', dtype }),
    new axpy.BatchNorm(16, { activation: 'relu', dtype }),
    new axpy.MaxPool2D(2),
    new axpy.Flatten(),
    new axpy.Dense(16 * 36, 2, { dtype }),
  ]);
  losses[`convolutional ${dtype}`] = await train(convolutional, [12, 12, 3], dtype);
}

const report: Report = {
  backend: axpy.backendInfo(),
  versions: JSON.stringify(process.versions),
  calls,
  gradients,
  losses,
  problems,
  seconds: (performance.now() - start) / 1000,
};
writeFileSync(process.argv[2], JSON.stringify(report));
