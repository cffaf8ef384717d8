/** Scenes of threads.test.ts: a model is trained in one thread and predicts in another. Each is a process of its own. */
import { once } from 'node:events';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';
import {
  compile,
  Layer,
  Parameter,
  Predictor,
  Publication,
  type PublicationHandle,
  type Tensor,
} from '../../lib/index.ts';

/** All of its numbers are the number of the step, and the answer adds up six of them from different places. */
class Steps extends Layer {
  readonly parts = Array.from({ length: 6 }, () => new Parameter([128, 128]));
  forward(x: Tensor): Tensor {
    const sum = this.parts.map((part) => part.mean()).reduce((a, b) => a.add(b));
    return x.mul(0).add(sum);
  }
}

async function publishes(): Promise<void> {
  const model = new Steps();
  const publication = new Publication(model);
  const step = compile(() => {
    for (const part of model.parts) part.add_(1);
  });
  parentPort!.postMessage(publication.handle);
  let isOver = false;
  parentPort!.once('message', () => {
    isOver = true;
  });
  while (!isOver) {
    for (let i = 0; i < 3; i++) await step();
    await publication.publish();
    await new Promise((resolve) => setImmediate(resolve));
  }
  parentPort!.postMessage(publication.version);
}

async function ask(predictor: Predictor<Steps>, least: number): Promise<number[]> {
  const answers: number[] = [];
  const until = performance.now() + 20_000;
  while (new Set(answers).size < least && performance.now() < until) {
    const some = await Promise.all(Array.from({ length: 5 }, () => predictor.predict([[1]])));
    answers.push(...some.map((y) => y.item()));
  }
  return answers;
}

const scenes: Record<string, () => Promise<unknown>> = {
  async follows() {
    const worker = new Worker(new URL(import.meta.url));
    const [handle] = (await once(worker, 'message')) as [PublicationHandle];
    const predictor = new Predictor(new Steps(), { maxBatch: 2 });
    await predictor.follow(handle);
    const answers = await ask(predictor, 50);
    worker.postMessage('end');
    const [version] = await once(worker, 'message');
    const last = (await predictor.predict([[1]])).item();
    return { answers, version, last };
  },
  async goesOnAlone() {
    const predictor = new Predictor(new Steps());
    for (let i = 0; i < 3; i++) {
      const worker = new Worker(new URL(import.meta.url));
      const [handle] = (await once(worker, 'message')) as [PublicationHandle];
      await predictor.follow(handle);
      await ask(predictor, 5);
      await worker.terminate();
    }
    return (await ask(predictor, 1)).map((sum) => sum % 18);
  },
  /** How many of the publications that were followed are still held, and of predictors that nobody has any more. */
  async letsGo() {
    const kept = new Predictor(new Steps());
    const weak: WeakRef<object>[] = [];
    for (let i = 0; i < 10; i++) {
      const model = new Steps();
      const publication = new Publication(model);
      await publication.publish();
      await kept.follow(publication.handle);
      const predictor = new Predictor(model);
      await predictor.predict([[1]]);
      const parts = publication.handle.versions.map((version) => version['parts.0']);
      weak.push(
        ...parts.map(({ buffer }) => new WeakRef(buffer)),
        new WeakRef(predictor),
        new WeakRef(model),
      );
    }
    for (let i = 0; i < 10; i++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      gc!();
    }
    await kept.predict([[1]]);
    return weak.filter((one) => one.deref() !== undefined).length;
  },
  async refuses() {
    const predictor = new Predictor(new Steps());
    const { versions, state } = new Publication(new Steps()).handle;
    const [{ 'parts.0': one }] = versions;
    const wrong = [
      undefined,
      {},
      { versions, state: new SharedArrayBuffer(4) },
      { versions: [versions[0]], state },
    ];
    const others = [...wrong, { versions: [{ 'parts.0': one }, versions[1]], state }];
    const codes = others.map((handle) =>
      predictor.follow(handle as PublicationHandle).then(
        () => 'none',
        ({ code }) => code,
      ),
    );
    return await Promise.all(codes);
  },
};

if (isMainThread) console.log(JSON.stringify(await scenes[process.argv[2]]()));
else await publishes();
