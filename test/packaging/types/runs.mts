/** Types of `axpy/runs`, which go with those of the package. */
import { type Callback, type FitOptions, fit, type History, type Layer } from 'axpy';
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

// @ts-expect-error: an interval is a number
runFolder({ every: '1' });
