/*:
# 15. Backpropagation: six gradients by hand

> The gradient of every weight follows from the chain rule, layer by layer from the back to the front. The notes derive
> that of $`W^{[3]}`$ in full and that of $`W^{[2]}`$ in equation (8), and leave the other four to the reader.

The network is the one of equations (3) and (4): an image goes in as a column $`x = a^{[0]}`$, three neurons look at it,
two neurons look at those, one answers. Every neuron is a logistic regression, $`g = \sigma`$:

```math
z^{[\ell]} = W^{[\ell]} a^{[\ell-1]} + b^{[\ell]}, \qquad a^{[\ell]} = \sigma(z^{[\ell]}), \qquad \ell = 1, 2, 3, \qquad \hat y = a^{[3]}
```

and the loss of one example with the answer $`y \in \{0, 1\}`$ is the log loss

```math
\mathcal{L} = -\left[(1-y)\log(1-\hat y) + y \log \hat y\right].
```

To learn, equations (5) and (6) want to know for each single weight: *if it grew a little, how much would the loss grow?*
That is a gradient: $`\partial\mathcal{L}/\partial W^{[\ell]}`$ has the shape of $`W^{[\ell]}`$, one number for each weight.

We take a real image, the first one of Fashion-MNIST that shows a boot, and ask "is it a boot?", so that $`y = 1`$. All
numbers are 64-bit, and the weights start at $`\mathcal{N}(0, 0.1)`$ as in the notes.
*/
import { Dense, losses, noGrad, Sequential, seed, type Tensor, tensor } from 'axpy';
import { loadFashion } from '../support/fashion-mnist.ts';
// hide
import { formatNumber, main, type Page } from './support/index.ts';

