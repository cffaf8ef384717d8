/** Scenes of threads.test.ts: threads and exits with runs in flight. Each is a process of its own. */
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import {
  Adam,
  compile,
  Dense,
  fit,
  type Layer,
  noGrad,
  randn,
  Sequential,
  seed,
  type Tensor,
  tensor,
} from '../../lib/index.ts';

interface Work {
  scene: string;
  shared?: ReturnType<Layer['share']>;
}

const network = (): Layer =>
  new Sequential([
    new Dense(64, 256, { activation: 'relu' }),
    new Dense(256, 256, { activation: 'relu' }),
    new Dense(256, 4),
  ]);

function start(work: Work): Worker {
  return new Worker(new URL(import.meta.url), { workerData: work });
}

async function train(model: Layer, epochs: number): Promise<void> {
  const data = { x: randn([512, 64]), y: tensor(Int32Array.from({ length: 512 }, (_, i) => i % 4)) };
  await fit(model, data, {
    loss: 'softmaxCrossEntropy',
    optimizer: new Adam(model.parameters()),
    epochs,
    batchSize: 128,
  });
}

const ones = () => Float32Array.from({ length: 64 }, () => 1);
const answer = (model: Layer): number[] =>
  noGrad(() => [...model.forward(tensor(ones(), { shape: [1, 64] })).data]);

const inWorker: Record<string, (work: Work) => Promise<void>> = {
  async trains() {
    seed(4);
    const model = network();
    await train(model, 5);
    parentPort!.postMessage(answer(model));
  },
  async trainsForEver() {
    const model = network();
    parentPort!.postMessage('begin');
    await train(model, 1e6);
  },
  async serves({ shared }) {
    const model = network();
    model.attach(shared!);
    const serve = compile((x: Tensor) => noGrad(() => model.forward(x)));
    parentPort!.on('message', async () => {
      const y = await serve(tensor(ones(), { shape: [1, 64] }));
      parentPort!.postMessage([...y.data]);
      parentPort!.close();
    });
    parentPort!.postMessage('ready');
  },
};

const scenes: Record<string, () => Promise<unknown>> = {
  async together() {
    const workers = [1, 2, 3].map(() => start({ scene: 'trains' }));
    seed(4);
    const model = network();
    const [, ...others] = await Promise.all([
      train(model, 5),
      ...workers.map((worker) => once(worker, 'message')),
    ]);
    return [answer(model), ...others.map((message) => (message as unknown[])[0])];
  },
  async share() {
    const model = network();
    const worker = start({ scene: 'serves', shared: model.share() });
    await once(worker, 'message');
    await train(model, 3);
    worker.postMessage('answer');
    const [theirs] = await once(worker, 'message');
    return [answer(model), theirs];
  },
  async terminate() {
    for (let round = 0; round < 8; round++) {
      const workers = [start({ scene: 'trainsForEver' }), start({ scene: 'trainsForEver' })];
      await Promise.all(workers.map((worker) => once(worker, 'message')));
      await new Promise((resolve) => setTimeout(resolve, 5 * round));
      await Promise.all(workers.map((worker) => worker.terminate()));
    }
    return answer(network()).length;
  },
  async exit() {
    void train(network(), 1e6);
    setTimeout(() => process.exit(7), 150);
    await new Promise(() => {});
  },
  async transfer() {
    const f = compile((x: Tensor) => x.mul(2));
    const x = tensor(ones());
    await f(x);
    const running = [f(x), f(x), f(x)];
    structuredClone(x.data, { transfer: [x.data.buffer as ArrayBuffer] });
    const sums = (await Promise.all(running)).map((y) => y.sum().item());
    const error = await f(x).catch((reason) => reason.code);
    return [...sums, error];
  },
};

if (isMainThread) {
  const scene = process.argv[2];
  console.log(JSON.stringify(await scenes[scene]()));
} else {
  const work = workerData as Work;
  await inWorker[work.scene](work);
}
