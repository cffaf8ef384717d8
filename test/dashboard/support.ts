/** Pages without a browser: what a dashboard tells, put together as its page does. */
import { request } from 'node:http';
import { onTestFinished } from 'vitest';
import { type Dashboard, type DashboardOptions, dashboard } from '../../lib/dashboard/index.ts';
import { Run } from '../../lib/dashboard/page/run.ts';
import type { Listed } from '../../lib/dashboard/server.ts';
import type { News } from '../../lib/dashboard/view.ts';

/** A dashboard that is closed after the test. */
export async function opened(options: DashboardOptions = {}): Promise<Dashboard> {
  const board = await dashboard(options);
  onTestFinished(() => board.close());
  return board;
}

/** An open page. */
export interface Watcher {
  list: readonly Listed[];
  readonly runs: Map<string, Run>;
  /** How many messages came, of how many characters. */
  messages: number;
  bytes: number;
  close(): void;
}

export async function watch({ url }: { url: string }, ...chosen: string[]): Promise<Watcher> {
  const controller = new AbortController();
  const query = new URLSearchParams(chosen.map((id): [string, string] => ['run', id]));
  const { body, status } = await fetch(new URL(`events?${query}`, url), { signal: controller.signal });
  if (status !== 200) throw new Error(`events answered ${status}`);
  const watcher: Watcher = {
    list: [],
    runs: new Map(),
    messages: 0,
    bytes: 0,
    close: () => controller.abort(),
  };
  onTestFinished(watcher.close);
  void read(watcher, body as unknown as AsyncIterable<Uint8Array>).catch(() => {});
  return watcher;
}

async function read(watcher: Watcher, body: AsyncIterable<Uint8Array>): Promise<void> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const part of body) {
    text += decoder.decode(part, { stream: true });
    const messages = text.split('\n\n');
    text = messages.pop()!;
    for (const message of messages) {
      watcher.messages++;
      watcher.bytes += message.length;
      const [, event, data] = /^event: (\w+)\ndata: (.*)$/.exec(message) ?? [];
      if (event === 'runs') watcher.list = JSON.parse(data);
      if (event !== 'run') continue;
      const news = JSON.parse(data) as News & { id: string };
      const run = watcher.runs.get(news.id) ?? new Run();
      watcher.runs.set(news.id, run);
      run.take(news);
    }
  }
}

/** Waits until it is so. */
export async function until(isSo: () => boolean, what = 'what was waited for'): Promise<void> {
  const end = Date.now() + 15_000;
  while (!isSo()) {
    if (Date.now() > end) throw new Error(`${what} did not come`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A request with headers that `fetch` does not let through. */
export function ask(
  url: string,
  path: string,
  { method = 'GET', headers = {} }: { method?: string; headers?: Record<string, string> } = {},
): Promise<{ status: number; headers: Record<string, unknown>; text: string }> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const sent = request({ hostname, port, path, method, headers }, (response) => {
      const parts: Buffer[] = [];
      response.on('data', (part: Buffer) => parts.push(part));
      response.on('end', () => {
        const text = Buffer.concat(parts).toString('latin1');
        resolve({ status: response.statusCode!, headers: response.headers, text });
      });
    });
    sent.on('error', reject);
    sent.end();
  });
}