export async function run(page: Page): Promise<void> {
  // show
  seed(15);
  const { x: images, y: labels } = loadFashion({ embedded: true }).test;
  const boot = labels.data.indexOf(9);
  const image = images.slice([[boot, boot + 1]]).cast('float64'); // [1, 784], from 0 to 1
  const y = tensor([[1]], { dtype: 'float64' });

  const options = { activation: 'sigmoid', init: 'normal', biasInit: 'normal', dtype: 'float64' } as const;
  const layers = [new Dense(784, 3, options), new Dense(3, 2, options), new Dense(2, 1, options)];
  const model = new Sequential(layers);

  /*:
  ## Forward

  The notes write an example as a column, the library as a row. To have the formulas look like the notes', we write the
  forward pass out with columns and keep every $`a^{[\ell]}`$, since the way back needs them.
  */
  const [W1, W2, W3] = layers.map((layer) => layer.weight.detach());
  const [b1, b2, b3] = layers.map((layer) => (layer.bias as Tensor).detach().reshape([-1, 1]));

  const x = image.transpose(); //                [784, 1]
  const a1 = W1.matmul(x).add(b1).sigmoid(); //  [3, 1]
  const a2 = W2.matmul(a1).add(b2).sigmoid(); // [2, 1]
  const a3 = W3.matmul(a2).add(b3).sigmoid(); // [1, 1], ŷ by equation (4)

  /*:
  The untrained network answers $`\hat y`$ = {{answer}}: it has no idea yet.

  ## Backward, layer 3

  The derivative of $`\log \hat y`$ brings $`1/\hat y`$, that of the sigmoid brings $`\sigma' = \sigma(1-\sigma) = \hat y(1-\hat y)`$,
  and the two cancel. What is left of the chain from the loss back to $`z^{[3]}`$ is the plainest error one could wish for:

  ```math
  \delta^{[3]} := \frac{\partial\mathcal{L}}{\partial z^{[3]}} = (1-y)\,\hat y - y\,(1-\hat y) = a^{[3]} - y
  ```

  As $`z^{[3]} = W^{[3]}a^{[2]} + b^{[3]}`$, a weight acts on $`z^{[3]}`$ with the strength of the activation it
  multiplies, and the bias acts with strength 1:

  ```math
  \frac{\partial\mathcal{L}}{\partial W^{[3]}} = (a^{[3]} - y)\, a^{[2]^T}, \qquad \frac{\partial\mathcal{L}}{\partial b^{[3]}} = a^{[3]} - y
  ```
  */
  const delta3 = a3.sub(y); //                                   [1, 1]
  const dW3 = delta3.matmul(a2, { transposeB: true }); //        [1, 2]
  const db3 = delta3;

  /*:
  ## Layer 2: equation (8)

  Equation (7) is the chain rule: from $`W^{[2]}`$ to the loss the way leads through $`z^{[2]}, a^{[2]}, z^{[3]}, a^{[3]}`$,
  and the derivatives along the way are multiplied. We know the first part of it already, it is $`\delta^{[3]}`$; so only
  one more stretch is new, from $`z^{[3]}`$ to $`z^{[2]}`$:

  ```math
  \frac{\partial\mathcal{L}}{\partial W^{[2]}} = \underbrace{(a^{[3]}-y)}_{\delta^{[3]}}\;\underbrace{W^{[3]}}_{\partial z^{[3]}/\partial a^{[2]}}\;\underbrace{g'(z^{[2]})}_{\partial a^{[2]}/\partial z^{[2]}}\;\underbrace{a^{[1]}}_{\partial z^{[2]}/\partial W^{[2]}} \tag{8}
  ```

  The factors are right, their order is not: a 1×1, a 1×2, a 2×1 and a 3×1 matrix do not multiply to the 2×3 that
  $`W^{[2]}`$ wants. Each of the two neurons has its own $`g'`$, which is an elementwise product, ∘. With that the order
  is, and the notes come to the same,

  ```math
  \delta^{[2]} := \frac{\partial\mathcal{L}}{\partial z^{[2]}} = W^{[3]^T}\delta^{[3]} \circ a^{[2]} \circ (1 - a^{[2]}), \qquad
  \frac{\partial\mathcal{L}}{\partial W^{[2]}} = \delta^{[2]} a^{[1]^T}, \qquad \frac{\partial\mathcal{L}}{\partial b^{[2]}} = \delta^{[2]}
  ```
  */
  const slope = (a: Tensor) => a.mul(a.neg().add(1)); // σ′(z) = σ(z)(1 − σ(z)) = a(1 − a)

  const delta2 = W3.matmul(delta3, { transposeA: true }).mul(slope(a2)); // [2, 1]
  const dW2 = delta2.matmul(a1, { transposeB: true }); //                   [2, 3]
  const db2 = delta2;

  /*:
  ## Layer 1: the exercise

  Nothing new happens: what $`W^{[3]}`$ and $`\delta^{[3]}`$ were to layer 2, $`W^{[2]}`$ and $`\delta^{[2]}`$ are to layer 1.

  ```math
  \delta^{[1]} = W^{[2]^T}\delta^{[2]} \circ a^{[1]} \circ (1 - a^{[1]}), \qquad
  \frac{\partial\mathcal{L}}{\partial W^{[1]}} = \delta^{[1]} x^T, \qquad \frac{\partial\mathcal{L}}{\partial b^{[1]}} = \delta^{[1]}
  ```

  So a network of any depth needs one rule, used again and again from the back to the front: hence *back*propagation.
  */
  const delta1 = W2.matmul(delta2, { transposeA: true }).mul(slope(a1)); // [3, 1]
  const dW1 = delta1.matmul(x, { transposeB: true }); //                    [3, 784]
  const db1 = delta1;

  /*:
  ## Is it right?

  Two judges. The library's own `backward()`, which applies the chain rule to the recorded operations and knows nothing
  of our formulas. And arithmetic that knows nothing of the chain rule: push one weight $`w`$ up and down by a small
  $`\epsilon`$ and look at what the loss does,

  ```math
  \frac{\partial\mathcal{L}}{\partial w} \approx \frac{\mathcal{L}(w + \epsilon) - \mathcal{L}(w - \epsilon)}{2\epsilon}.
  ```
  */
  const lossOf = () => losses.binaryCrossEntropy(model.forward(image), y);
  lossOf().backward();

  const epsilon = 1e-5;
  const byDifferences = (weights: Float64Array, i: number) => {
    const w = weights[i];
    const at = (value: number) => {
      weights[i] = value;
      return noGrad(() => lossOf().item());
    };
    const [above, below] = [at(w + epsilon), at(w - epsilon)];
    weights[i] = w;
    return (above - below) / (2 * epsilon);
  };

  const byHand = { 'W[1]': dW1, 'b[1]': db1, 'W[2]': dW2, 'b[2]': db2, 'W[3]': dW3, 'b[3]': db3 };
  const parameters = model.parameters(); // in the same order
  const worst = { autograd: 0, differences: 0 };
  const rows = Object.entries(byHand).map(([name, gradient], k) => {
    const autograd = parameters[k].grad as Tensor;
    let [fromAutograd, fromDifferences] = [0, 0];
    for (let i = 0; i < gradient.size; i++) {
      const numeric = byDifferences(parameters[k].data as Float64Array, i);
      fromAutograd = Math.max(fromAutograd, Math.abs(gradient.data[i] - autograd.data[i]));
      fromDifferences = Math.max(fromDifferences, Math.abs(gradient.data[i] - numeric));
    }
    worst.autograd = Math.max(worst.autograd, fromAutograd);
    worst.differences = Math.max(worst.differences, fromDifferences);
    return { name, gradient, fromAutograd, fromDifferences };
  });
  // hide
  page.text('agreement', worst.autograd === 0 ? 'to the last bit' : `to ${formatNumber(worst.autograd, 1)}`);
  page.number('differences', worst.differences, 1);
  const atMost = (error: number) => (error < 1e-9 ? 'below 1e-9' : error.toExponential(0));
  page.number('answer', a3.item(), 3);
  page.table(
    'gradients',
    rows.map(({ name, gradient, fromAutograd, fromDifferences }) => ({
      'gradient of': name,
      shape: parameters.find((_, k) => rows[k].name === name)!.shape.join('×'),
      'its largest element': gradient.abs().max().item().toFixed(6),
      'by hand − autograd': atMost(fromAutograd),
      'by hand − differences': atMost(fromDifferences),
    })),
  );
  // show

  /*:
  {{gradients}}

  All six agree with both judges: with autograd {{agreement}}, and with the differences to {{differences}}, which is as
  well as differences can tell. Autograd is these formulas, no more. But it gets the gradients of all 2,352 weights of the
  first layer from one pass back, where the differences cost two passes forward for *each* of them. That is why networks
  are trained by backpropagation.

  One more thing to see in the table: the gradients shrink from the back to the front. Each layer multiplies by
  $`\sigma' \le \tfrac14`$ once more, which is why deep networks of sigmoids learn slowly in front, and why
  [example 13](13-initial-weights.md) and ReLU matter.
  */
  // hide
}

await main(import.meta.url, run);
