/** The example of characters: it learns more than how frequent they are, and writes with a cache what it would write without. */
import { noGrad, tensor } from 'axpy';
import { beforeAll, expect, test, vi } from 'vitest';
import { trainCharacters, write } from '../../examples/characters.ts';

beforeAll(() => {
  vi.spyOn(console, 'log').mockImplementation(() => {});
});

test('a GPT of layers learns from a stream of windows, and writes', { timeout: 300_000 }, async () => {
  const { model, characters, loss, frequencies } = await trainCharacters({ steps: 120 });
  // By frequencies alone 3.3 nats a character.
  expect(frequencies).toBeGreaterThan(3);
  expect(loss).toBeLessThan(frequencies - 0.1);
  const beginning = 'A tensor';
  const text = write(model, characters, beginning, 24, 0);
  expect(text.startsWith(beginning)).toBe(true);
  const indices = [...characters.encode(beginning)];
  for (let i = 0; i < 24; i++) {
    const logits = noGrad(() =>
      model
        .forward(tensor([Int32Array.from(indices)]))
        .slice([null, [-1]])
        .flatten(),
    );
    indices.push(logits.argmax(-1).item());
  }
  expect(text).toBe(characters.decode(indices));
  expect(write(model, characters, beginning, 1000)).toHaveLength(model.length);
});
