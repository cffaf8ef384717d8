/** Types of `axpy/runs` and `axpy/dashboard`, which go with those of the package. */
import { type Callback, type FitOptions, fit, type History, type Layer } from 'axpy';
import { type Dashboard, dashboard } from 'axpy/dashboard';
import { type RunEvent, type RunFolder, readRun, runFolder, tensorBoard } from 'axpy/runs';

export const run: RunFolder = runFolder({
  folder: 'runs',
  name: 'a',
  every: 0,
  norms: false,
  config: { note: ['x', 1] },
});
export const callbacks: Callback[] = [run, tensorBoard({ folder: 'board' })];

export async function train(model: Layer, options: FitOptions): Promise<History> {
  await fit(model, { x: [[1]], y: [[1]] }, { ...options, callbacks });
  const { history, events } = await readRun(run.path ?? '');
  const losses = events.map((event: RunEvent): number => (event.type === 'batch' ? event.loss : Number.NaN));
  return losses.length > 0 ? history : { epochs: [] };
}

export async function show(): Promise<Callback> {
  const board: Dashboard = await dashboard({ port: 8080, folder: 'runs', stop: true, norms: false });
  await board.close();
  return board;
}

// @ts-expect-error: a port is a number
dashboard({ port: '80' });
// @ts-expect-error: an interval is a number
runFolder({ every: '1' });
