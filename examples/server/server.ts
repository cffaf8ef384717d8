/** The routes: what is asked over HTTP, of whom, and what is answered. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { ExampleLog } from './examples.ts';
import { readHouses, readSales } from './houses.ts';
import { Refusal, readJson, refusalOf, unavailable } from './http.ts';
import type { Learner, Pupils } from './learner.ts';
import { Metrics } from './metrics.ts';

/** What there is to answer with. */
export interface Service extends Pupils {
  /** null while the process starts, as is the learner. */
  readonly log: ExampleLog | null;
  readonly learner: Learner | null;
  isStopping: boolean;
}

export interface Limits {
  /** Of a body, in bytes. */
  body: number;
  /** Examples that wait for a round. */
  backlog: number;
}

/** What is answered, with 200 where nothing else is said. */
interface Answer {
  readonly status?: number;
  readonly type?: string;
  readonly body: unknown;
}

type Route = (request: IncomingMessage, signal: AbortSignal) => Promise<Answer>;

export function serverOf(service: Service, limits: Limits): Server {
  const received = () => service.log?.last ?? service.training.seen;
  const backlog = () => received() - service.training.seen;
  const metrics = new Metrics(service, backlog);

  const health = () => {
    const { predictor, training, isStopping } = service;
    const { version, madeAt, faults } = training;
    const isFaulty = faults.round !== null || faults.checkpoint !== null;
    return {
      status: isStopping ? 'stopping' : isFaulty ? 'degraded' : 'ok',
      ready: predictor !== null && !isStopping,
      version,
      age: version === 0 ? null : (Date.now() - madeAt) / 1000,
      examples: { received: received(), waiting: backlog() },
      training,
    };
  };

  const routes: Readonly<Record<string, Readonly<Record<string, Route>>>> = {
    '/predict': {
      async POST(request, signal) {
        const houses = readHouses(await readJson(request, limits.body));
        const { predictor } = service;
        if (predictor === null) throw unavailable('there is no version yet: it wants more examples');
        const prices = await predictor.predict(houses, { signal });
        return { body: { prices: Array.from(prices.data as Float32Array) } };
      },
    },
    '/examples': {
      async POST(request) {
        const sales = readSales(await readJson(request, limits.body));
        const { log, learner } = service;
        if (log === null || learner === null) throw unavailable('the server starts');
        if (backlog() + sales.length > limits.backlog)
          throw unavailable(`expected at most ${limits.backlog} examples to wait, got more`, 5);
        const examples = await log.append(sales).catch((error) => {
          throw unavailable(`the examples could not be kept: ${error.code}`, 5);
        });
        learner.add(examples);
        return { status: 202, body: { received: examples.length } };
      },
    },
    '/health': { GET: async () => ({ body: health() }) },
    '/health/ready': {
      async GET() {
        const body = health();
        return { status: body.ready ? 200 : 503, body };
      },
    },
    '/metrics': {
      async GET() {
        const { registry } = metrics;
        return { type: registry.contentType, body: await registry.metrics() };
      },
    },
  };

  const answerTo = async (request: IncomingMessage, signal: AbortSignal): Promise<Answer> => {
    const path = pathOf(request);
    if (!Object.hasOwn(routes, path)) throw new Refusal(404, `there is no ${path.slice(0, 100)}`);
    const { [path]: route } = routes;
    const { method = '' } = request;
    if (Object.hasOwn(route, method)) return await route[method](request, signal);
    throw new Refusal(405, `expected ${path} to be asked by ${Object.keys(route)}, got ${method}`, {
      Allow: Object.keys(route).join(', '),
    });
  };

  return createServer({ requestTimeout: 10_000 }, (request, response) => {
    const since = performance.now();
    // A client that leaves wants no answer.
    const controller = new AbortController();
    response.once('close', () => {
      const path = pathOf(request);
      const isWhole = response.writableFinished;
      if (!isWhole) controller.abort();
      metrics.count(
        Object.hasOwn(routes, path) ? path : 'other',
        isWhole ? response.statusCode : 499,
        performance.now() - since,
      );
    });
    answerTo(request, controller.signal).then(
      (answer) => send(response, answer, service.isStopping),
      (error) => {
        if (controller.signal.aborted) return;
        const refusal = refusalOf(error);
        if (refusal === null) console.error(error);
        const { status, message, headers } = refusal ?? new Refusal(500, 'something went wrong here');
        for (const [name, value] of Object.entries(headers)) response.setHeader(name, value!);
        send(response, { status, body: { error: message } }, service.isStopping);
      },
    );
  });
}

const pathOf = ({ url = '/' }: IncomingMessage) => url.split('?', 1)[0];

function send(response: ServerResponse, { status = 200, type, body }: Answer, isLast: boolean): void {
  // Who asks again over the same connection would never be done with.
  if (isLast) response.setHeader('Connection', 'close');
  response.writeHead(status, { 'Content-Type': type ?? 'application/json' });
  response.end(type === undefined ? JSON.stringify(body) : body);
  // What is left of a body that was refused.
  response.req.resume();
}
