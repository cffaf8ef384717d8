/** What trainings say on channels of `node:diagnostics_channel`. */
import { speaker } from '../channels.ts';
import type { BatchReport, Callback, Outcome, TrainingContext } from './callbacks/callback.ts';
import type { EpochRecord } from './history.ts';

/** What is said on each channel; `training` is the same object in all messages of one training. */
export interface TrainingMessages {
  'axpy:train:begin': { readonly training: TrainingContext };
  'axpy:train:batch': { readonly training: TrainingContext; readonly report: BatchReport };
  'axpy:train:epoch': { readonly training: TrainingContext; readonly record: EpochRecord };
  'axpy:train:end': { readonly training: TrainingContext; readonly outcome: Outcome };
}

const on = <Name extends keyof TrainingMessages>(name: Name) => speaker<TrainingMessages[Name]>(name);

/** A callback that says what it is told. */
export function announcer(): Callback {
  const [begin, batch] = [on('axpy:train:begin'), on('axpy:train:batch')];
  const [epoch, end] = [on('axpy:train:epoch'), on('axpy:train:end')];
  return {
    passive: true,
    onTrainBegin: (training) => begin(() => ({ training })),
    onBatchEnd: (training, report) => batch(() => ({ training, report })),
    onEpochEnd: (training, record) => epoch(() => ({ training, record })),
    onTrainEnd: (training, outcome) => end(() => ({ training, outcome })),
  };
}
