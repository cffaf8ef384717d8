/** What looks on while networks are trained: Ctrl+C, progress, folders of runs. */
import { basename } from 'node:path';
import type { Callback, ConfusionMatrix } from '../index.ts';
import type { Choices } from './choices.ts';
import type { Scores } from './scores.ts';
import { counted, figure, note, passed, passing } from './terminal.ts';

/** The first Ctrl+C ends the network under way, the next one everything. */
export class Interrupts {
  isEnded = false;
  private readonly onSignal = (): void => {
    if (this.isEnded) process.exit(130);
    this.isEnded = true;
    note('\nending: what is best so far is kept (Ctrl+C again ends at once)');
  };

  constructor() {
    process.on('SIGINT', this.onSignal);
  }

  readonly callback: Callback = {
    onBatchEnd: (training) => {
      if (this.isEnded) training.stop('ended by Ctrl+C');
    },
    passive: true,
  };

  done(): void {
    process.off('SIGINT', this.onSignal);
  }
}

/** Says how far a network is, and how far it came. */
export function progressOf(member: number, members: number): Callback {
  let best = Number.POSITIVE_INFINITY;
  return {
    passive: true,
    onEpochEnd({ epoch, epochs }, { validation }) {
      const loss = validation?.loss ?? Number.NaN;
      best = Math.min(best, loss);
      passing(
        `network ${member + 1} of ${members}, epoch ${epoch} of at most ${epochs}: validation loss ${figure(loss)}, best ${figure(best)}`,
      );
    },
    onTrainEnd({ epoch, history }) {
      passed();
      note(
        `network ${member + 1} of ${members}: ${counted(epoch, 'epoch')}, the best ${history.bestEpoch ?? epoch}, validation loss ${figure(best)}`,
      );
    },
  };
}

interface Runs {
  callbackOf(member: number): Callback;
  /** Adds what the whole is worth on rows held out. */
  finish(scores: Scores, matrix: ConfusionMatrix | undefined, classes: readonly string[]): Promise<void>;
}

/** A folder of runs, one for each network. */
export async function openRuns(folder: string, choices: Choices, rows: number): Promise<Runs> {
  const { runFolder } = await import('../runs/index.ts');
  const stamp = new Date().toISOString().slice(0, 19).replace('T', '-').replaceAll(':', '');
  const { target, hidden, members, seed, test } = choices;
  const config = {
    data: basename(choices.file),
    rows,
    target,
    hidden: [...hidden],
    networks: members,
    seed,
    test,
  };
  const made: ReturnType<typeof runFolder>[] = [];
  return {
    callbackOf(member) {
      const run = runFolder({ folder, name: `${stamp}-${process.pid}-${member + 1}`, config });
      made.push(run);
      return run;
    },
    async finish(scores, matrix, classes) {
      const named = Object.fromEntries(
        Object.entries(scores).map(([name, value]) => [`test.${name}`, value]),
      );
      for (const run of made) {
        await run.scalars(named);
        if (matrix !== undefined) await run.confusion(matrix, { labels: [...classes] });
      }
    },
  };
}
