/** A Tensor by `import` is one by `require`, and one of a subpath. */
import { type Layer, Sequential, type Tensor, tensor, zeros } from 'axpy';
import { Dense as DenseOfTarget } from 'axpy/linuxmusl-arm64';
import required from './required.cjs';

const { Half, norm, vector } = required;

export const layers: Layer[] = [new Half(), new DenseOfTarget(1, 2)];
export const numbers: number[] = [norm(tensor([3, 4])), norm(zeros([2]).add(vector))];
export const half: Tensor = new Sequential([new Half()]).forward(vector);

// @ts-expect-error a dtype stays what it is on the way
export const wrong: Tensor<'float64'> = vector;
