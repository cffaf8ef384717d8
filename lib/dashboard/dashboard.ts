/** The dashboard: options, what it shows, the server's life. */
import { checkBoolean, describe, readOptions } from '../arguments.ts';
import { type Path, pathOf } from '../files/disk.ts';
import { ArgumentError, FileError } from '../index.ts';
import { builtin, warn } from '../platform.ts';
import { type RecordOptions, type RunLog, recorder, recordOptions } from '../runs/recorder.ts';
import { type Entry, RunsOnDisk } from './folder.ts';
import { LiveRuns } from './live.ts';
import { Board, type Listed, type Source } from './server.ts';
import type { View } from './view.ts';

type Server = import('node:http').Server;
type AddressInfo = import('node:net').AddressInfo;
type Socket = import('node:net').Socket;

/** Options of `dashboard`. */
export interface DashboardOptions extends RecordOptions {
  /** The port that is listened at. Default 0, which is one that is free. */
  port?: number;
  /** The address. Default '127.0.0.1', which programs of this machine alone reach; '0.0.0.0' is reached from everywhere. */
  host?: string;
  /** The runs that `runFolder` writes there are shown too. Default: none. */
  folder?: Path;
  /** What trainings with this callback are called. Default: their model's label. */
  name?: string;
  /** Whether those who have the whole `url` may stop trainings. Default false. */
  stop?: boolean;
  /** What `url` has in it then, 16 letters, digits, '-' and '_' or more. Default: another one each time. */
  token?: string;
}

/** A callback whose trainings are shown on a page, and the page's server. */
export interface Dashboard extends RunLog {
  /** Where the page is. With `stop` it ends with the token. */
  readonly url: string;
  /** Ends the server, and all connections with it. */
  close(): Promise<void>;
}

const op = 'dashboard';
const optionNames = ['port', 'host', 'folder', 'name', 'stop', 'token', ...recordOptions] as const;
/** After how many milliseconds a run that says nothing is no longer taken for one that goes on. */
const patience = 60_000;
/** For how long those who are connected may take the rest, in milliseconds. */
const grace = 200;

/**
 * Serves a page of trainings, live: losses and metrics by batch and epoch, learning rate, speed, memory, norms and histograms,
 * images, confusion matrices, the model and how it ended.
 *
 *     const board = await dashboard({ port: 8080, folder: 'runs' });
 *     console.log(board.url);
 *     await fit(model, data, { ...options, callbacks: [board] });
 *     await board.close();
 *
 * It shows the trainings that it is a callback of, and the runs of `folder`, also while they grow. The page asks nobody else for
 * anything. Without a training the server keeps the process; once it is a callback, the process ends when nothing else is left
 * to do. Long curves are shown by the extremes of stretches, 2,000 points at most (500 of norms); of images and histograms
 * there are 40 steps. No page holds up a training, and what fails here after its beginning ends none.
 * @throws ArgumentError for options out of their domains, and for an address that cannot be listened at (as its port is in use:
 *   the system's error is the `cause`); FileError on a host without node:http. `fit` throws ClosedError where it was closed before.
 */
export async function dashboard(options: DashboardOptions = {}): Promise<Dashboard> {
  const own = readOptions(op, options, optionNames);
  const { port = 0, host = '127.0.0.1', folder, name, stop = false, token, ...rates } = own;
  if (!(Number.isInteger(port) && port >= 0 && port < 2 ** 16)) {
    throw new ArgumentError(`[${op}] expected port to be an integer from 0 to 65535, got ${describe(port)}`);
  }
  checkText('host', host);
  if (name !== undefined) checkText('name', name);
  checkBoolean(op, 'stop', stop);
  if (token !== undefined) checkToken(token, stop);
  const path = folder === undefined ? undefined : pathOf(op, folder);
  const [http, crypto] = [builtin('node:http'), builtin('node:crypto')];
  if (http === undefined || crypto === undefined) {
    throw new FileError(`[${op}] expected a host with node:http, got one without it`);
  }
  const server = http.createServer();
  const sockets = new Set<Socket>();
  let keeps = true;
  server.on('connection', (socket) => {
    sockets.add(socket.on('close', () => sockets.delete(socket)));
    if (!keeps) socket.unref();
  });
  const live = new LiveRuns(name, () => {
    keeps = false;
    for (const one of [server, ...sockets]) one.unref();
  });
  const log = recorder(op, rates, live);
  const secret = stop ? (token ?? crypto.randomBytes(18).toString('base64url')) : undefined;
  const digest = (text: string) => crypto.createHash('sha256').update(text).digest();
  const isToken = secret && ((given: string) => crypto.timingSafeEqual(digest(given), digest(secret)));
  const source = sourceOf(live, path === undefined ? undefined : new RunsOnDisk(path), stop);
  const isLoopback = /^(localhost|::1|127(\.\d+){3})$/.test(host);
  const board = new Board({ source, isToken: isToken || undefined, isLoopback });
  board.attach(server);
  const address = await listen(server, host, port);
  server.on('error', (error) => warn(`[${op}] its server failed`, 'AXPY_DASHBOARD', error.message));
  const url = `http://${nameOf(host, address)}:${address.port}/${secret === undefined ? '' : `#${secret}`}`;
  let closed: Promise<void> | undefined;
  return Object.assign(log, {
    url,
    close() {
      live.close();
      board.close();
      closed ??= new Promise<void>((resolve) => {
        // What was said arrives first, where anybody listens. A program that waits for this is not over.
        const timer = setTimeout(() => server.closeAllConnections(), grace);
        server.close(() => {
          clearTimeout(timer);
          resolve();
        });
      });
      return closed;
    },
  });
}

