/** The server of the page: what it answers, to whom, and how it tells pages what is new. */
import { later, warn } from '../platform.ts';
import { page, script, style } from './built.js';
import { type Known, nothingKnown, type View } from './view.ts';

type Server = import('node:http').Server;
type IncomingMessage = import('node:http').IncomingMessage;
type ServerResponse = import('node:http').ServerResponse;

/** A run among others. */
export interface Listed {
  readonly id: string;
  readonly name: string;
  readonly created: number;
  /** What it trains, and how far it is. */
  readonly model: string;
  readonly state: 'running' | 'silent' | 'finished' | 'stopped' | 'aborted' | 'failed' | 'unreadable';
  /** Of this program. */
  readonly isLive: boolean;
  readonly canStop: boolean;
  readonly problem?: string;
}

/** What there is to show. */
export interface Source {
  list(): readonly Listed[];
  view(id: string): View | undefined;
  image(id: string, file: string): Promise<Uint8Array | undefined>;
  stop(id: string): boolean;
  /** Learns what is new, of those runs above all that somebody looks at. */
  look(chosen: ReadonlySet<string>): Promise<void>;
}

export interface Site {
  readonly source: Source;
  /** Whose bearer may stop trainings; undefined where nobody may. */
  isToken: ((token: string) => boolean) | undefined;
  /** Whether only names of this machine are answered, as others may be a stranger's page's. */
  readonly isLoopback: boolean;
}

/** Milliseconds from one look to the next while a page is open; after how many a page that takes nothing is given up. */
const [interval, patience, silence] = [500, 60_000, 15_000];
/** How many pages may be open, and how many runs each may have chosen. */
const [mostPages, mostChosen] = [64, 64];

const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
  'cache-control': 'no-store',
};

const icon =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path d="M1 2c3 12 8 11 14 11" fill="none" ' +
  'stroke="#0072b2" stroke-width="2.5" stroke-linecap="round"/></svg>';
const files: Readonly<Record<string, readonly [type: string, text: string]>> = {
  '/': ['text/html; charset=utf-8', page],
  '/page.js': ['text/javascript; charset=utf-8', script],
  '/page.css': ['text/css; charset=utf-8', style],
  '/icon.svg': ['image/svg+xml', icon],
};

/** An open page. However slow it is, nothing waits for it: what it is told is what is new by then. */
class Page {
  private readonly known = new Map<string, Known>();
  private list = '';
  private heard = performance.now();

  constructor(
    readonly chosen: readonly string[],
    private readonly response: ServerResponse,
  ) {}

  tell(source: Source, list: string): void {
    const now = performance.now();
    if (this.response.writableNeedDrain) {
      if (now - this.heard > patience) this.response.destroy();
      return;
    }
    if (list !== this.list) this.say('runs', list, now);
    this.list = list;
    for (const id of this.chosen) {
      const view = source.view(id);
      if (view === undefined) continue;
      const known = this.known.get(id) ?? nothingKnown();
      this.known.set(id, known);
      const news = view.news(known);
      if (news !== undefined) this.say('run', JSON.stringify({ id, ...news }), now);
    }
    if (now - this.heard > silence) this.say('', '', now);
  }

  end(): void {
    this.response.end();
  }

  private say(event: string, data: string, now: number): void {
    this.heard = now;
    this.response.write(event === '' ? ':\n\n' : `event: ${event}\ndata: ${data}\n\n`);
  }
}

