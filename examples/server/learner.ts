/** Where training happens: beside the server, on its event loop, or in a thread of its own. */
import { parentPort, workerData } from 'node:worker_threads';
import { type LayerConfig, layerFrom, Predictor, Publication, type PublicationHandle } from 'axpy';
import { startThread } from '../support/thread.ts';
import type { Example } from './examples.ts';
import type { HouseModel } from './houses.ts';
import { Trainer, type TrainerOptions, type TrainingState } from './trainer.ts';

/** The server's side of a training. */
export interface Learner {
  add(examples: readonly Example[]): void;
  /** Ends it. @returns when what it has learned is kept */
  stop(): Promise<void>;
}

/** What a learner changes. */
export interface Pupils {
  predictor: Predictor<HouseModel> | null;
  training: TrainingState;
}

/** Steps are computed off this thread, in between the event loop turns: requests are answered meanwhile. */
export function learnHere(options: TrainerOptions, pupils: Pupils): Learner {
  const controller = new AbortController();
  const trainer = new Trainer(options, {
    async onVersion(model) {
      if (pupils.predictor === null) pupils.predictor = predictorFor(model);
      else await pupils.predictor.update(model);
    },
    onState: (state) => {
      pupils.training = state;
    },
  });
  const done = trainer.run(controller.signal).catch((error) => fail(pupils, error));
  return {
    add: (examples) => trainer.add(examples),
    async stop() {
      controller.abort();
      await done;
    },
  };
}

/** There is no training any more. What was learned is served. */
function fail(pupils: Pupils, { message }: Error): void {
  const { training } = pupils;
  pupils.training = { ...training, phase: 'stopped', faults: { ...training.faults, round: message } };
}

export const predictorFor = (model: HouseModel) => new Predictor(model, { maxBatch: 64, timeout: 2000 });

// ── in a thread ─────────────────────────────────────────────────────────────────────────────────────────────────────

type News =
  | { readonly state: TrainingState }
  /** Of the first version that the thread has made. */
  | { readonly config: LayerConfig; readonly handle: PublicationHandle };

type Order = { readonly examples: readonly Example[] } | 'stop';

/** @param url of what the thread runs, which calls `learnInThread` */
export function learnThere(url: string, options: TrainerOptions, pupils: Pupils): Learner {
  const worker = startThread(url, options);
  const order = (what: Order) => worker.postMessage(what);
  let following: Promise<unknown> = Promise.resolve();
  worker.on('message', (news: News) => {
    if ('state' in news) pupils.training = news.state;
    else following = follow(pupils, news).catch((error) => fail(pupils, error));
  });
  worker.on('error', (error) => fail(pupils, error));
  const done = new Promise((resolve) => worker.once('exit', resolve));
  return {
    add: (examples) => order({ examples }),
    async stop() {
      order('stop');
      await done;
      await following;
    },
  };
}

async function follow(
  pupils: Pupils,
  { config, handle }: Extract<News, { config: LayerConfig }>,
): Promise<void> {
  const predictor = pupils.predictor ?? predictorFor(layerFrom(config) as HouseModel);
  await predictor.follow(handle);
  pupils.predictor = predictor;
}

/** What the thread does. */
export async function learnInThread(): Promise<void> {
  const port = parentPort!;
  const tell = (news: News) => port.postMessage(news);
  const controller = new AbortController();
  let published: { readonly model: HouseModel; readonly publication: Publication } | null = null;
  const trainer = new Trainer(workerData as TrainerOptions, {
    async onVersion(model) {
      const isFirst = published?.model !== model;
      if (published === null || isFirst) published = { model, publication: new Publication(model) };
      await published.publication.publish();
      if (isFirst) tell({ config: model.config as LayerConfig, handle: published.publication.handle });
    },
    onState: (state) => tell({ state }),
  });
  port.on('message', (order: Order) => {
    if (order === 'stop') controller.abort();
    else trainer.add(order.examples);
  });
  await trainer.run(controller.signal);
  port.close();
}