function checkText(name: string, text: unknown): void {
  if (typeof text === 'string' && text !== '') return;
  throw new ArgumentError(`[${op}] expected ${name} to be a string, got ${describe(text)}`);
}

function checkToken(token: unknown, stop: boolean): void {
  if (!stop) throw new ArgumentError(`[${op}] expected no token without stop: true, got ${describe(token)}`);
  if (typeof token === 'string' && /^[\w-]{16,}$/.test(token)) return;
  // Not what was given, which may be nearly the right one.
  throw new ArgumentError(
    `[${op}] expected token to be 16 letters, digits, - and _ or more, got something else`,
  );
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const error = new ArgumentError(
        `[${op}] expected a host and a port to listen at, got ${describe(host)} and ${port}: ${cause.message}`,
      );
      reject(Object.assign(error, { cause }));
    });
    server.listen(port, host, () => {
      server.removeAllListeners('error');
      resolve(server.address() as AddressInfo);
    });
  });
}

/** By which name a browser finds it: an address that means all of this machine's is none. */
function nameOf(host: string, { address, family }: AddressInfo): string {
  const isAny = address === '0.0.0.0' || address === '::';
  if (isAny) return builtin('node:os')?.hostname() ?? 'localhost';
  return family === 'IPv6' && host === address ? `[${address}]` : host;
}

/** Trainings of this program, and runs of a folder. */
function sourceOf(live: LiveRuns, disk: RunsOnDisk | undefined, mayStop: boolean): Source {
  return {
    list() {
      const [own, others] = [[...live.runs], disk?.entries ?? new Map<string, Entry>()];
      // A training that is written to the folder as well is one.
      const twins = new Set<string>();
      for (const [, run] of own) {
        const twin = twinOf(run.view, others.values());
        if (twin === undefined) continue;
        twins.add(twin.name);
        if (run.name !== twin.name) {
          run.name = twin.name;
          run.view.info = twin.info!;
        }
      }
      const listed = own.map(([id, { view, name, context }]) =>
        listedLive(id, name, view, context !== undefined && mayStop),
      );
      for (const entry of others.values()) if (!twins.has(entry.name)) listed.push(listedEntry(entry));
      return listed.sort((a, b) => b.created - a.created);
    },
    view: (id) => live.runs.get(id)?.view ?? disk?.entries.get(id)?.view,
    image: async (id, file) => live.image(id, file) ?? (await disk?.image(id, file)),
    stop: (id) => live.stop(id),
    look: async (chosen) => await disk?.look(chosen),
  };
}

/** The run on disk that is a training of this program: of the same model, begun at the same time. */
function twinOf({ info: own }: View, entries: Iterable<Entry>): Entry | undefined {
  let twin: Entry | undefined;
  let least = 1000;
  for (const entry of entries) {
    if (entry.info?.model.summary !== own.model.summary) continue;
    const apart = Math.abs(entry.info.began - own.began);
    if (apart < least) [twin, least] = [entry, apart];
  }
  return twin;
}

function listedLive(id: string, name: string, { info, end }: View, canStop: boolean): Listed {
  const state = end?.outcome ?? 'running';
  return { id, name, created: info.created, model: info.model.label, state, isLive: true, canStop };
}

function listedEntry({ name, info, problem, end, grown }: Entry): Listed {
  const rest = { isLive: false, canStop: false, ...(problem === undefined ? {} : { problem }) };
  if (info === undefined) return { id: name, name, created: 0, model: '', state: 'unreadable', ...rest };
  const isSilent = Date.now() - grown > patience;
  const state = end?.outcome ?? (isSilent ? 'silent' : 'running');
  return { id: name, name, created: info.created, model: info.model?.label ?? '', state, ...rest };
}
