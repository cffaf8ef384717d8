/** What a page has. */
import { type FitOptions, SGD, type SharedParameter, tensor } from 'axpy';

export function post(worker: Worker, shared: SharedParameter): void {
  worker.postMessage(shared);
}

export const pixels = (image: ImageData) => tensor(image.data).reshape([image.height, image.width, 4]);

const { signal } = new AbortController();
export const options: FitOptions = { loss: 'mse', optimizer: new SGD([], { learningRate: 1 }), signal };
