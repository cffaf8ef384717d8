/** What trainings say on channels of `node:diagnostics_channel`, for whoever observes a process from outside of its code. */
import { builtin } from '../platform.ts';
import type { BatchReport, Callback, Outcome, TrainingContext } from './callbacks/callback.ts';
import type { EpochRecord } from './history.ts';

/** What is said on each channel; `training` is the same object in all messages of one training. */
export interface TrainingMessages {
  'axpy:train:begin': { readonly training: TrainingContext };
  'axpy:train:batch': { readonly training: TrainingContext; readonly report: BatchReport };
  'axpy:train:epoch': { readonly training: TrainingContext; readonly record: EpochRecord };
  'axpy:train:end': { readonly training: TrainingContext; readonly outcome: Outcome };
}

/** Says something to those who listen; without any it is not made. */
function speaker<Name extends keyof TrainingMessages>(name: Name) {
  const channel = builtin('node:diagnostics_channel')?.channel(name);
  return (message: () => TrainingMessages[Name]): void => {
    if (channel?.hasSubscribers) channel.publish(message());
  };
}

/** A callback that says what it is told. What those who listen throw is no matter of the training: Node raises it later. */
export function announcer(): Callback {
  const [begin, batch] = [speaker('axpy:train:begin'), speaker('axpy:train:batch')];
  const [epoch, end] = [speaker('axpy:train:epoch'), speaker('axpy:train:end')];
  return {
    passive: true,
    onTrainBegin: (training) => begin(() => ({ training })),
    onBatchEnd: (training, report) => batch(() => ({ training, report })),
    onEpochEnd: (training, record) => epoch(() => ({ training, record })),
    onTrainEnd: (training, outcome) => end(() => ({ training, outcome })),
  };
}
