/** Makes the tensors of a case. The recipes are repeated in test/reference/make_reference.py. */
import type { FloatDtype } from '../../lib/memory.ts';
import { sizeOf } from '../../lib/shape.ts';
import { type Tensor, tensor } from '../../lib/tensor.ts';
import type { Case, Input } from './case.ts';
import { generator, hash } from './generator.ts';

export { generator, hash };

/** The elements of an input as float64. */
export function elements(input: Input, seed: string): Float64Array {
  const next = generator(hash(seed));
  const out = new Float64Array(sizeOf(input.shape));
  const { low = 0, high = 0 } = input;
  if (input.recipe === 'given') {
    if (input.values?.length !== out.length) throw new Error(`${seed}: ${out.length} values expected`);
    out.set(input.values);
  } else if (input.recipe === 'uniform') {
    for (let i = 0; i < out.length; i++) {
      let value = Math.floor((low + (high - low) * next()) * 1024) / 1024;
      for (const kink of input.avoid ?? []) {
        if (Math.abs(value - kink) < 0.125) value = value < kink ? kink - 0.125 : kink + 0.125;
      }
      out[i] = value;
    }
  } else if (input.recipe === 'integers') {
    for (let i = 0; i < out.length; i++) out[i] = low + Math.floor((high - low + 1) * next());
  } else {
    for (let i = 0; i < out.length; i++) out[i] = i;
    for (let i = out.length - 1; i > 0; i--) {
      const j = Math.floor(next() * (i + 1));
      [out[i], out[j]] = [out[j], out[i]];
    }
    for (let i = 0; i < out.length; i++) out[i] = (out[i] - Math.floor(out.length / 2)) / 8;
  }
  return out;
}

/** The tensors of a case, named `op/case` in seeds. */
export function inputsOf(op: string, c: Pick<Case, 'name' | 'inputs'>, dtype: FloatDtype): Tensor[] {
  return c.inputs.map((input, i) => {
    const values = elements(input, `${op}/${c.name}/${i}`);
    const x = tensor(values, { shape: input.shape, dtype: input.dtype ?? dtype });
    return input.constant ? x : x.setRequiresGrad();
  });
}

/** dL/dy of y's shape: random, unless the case names one. Ones would be blind to, say, a wrong gradient of softmax. */
export function cotangentOf(op: string, c: Pick<Case, 'name' | 'cotangent'>, y: Tensor): Tensor {
  const input: Input = c.cotangent
    ? { shape: y.shape, recipe: 'given', values: c.cotangent }
    : { shape: y.shape, recipe: 'uniform', low: -1, high: 1 };
  return tensor(elements(input, `${op}/${c.name}/cotangent`), { shape: y.shape, dtype: y.dtype });
}
