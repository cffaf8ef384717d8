/** The trainings of this program, as their callback is told of them. */
import { ClosedError } from '../index.ts';
import type { BeginEvent, RunEvent } from '../runs/events.ts';
import { pngOf } from '../runs/image.ts';
import { infoOf } from '../runs/info.ts';
import type { Shown, Sink } from '../runs/recorder.ts';
import type { TrainingContext } from '../train/callbacks/callback.ts';
import { View } from './view.ts';

/** How many trainings are kept, and how many bytes of their images. */
const [mostRuns, mostBytes] = [32, 2 ** 26];

/** A training of this program. */
export interface Live {
  readonly view: View;
  name: string;
  /** While it goes on. */
  context: TrainingContext | undefined;
}

export class LiveRuns implements Sink {
  readonly runs = new Map<string, Live>();
  private readonly images = new Map<string, Uint8Array>();
  private readonly drawing = new Set<Promise<void>>();
  private current!: Live & { id: string };
  private begun = 0;
  private drawn = 0;
  private isClosed = false;

  /**
   * @param name of the trainings; by default that of their model
   * @param began is called as one begins
   */
  constructor(
    private readonly name: string | undefined,
    private readonly began: () => void,
  ) {}

  async begin(context: TrainingContext, event: RunEvent): Promise<void> {
    if (this.isClosed) {
      throw new ClosedError('[dashboard] expected one that is open, got one that was closed');
    }
    this.began();
    const name = this.name ?? context.model.label;
    const others = [...this.runs.values()].filter((one) => one.name.replace(/ \(\d+\)$/, '') === name);
    const same = event.step > 0 ? others.at(-1) : undefined;
    const own = same?.name ?? (others.length > 0 ? `${name} (${others.length + 1})` : name);
    const view = same?.view ?? new View(infoOf(own, context, {}, event.time));
    // No folder has such a name.
    const id = this.idOf(view) ?? `/${++this.begun}`;
    this.current = { view, name: own, context, id };
    this.runs.set(id, this.current);
    for (const old of this.runs.keys()) if (this.runs.size > mostRuns) this.runs.delete(old);
    const known = same === undefined ? 0 : (event as BeginEvent).completed;
    view.add(event);
    // What was trained before this program began.
    const { time, step, epoch } = event;
    for (const record of context.history.epochs) {
      if (record.epoch > known) view.add({ type: 'epoch', time, step, epoch, record });
    }
  }

  write(event: RunEvent | Shown): void {
    const { current } = this;
    if (this.isClosed) return;
    if (event.type === 'picture') {
      const work = this.draw(current.view, event).catch(() => {});
      this.drawing.add(work);
      void work.then(() => this.drawing.delete(work));
      return;
    }
    current.view.add(event);
    if (event.type === 'end') current.context = undefined;
  }

  async settled(): Promise<void> {
    await Promise.all(this.drawing);
  }

  image(id: string, file: string): Uint8Array | undefined {
    return this.runs.get(id)?.view.files().includes(file) ? this.images.get(file) : undefined;
  }

  /** @returns whether there was something to stop */
  stop(id: string): boolean {
    const context = this.runs.get(id)?.context;
    context?.stop('on the dashboard');
    return context !== undefined;
  }

  close(): void {
    this.isClosed = true;
    this.runs.clear();
    this.images.clear();
  }

  private idOf(view: View): string | undefined {
    for (const [id, one] of this.runs) if (one.view === view) return id;
    return undefined;
  }

  private async draw(view: View, { picture, name, time, step, epoch }: Shown): Promise<void> {
    const bytes = await pngOf(picture);
    const file = `${++this.drawn}.png`;
    this.images.set(file, bytes);
    let sum = [...this.images.values()].reduce((total, { length }) => total + length, 0);
    for (const [old, { length }] of this.images) {
      if (sum <= mostBytes) break;
      this.images.delete(old);
      sum -= length;
    }
    const { width, height } = picture;
    view.add({ type: 'image', time, step, epoch, name, width, height, file });
  }
}
