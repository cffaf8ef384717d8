/** Clipping of gradients, against what torch.nn.utils.clip_grad_norm_ and clip_grad_value_ are documented to do. */
import { expect, test } from 'vitest';
import { clipGradNorm, clipGradValue, type Tensor, tensor } from '../lib/index.ts';

/** Parameters whose gradients are the given ones, of either dtype, and one without. */
function withGradients() {
  const a = tensor([1, 1], { requiresGrad: true });
  const b = tensor([1], { dtype: 'float64', requiresGrad: true });
  const none = tensor([1], { requiresGrad: true });
  a.mul(tensor([3, 0]))
    .sum()
    .backward();
  b.mul(tensor(new Float64Array([-4])))
    .sum()
    .backward();
  return {
    parameters: [a, b, none],
    gradients: () => [a, b].flatMap(({ grad }) => [...(grad as Tensor).data]),
  };
}

test.each([
  [2.5, 2.5 / (5 + 1e-6)],
  [10, 1],
])('clipGradNorm to %d scales all gradients by one factor', (maxNorm, factor) => {
  const { parameters, gradients } = withGradients();
  expect(clipGradNorm(parameters, maxNorm)?.item()).toBeCloseTo(5, 6);
  for (const [i, value] of [3, 0, -4].entries()) expect(gradients()[i]).toBeCloseTo(value * factor, 6);
});

test('clipGradValue holds each number within the limit', () => {
  const { parameters, gradients } = withGradients();
  clipGradValue(parameters, 3.5);
  expect(gradients()).toEqual([3, 0, -3.5]);
});

test('without gradients there is no norm', () => {
  expect(clipGradNorm([tensor([1], { requiresGrad: true })], 1)).toBeNull();
});
