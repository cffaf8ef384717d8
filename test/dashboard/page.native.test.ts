/** The page in a browser: what people see of trainings, whatever is in their files. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Callback, tensor } from '../../lib/index.ts';
import { figure } from '../../lib/runs/chart.ts';
import { type Run, readRun, runFolder } from '../../lib/runs/index.ts';
import { temporaryFolder } from '../files/temporary.ts';
import { train } from '../runs/support.ts';
import { opened } from './support.ts';

let browser: Browser;
beforeAll(async () => {
  const executablePath = (process.env.PATH ?? '')
    .split(delimiter)
    .flatMap((folder) => ['chromium', 'chromium-browser', 'google-chrome'].map((name) => join(folder, name)))
    .find((place) => existsSync(place));
  if (executablePath === undefined) throw new Error('expected a browser, which npm run setup installs');
  // Its sandbox works for no root.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  browser = await chromium.launch({ executablePath, args });
});
afterAll(() => browser?.close());

interface Look {
  width?: number;
  colorScheme?: 'light' | 'dark';
}

/** A page, which asks nobody else for anything and complains of nothing. */
async function visit(url: string, { width = 1600, colorScheme = 'light' }: Look = {}): Promise<Page> {
  const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme });
  const wrong: string[] = [];
  page.on('console', (message) => {
    // Of a server that is gone.
    if (!message.text().includes('ERR_CONNECTION_REFUSED')) wrong.push(message.text());
  });
  page.on('pageerror', (error) => wrong.push(String(error.stack)));
  page.on('dialog', (dialog) => wrong.push(dialog.message()));
  page.on('request', (request) => {
    if (!request.url().startsWith(new URL(url).origin)) wrong.push(request.url());
  });
  onTestFinished(async () => {
    await page.close();
    expect(wrong).toEqual([]);
  });
  await page.goto(url);
  return page;
}

/** How many pixels of a chart have the colour of a curve, by its title. */
const pixelsOf = (page: Page, title: string): Promise<number> =>
  page.evaluate(`(() => {
    const canvas = [...document.querySelectorAll('figure')]
      .find((one) => one.querySelector('figcaption b').textContent === ${JSON.stringify(title)})
      .querySelector('canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    let count = 0;
    for (let i = 0; i < data.length; i += 4) {
      const [r, g, b, a] = data.slice(i, i + 4);
      if (a > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 60) count++;
    }
    return count;
  })()`);

const overflow = (page: Page) => page.evaluate('document.documentElement.scrollWidth - innerWidth');

const line = (event: object) => `${JSON.stringify({ time: Date.now(), step: 1, epoch: 1, ...event })}\n`;

/** A folder of runs with everything in them, and with what nobody should write. */
async function folderOfRuns(...names: string[]): Promise<{ folder: string; run: Run }> {
  const folder = temporaryFolder();
  for (const name of names) {
    const own = runFolder({ folder, name, config: { note: hostile }, every: 0, norms: 0, histograms: 0 });
    await train([own], { metrics: ['r2'], epochs: 5 });
    await own.image(hostile, tensor([[0, 0.5, 1]]));
    await own.image(hostile, tensor([[1, 0.5, 0]]));
    await own.confusion(
      [
        [1, 2],
        [3, 4],
      ],
      { name: hostile, labels: [hostile, 'dog'] },
    );
    await own.scalars({ [hostile]: 0.5 });
    await own.scalars({ [hostile]: 0.25 });
    await own.histogram(hostile, [1, 2, 3]);
  }
  return { folder, run: await readRun(join(folder, names[0])) };
}
const hostile = '"><img src=x onerror=alert(1)><script>alert(2)</script>&amp;';

/** The folder of a run, from another's, with other events. */
function write(folder: string, { info }: Run, name: string, lines: readonly string[]): void {
  mkdirSync(join(folder, name));
  writeFileSync(join(folder, name, 'run.json'), JSON.stringify({ ...info, name }));
  writeFileSync(join(folder, name, 'events.jsonl'), lines.join(''));
}

const batches = (count: number, lossOf: (step: number) => unknown): string[] =>
  Array.from({ length: count }, (_, i) => {
    const rest = { learningRate: 0.1, examplesPerSecond: 1000, memory: 2 ** 27 };
    return line({ type: 'batch', step: i + 1, batch: i + 1, loss: lossOf(i + 1), ...rest });
  });

