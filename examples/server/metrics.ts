/** What Prometheus is told. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Pupils } from './learner.ts';

export class Metrics {
  readonly registry = new Registry();
  private readonly registers = [this.registry];
  private readonly requests: Counter<'route' | 'status'>;
  private readonly seconds: Histogram<'route'>;

  /** @param backlog how many examples no round has taken yet */
  constructor(observed: Pupils, backlog: () => number) {
    const { registers } = this;
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
    this.gauge('houses_examples_waiting', 'Examples that no round has taken yet', backlog);
    this.observeTraining(observed);
    this.observePredictor(observed);
  }

  /** @param status of the answer; 499 where the client did not wait for one */
  count(route: string, status: number, milliseconds: number): void {
    this.requests.inc({ route, status });
    this.seconds.observe({ route }, milliseconds / 1000);
  }

  private observeTraining(observed: Pupils): void {
    const now = () => observed.training;
    const age = () => (now().version === 0 ? null : (Date.now() - now().madeAt) / 1000);
    this.gauge('houses_version', 'Of what is served, 0 before the first', () => now().version);
    this.gauge('houses_version_age_seconds', 'Since it was made', age);
    this.gauge('houses_version_error', 'On what is held out, of log price', () => now().error);
    this.gauge('houses_training', '1 while a round is trained', () => Number(now().phase === 'training'));
    this.gauge('houses_training_loss', 'Of the latest epoch', () => now().loss);
    this.counter('houses_rounds_total', 'Rounds', () => now().rounds);
    this.counter('houses_rounds_rejected_total', 'Rounds that made nothing better', () => now().rejected);
    this.counter('houses_rounds_failed_total', 'Rounds that failed', () => now().failed);
    const fault = () => Number(now().faults.checkpoint !== null);
    this.gauge('houses_checkpoint_fault', '1 where the latest version could not be kept', fault);
  }

  private observePredictor(observed: Pupils): void {
    const now = () => observed.predictor?.stats();
    const counts = ['answered', 'examples', 'batches', 'refused', 'timedOut', 'aborted', 'failed'] as const;
    for (const count of counts) {
      const name = count.replace(/[A-Z]/, (letter) => `_${letter.toLowerCase()}`);
      this.counter(`houses_predictor_${name}_total`, `Predictor: ${count}`, () => now()?.[count] ?? 0);
    }
    this.gauge('houses_predictor_waiting', 'Predictor: waiting', () => now()?.waiting ?? 0);
    new Gauge({
      name: 'houses_predictor_latency_seconds',
      help: 'Predictor: from request to answer',
      labelNames: ['quantile'],
      registers: this.registers,
      collect() {
        const { p50 = Number.NaN, p90 = Number.NaN, p99 = Number.NaN } = now()?.latency ?? {};
        for (const [quantile, milliseconds] of Object.entries({ 0.5: p50, 0.9: p90, 0.99: p99 }))
          this.set({ quantile }, milliseconds / 1000);
      },
    });
  }

  /** @param value looked up when it is asked for; null where there is none yet */
  private gauge(name: string, help: string, value: () => number | null): void {
    const { registers } = this;
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value() ?? Number.NaN);
      },
    });
  }

  private counter(name: string, help: string, value: () => number): void {
    const { registers } = this;
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(value());
      },
    });
  }
}
