/** What Node has, where axpy says no more than what it needs of it. */
import { type Callback, type FitOptions, progress, SGD } from 'axpy';

export const callbacks: Callback[] = [
  progress({ stream: process.stderr }),
  progress({ stream: process.stdout }),
];
export const options: FitOptions = {
  loss: 'mse',
  optimizer: new SGD([], { learningRate: 1 }),
  callbacks,
  signal: AbortSignal.timeout(10),
};
options.signal = new AbortController().signal;
