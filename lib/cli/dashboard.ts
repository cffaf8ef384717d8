/** `axpy dashboard`: a page of runs, live. */
import { access } from 'node:fs/promises';
import { FileError } from '../index.ts';
import { type Command, type Given, numberOf, textOf } from './command.ts';
import { note, say } from './terminal.ts';

const op = 'dashboard';

/** Until Ctrl+C, or whoever runs this says that it is enough. */
const ended = (): Promise<void> =>
  new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });

async function run(given: Given): Promise<number> {
  const [folder] = given.files;
  const port = numberOf(op, given, 'port', 0, { whole: true, least: 0, most: 65535 });
  await access(folder).catch((cause) => {
    throw new FileError(`[${op}] expected a folder of runs, got ${folder}, which is not there`, { cause });
  });
  const { dashboard } = await import('../dashboard/index.ts');
  const host = textOf(given, 'host');
  const board = await dashboard({ folder, port, ...(host === undefined ? {} : { host }) });
  const end = ended();
  await say(`${board.url}\n`);
  note('Ctrl+C ends it');
  await end;
  await board.close();
  return 0;
}

export const command: Command = {
  name: op,
  files: ['FOLDER'],
  text: 'Shows the runs in a folder, as axpy train --runs and runFolder write them, on a page that follows them while they grow.',
  options: {
    port: { type: 'string', short: 'p', value: 'N', text: 'where it is served; default one that is free' },
    host: { type: 'string', value: 'ADDRESS', text: 'default 127.0.0.1, which this machine alone reaches' },
  },
  examples: ['axpy train houses.csv --target price --runs runs', 'axpy dashboard runs --port 8080'],
  run,
};
