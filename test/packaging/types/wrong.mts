import { fit, tensor } from 'axpy';

export const mixed = tensor([1]).add(tensor(Float64Array.of(1)));
export const text: string = tensor([1]);
export const missing = tensor([1]).nothing;
await fit(tensor([1]), { x: [1], y: [1] }, {});