it('waits for a training, shows it as it goes, and stops it', async () => {
  const board = await opened({ stop: true, name: 'mine', every: 0, norms: 0, histograms: 0 });
  const page = await visit(board.url);
  await page.getByText('Nothing has been trained yet.').waitFor();
  await page.locator('#connection.live').waitFor();
  const slow: Callback = { onBatchEnd: () => new Promise((resolve) => setTimeout(resolve, 5)) };
  // Whatever becomes of this test, none after it shall draw from the same random numbers.
  const end = new AbortController();
  onTestFinished(() => end.abort());
  const training = train([board, slow], { epochs: 1e6, metrics: ['r2'], signal: end.signal });
  training.catch(() => {});
  const card = page.locator('.card');
  await card.getByText('running').waitFor();
  await page.locator('figure').first().waitFor();
  const steps = async () => Number((await card.locator('dd').nth(1).textContent())!.replace(',', ''));
  const before = await steps();
  await expect.poll(steps).toBeGreaterThan(before);
  // By keys alone, while the card changes.
  const button = page.getByRole('button', { name: 'Stop mine' });
  await button.focus();
  await page.waitForTimeout(1200);
  expect(await page.evaluate('document.activeElement.textContent')).toBe('Stop');
  await page.keyboard.press('Enter');
  expect((await training).stopped).toBe('on the dashboard');
  await card.getByText('stopped', { exact: true }).waitFor();
  await page.getByText('on the dashboard').waitFor();
  expect(await button.count()).toBe(0);
  for (const title of ['loss', 'loss by batch', 'norms of gradients', 'norms of weights']) {
    expect(await pixelsOf(page, title), title).toBeGreaterThan(100);
  }
  // Of a single run each parameter, until another choice is made.
  const legend = page.locator('figure', { hasText: 'norms of weights' }).locator('.u-series');
  const names = async () =>
    (await legend.allTextContents()).slice(1).map((text) => text.replace(/\d[\d.,e-]*$/, ''));
  await expect.poll(names).toEqual(['0.weight', '0.bias', '1.weight', '1.bias']);
  await page.getByLabel('Of which parameter').selectOption('1.bias');
  await expect.poll(names).toEqual(['mine']);
  await board.close();
  await page.locator('#connection.lost').waitFor();
});

describe('runs on disk', () => {
  it('are side by side, chosen by keys, and stay chosen', async () => {
    const { folder } = await folderOfRuns('a', 'b', 'c', 'd', 'e');
    const { url } = await opened({ folder });
    const page = await visit(url);
    const boxes = page.getByRole('checkbox');
    await expect.poll(() => boxes.count()).toBe(5);
    // The last one that began, by default.
    await page.getByRole('article').getByText('finished').waitFor();
    expect(await page.locator('.card h3').allTextContents()).toEqual(['e']);
    for (let i = 1; i < 5; i++) {
      await boxes.nth(i).focus();
      await page.keyboard.press('Space');
      await expect.poll(() => page.locator('.card').count()).toBe(i + 1);
      expect(
        await page.evaluate(`document.querySelectorAll('nav input')[${i}] === document.activeElement`),
      ).toBe(true);
    }
    expect(new URL(page.url()).searchParams.getAll('run')).toEqual(['e', 'd', 'c', 'b', 'a']);
    await page.reload();
    await expect.poll(() => page.locator('.card').count()).toBe(5);
    // Five of training, none of validation; the numbers at the end of each.
    const legend = page.locator('figure', { hasText: 'loss by batch' }).locator('.u-series');
    await expect.poll(() => legend.count()).toBe(6);
    const { events } = await readRun(join(folder, 'a'));
    const last = events.findLast((event) => event.type === 'batch')!;
    await expect.poll(() => legend.nth(5).textContent()).toBe(`a${figure(last.loss)}`);
    expect(await page.locator('#main section:visible h2').allTextContents()).toEqual([
      'By epoch',
      'By batch',
      'Norms',
      'Distributions',
      'Images',
      'Confusion matrices',
      'Models',
    ]);
  });

  it('say what their files say, as text', async () => {
    const { folder, run } = await folderOfRuns('a');
    write(
      folder,
      {
        ...run,
        info: {
          ...run.info,
          created: run.info.created + 1,
          model: { ...run.info.model, label: hostile, summary: hostile },
        },
      },
      hostile.replaceAll('/', '\\'),
      [
        line({ type: 'begin', step: 0, completed: 0, epochs: 3 }),
        ...batches(3, () => 1),
        line({ type: 'norms', weights: { [hostile]: 1, __proto__x: 2 }, gradients: {} }),
        line({ type: 'epoch', record: { epoch: 1, loss: 2, [hostile]: 3, validation: { [hostile]: 4 } } }),
        line({ type: 'scalars', values: { [hostile]: 1, ['__proto__']: 2 } }),
        line({ type: 'end', outcome: 'failed', error: { name: hostile, message: hostile } }),
      ],
    );
    const { url } = await opened({ folder });
    const page = await visit(url);
    await page.getByRole('checkbox').nth(1).check();
    await expect.poll(() => page.locator('.card').count()).toBe(2);
    await expect.poll(() => page.getByText(hostile).count()).toBeGreaterThan(10);
    expect(await page.evaluate("document.querySelectorAll('script').length")).toBe(1);
    expect(await page.evaluate("[...document.images].every((one) => one.src.includes('/image?run='))")).toBe(
      true,
    );
  });

  it('have gaps where there are no numbers, and say so', async () => {
    const { folder, run } = await folderOfRuns('a');
    write(folder, run, 'nan', [
      line({ type: 'begin', step: 0, completed: 0, epochs: 3 }),
      ...batches(100, (step) => (step > 60 ? 'NaN' : 1 / step)),
      line({ type: 'end', outcome: 'failed', error: { name: 'NonFiniteError', message: 'the loss is NaN' } }),
    ]);
    write(
      folder,
      run,
      'only nan',
      batches(9, () => 'NaN'),
    );
    const { url } = await opened({ folder });
    const page = await visit(`${url}?run=nan`);
    await page.getByText('NonFiniteError: the loss is NaN').waitFor();
    await page.getByText('NaN or infinite losses: 40, the first after batch 61').waitFor();
    expect(await pixelsOf(page, 'loss by batch')).toBeGreaterThan(50);
    const other = await visit(`${url}?run=only+nan`);
    await other.getByText('NaN or infinite losses: 9').waitFor();
  });

  it('of 100,000 batches are drawn at once, with what stands out', async () => {
    const { folder, run } = await folderOfRuns('a');
    write(
      folder,
      run,
      'long',
      batches(100_000, (step) => (step === 54_321 ? 99 : 1 + Math.sin(step))),
    );
    const page = await visit(`${(await opened({ folder })).url}?run=long`);
    await page.getByText('100,000', { exact: true }).first().waitFor();
    await expect.poll(() => page.locator('canvas').count()).toBeGreaterThan(2);
    const label = await page.locator('canvas').first().getAttribute('aria-label');
    expect(label).toMatch(/^loss by batch by batch, now: long /);
    const points = "Array.from(document.querySelectorAll('.u-over')).length";
    expect(await page.evaluate(points)).toBeGreaterThan(2);
    expect(await pixelsOf(page, 'loss by batch')).toBeGreaterThan(100);
  });
});

