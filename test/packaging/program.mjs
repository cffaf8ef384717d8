/** A stranger's program: trains by fit and by compile, predicts, gives bad input, and says in one line how it went. */
import {
  Adam,
  backendInfo,
  compile,
  Dense,
  fit,
  IndexError,
  losses,
  predict,
  Sequential,
  ShapeError,
  seed,
  tensor,
} from 'axpy';

/** What the library throws, and whether it is of the class that it exports. */
function thrown(Class, fn) {
  try {
    fn();
  } catch (error) {
    return error instanceof Class ? error.code : `not a ${Class.name}: ${error}`;
  }
  return 'nothing';
}

async function main() {
  seed(7);
  const x = Array.from({ length: 64 }, (_, i) => [((i * 37) % 64) / 64, ((i * 11) % 64) / 64]);
  const y = x.map(([a, b]) => [a * b]);
  const model = new Sequential([new Dense(2, 16, { activation: 'relu' }), new Dense(16, 1)]);
  const optimizer = new Adam(model.parameters(), { learningRate: 0.01 });
  await fit(model, { x, y }, { loss: 'mse', optimizer, epochs: 5, batchSize: 16 });
  const step = compile((inputs, targets) => {
    const loss = losses.mse(model.forward(inputs), targets);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    return loss;
  });
  for (let i = 0; i < 20; i++) await step(tensor(x), tensor(y));
  const predicted = await predict(model, x);
  const loss = losses.mse(predicted, tensor(y)).item();
  // The first is thrown by TypeScript, the second by the kernels.
  const errors = [
    thrown(ShapeError, () => model.forward(tensor([[1, 2, 3]]))),
    thrown(IndexError, () => tensor([1, 2, 3]).gather(tensor([7], { dtype: 'int32' }))),
  ];
  const { name, reason } = backendInfo();
  console.log(JSON.stringify({ backend: name, reason, loss, errors }));
}

main();
