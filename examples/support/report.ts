/** What a job of the demo reports. */
export interface Report {
  dataset: string;
  backend: string;
  /** What the two figures are: 'accuracy' or 'rmse of log price'. */
  figure: string;
  train: number;
  test: number;
  seconds: number;
  examplesPerSecond: number;
}