it.each<[number, 'light' | 'dark']>([
  [375, 'dark'],
  [1600, 'light'],
])('fits %d pixels, %s', async (width, colorScheme) => {
  const { folder } = await folderOfRuns(
    'a',
    'b with a name that is long and has no end, as it goes on and on_and_on_and_on',
  );
  const page = await visit((await opened({ folder })).url, { width, colorScheme });
  await page.evaluate("document.getElementById('runs').open = true");
  await page.getByRole('checkbox').nth(1).check();
  await expect.poll(() => page.locator('.card').count()).toBe(2);
  await expect.poll(() => page.locator('figure canvas').count()).toBeGreaterThan(8);
  expect(await overflow(page)).toBeLessThanOrEqual(0);
  const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor');
  expect(ground).toBe(colorScheme === 'dark' ? 'rgb(22, 24, 28)' : 'rgb(255, 255, 255)');
  // In the other light its curves are drawn anew.
  const drawn = () => page.evaluate<string>("document.querySelector('canvas').toDataURL()");
  const before = await drawn();
  await page.emulateMedia({ colorScheme: colorScheme === 'dark' ? 'light' : 'dark' });
  await expect.poll(drawn).not.toBe(before);
  // Every control says what it is for.
  const unnamed =
    await page.evaluate(`[...document.querySelectorAll('input, select, button, [role=button]')].filter(
    (one) => !(one.labels?.length || one.ariaLabel || one.textContent.trim())).length`);
  expect(unnamed).toBe(0);
});

it('zooms by dragging, stays there while the run grows, and goes back', async () => {
  const board = await opened({ name: 'mine', every: 0 });
  const page = await visit(board.url);
  let isOver = false;
  const slow: Callback = {
    async onBatchEnd({ stop }) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      if (isOver) stop('enough');
    },
  };
  const training = train([board, slow], { epochs: 1e6 });
  const over = page.locator('figure', { hasText: 'loss by batch' }).locator('.u-over');
  await over.waitFor();
  await page.waitForTimeout(1000);
  const legend = page.locator('figure', { hasText: 'loss by batch' }).locator('.u-value').first();
  const box = (await over.boundingBox())!;
  const drag = async (from: number, to: number) => {
    await page.mouse.move(box.x + from * box.width, box.y + 50);
    await page.mouse.down();
    await page.mouse.move(box.x + to * box.width, box.y + 60, { steps: 4 });
    await page.mouse.up();
  };
  await drag(0.2, 0.6);
  const stepAt = async (where: number) => {
    await page.mouse.move(box.x + where * box.width, box.y + 40);
    await page.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
    return Number((await legend.textContent())!.replace(',', ''));
  };
  const right = await stepAt(0.97);
  await page.waitForTimeout(1500);
  expect(await stepAt(0.5)).toBeLessThanOrEqual(right);
  expect(await stepAt(0.97)).toBe(right);
  await page.mouse.dblclick(box.x + 0.5 * box.width, box.y + 40);
  await page.waitForTimeout(1200);
  expect(await stepAt(0.97)).toBeGreaterThan(right);
  isOver = true;
  await training;
});