export class Board {
  private readonly pages = new Set<Page>();
  private isLooking = false;
  private warned = '';
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly site: Site) {}

  /** Answers requests from now on. */
  attach(server: Server): void {
    server.on('request', (request, response) => {
      this.answer(request, response).catch(() => {
        if (response.headersSent) response.destroy();
        else send(response, 500, 'text/plain', 'something went wrong');
      });
    });
  }

  /** Says no more to the pages. */
  close(): void {
    clearTimeout(this.timer);
    for (const one of this.pages) one.end();
    this.pages.clear();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { source, isLoopback } = this.site;
    const said = (status: number, text: string) => send(response, status, 'text/plain', text);
    request.resume();
    if (isLoopback && !isOfThisMachine(request.headers.host)) return said(403, 'another host was asked for');
    const url = URL.canParse(request.url ?? '', 'http://x') ? new URL(request.url!, 'http://x') : undefined;
    if (url === undefined) return said(400, 'no such address');
    const { pathname, searchParams } = url;
    const [run, name] = [searchParams.get('run') ?? '', searchParams.get('name') ?? ''];
    if (pathname === '/stop') {
      const refusal = this.refusal(request);
      if (refusal !== undefined) return said(...refusal);
      return source.stop(run) ? said(202, 'it stops after this step') : said(409, 'no such training goes on');
    }
    if (request.method !== 'GET') return said(405, 'only GET is answered');
    if (pathname === '/events') return this.open(searchParams.getAll('run'), response);
    if (pathname === '/histograms') {
      const view = source.view(run);
      if (view === undefined) return said(404, 'no such run');
      return send(response, 200, 'application/json', JSON.stringify(view.distributionsOf(name)));
    }
    if (pathname === '/image') {
      const bytes = await source.image(run, name);
      return bytes === undefined ? said(404, 'no such image') : send(response, 200, 'image/png', bytes);
    }
    return Object.hasOwn(files, pathname)
      ? send(response, 200, ...files[pathname])
      : said(404, 'no such page');
  }

  /** Why a request may not stop a training: pages of others cannot have the token, nor send such a header unasked. */
  private refusal({ method, headers }: IncomingMessage): [status: number, text: string] | undefined {
    const { isToken } = this.site;
    if (isToken === undefined) return [403, 'nobody may stop trainings here'];
    if (method !== 'POST') return [405, 'only POST is answered'];
    const { origin, host, authorization = '' } = headers;
    const own = [`http://${host}`, `https://${host}`];
    if (origin !== undefined && !own.includes(origin)) return [403, 'another page asks'];
    return isToken(authorization.replace(/^Bearer /, '')) ? undefined : [403, 'not the token'];
  }

  private open(chosen: readonly string[], response: ServerResponse): void {
    if (this.pages.size >= mostPages) {
      send(response, 503, 'text/plain', 'too many pages are open');
      return;
    }
    response.writeHead(200, { ...headers, 'content-type': 'text/event-stream' });
    response.flushHeaders();
    const opened = new Page(chosen.slice(0, mostChosen), response);
    this.pages.add(opened);
    response.on('close', () => this.pages.delete(opened));
    clearTimeout(this.timer);
    later(() => void this.look());
  }

  /** Tells all pages what is new, again and again while there are some. */
  private async look(): Promise<void> {
    if (this.isLooking || this.pages.size === 0) return;
    this.isLooking = true;
    const { source } = this.site;
    try {
      await source.look(new Set([...this.pages].flatMap(({ chosen }) => chosen)));
      const list = JSON.stringify(source.list());
      for (const one of this.pages) one.tell(source, list);
    } catch (error) {
      const text = String(error);
      if (text !== this.warned) warn('[dashboard] something could not be shown', 'AXPY_DASHBOARD', text);
      this.warned = text;
    } finally {
      this.isLooking = false;
      this.timer = setTimeout(() => void this.look(), interval);
      this.timer.unref();
    }
  }
}

function send(response: ServerResponse, status: number, type: string, content: string | Uint8Array): void {
  const length = typeof content === 'string' ? Buffer.byteLength(content) : content.length;
  response.writeHead(status, { ...headers, 'content-type': type, 'content-length': length });
  response.end(content);
}

/** A page of somebody else whose name was made to mean this machine asks for that name. */
function isOfThisMachine(host: string | undefined): boolean {
  const name = (host ?? '').replace(/:\d*$/, '').toLowerCase();
  return (
    name === 'localhost' || name.endsWith('.localhost') || name === '[::1]' || /^127(\.\d+){3}$/.test(name)
  );
}
