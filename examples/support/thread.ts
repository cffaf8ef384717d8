/** Threads that run TypeScript, as the programs here do. */
import { Worker } from 'node:worker_threads';

/** @param url of a module, of TypeScript or bundled @param data what the thread finds as `workerData` */
export function startThread(url: string, data?: unknown): Worker {
  const options = { workerData: data };
  if (!url.endsWith('.ts')) return new Worker(new URL(url), options);
  // What tsx does for a program it does not do for threads, in Node 20.
  const loader = import.meta.resolve('tsx/esm/api');
  const code = `import(${JSON.stringify(loader)}).then(({ register }) => {
    register();
    return import(${JSON.stringify(url)});
  });`;
  return new Worker(code, { ...options, eval: true });
}
