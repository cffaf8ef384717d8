/**
 * What becomes of trainings, written down and looked at.
 * @module axpy/runs
 */
export type {
  BatchEvent,
  BeginEvent,
  ByParameter,
  ConfusionEvent,
  EndEvent,
  EpochEvent,
  Histogram,
  HistogramEvent,
  HistogramsEvent,
  ImageEvent,
  Moment,
  NormsEvent,
  RunEvent,
  ScalarsEvent,
} from './events.ts';
export type { RunInfo } from './info.ts';
export { type Run, readRun, readRuns } from './readRun.ts';
export type { RecordOptions, RunLog } from './recorder.ts';
export { type ReportOptions, report, saveReport } from './report.ts';
export { type RunFolder, type RunFolderOptions, runFolder } from './runFolder.ts';
export { type TensorBoardOptions, tensorBoard } from './tensorBoard.ts';
