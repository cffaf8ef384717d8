/** How long a process with a dashboard lasts. */
import { spawn } from 'node:child_process';
import { expect, onTestFinished, test } from 'vitest';
import { bundle } from '../bundle.ts';
import { until, watch } from './support.ts';

const script = bundle('test/dashboard/process.child.ts');

function run(what: string) {
  const child = spawn(process.execPath, [script, what], { env: { ...process.env, AXPY_GUARD: '' } });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (text) => {
      said += text;
    });
  }
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, ended, said: () => said };
}

test.each([
  ['trains', /^http.*\ntrained\n$/],
  ['closes', /^http.*\ntrained\nclosed\n$/],
])('one that %s ends then, also while a page is open', async (what, whole) => {
  const { ended, said } = run(what);
  await until(() => said().includes('http'));
  const page = await watch({ url: said().split('\n')[0] }, '/1');
  await until(() => page.runs.size === 1);
  expect(await ended).toBe(0);
  expect(said()).toMatch(whole);
});

test('one without a training stays, until the dashboard is closed', async () => {
  const { child, ended, said } = run('waits');
  await until(() => said().includes('http'));
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(child.exitCode).toBe(null);
  expect((await fetch(said().trim())).status).toBe(200);
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
});
