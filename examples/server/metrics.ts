/** What Prometheus is told. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Pupils } from './learner.ts';

export class Metrics {
  readonly registry = new Registry();
  private readonly requests: Counter<'route' | 'status'>;
  private readonly seconds: Histogram<'route'>;

  /** @param backlog how many examples no round has taken yet */
  constructor(observed: Pupils, backlog: () => number) {
    const registers = [this.registry];
    // With the delay of the event loop, memory and the garbage collector.
    collectDefaultMetrics({ register: this.registry });
    this.requests = new Counter({
      name: 'http_requests_total',
      help: 'Answers, by route and status; 499 for clients that left',
      labelNames: ['route', 'status'],
      registers,
    });
    this.seconds = new Histogram({
      name: 'http_request_duration_seconds',
      help: 'From the head of a request to the end of its answer',
      labelNames: ['route'],
      buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
      registers,
    });
    const gauge = (name: string, help: string, value: () => number | null) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(value() ?? Number.NaN);
        },
      });
    gauge(
      'houses_version',
      'The version that is served, 0 before the first',
      () => observed.training.version,
    );
    gauge('houses_version_age_seconds', 'Since that version was made', () =>
      observed.training.version === 0 ? null : (Date.now() - observed.training.madeAt) / 1000,
    );
    gauge(
      'houses_version_error',
      'Its error on what is held out, of log price',
      () => observed.training.error,
    );
    gauge('houses_training', '1 while a round is trained', () =>
      Number(observed.training.phase === 'training'),
    );
    gauge('houses_training_loss', 'Of the latest epoch', () => observed.training.loss);
    gauge('houses_training_rounds', 'Rounds since the process began', () => observed.training.rounds);
    gauge('houses_training_rejected', 'Rounds that made nothing better', () => observed.training.rejected);
    gauge('houses_training_failed', 'Rounds that failed', () => observed.training.failed);
    gauge('houses_examples_waiting', 'Examples that no round has taken yet', backlog);
    gauge('houses_checkpoint_fault', '1 where the latest version could not be kept', () =>
      Number(observed.training.faults.checkpoint !== null),
    );
    const counts = [
      'answered',
      'examples',
      'batches',
      'refused',
      'timedOut',
      'aborted',
      'failed',
      'waiting',
    ] as const;
    for (const name of counts) {
      const label = name.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`);
      gauge(
        `houses_predictor_${label}`,
        `Predictor.stats().${name}`,
        () => observed.predictor?.stats()[name] ?? null,
      );
    }
    new Gauge({
      name: 'houses_predictor_latency_seconds',
      help: 'Predictor.stats().latency',
      labelNames: ['quantile'],
      registers,
      collect() {
        const { latency } = observed.predictor?.stats() ?? {};
        if (latency === undefined) return;
        for (const [quantile, value] of [
          ['0.5', latency.p50],
          ['0.9', latency.p90],
          ['0.99', latency.p99],
        ] as const)
          this.set({ quantile }, value / 1000);
      },
    });
  }

  /** @param status of the answer; 499 where the client did not wait for one */
  count(route: string, status: number, milliseconds: number): void {
    this.requests.inc({ route, status });
    this.seconds.observe({ route }, milliseconds / 1000);
  }
}
