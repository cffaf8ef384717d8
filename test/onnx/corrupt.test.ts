/** Files that are no models, or bad ones: each is refused, with what and where, or read; nothing else happens. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AxpyError, importOnnx, layerFrom, OnnxModel, type Tensor, tensor } from '../../lib/index.ts';
import { dataType, decodeModel, encodeModelProto, type ModelProto } from '../../lib/onnx/schema.ts';
import { bytesOf, floats, graphOf, ints, type ModelText, protoOf, raw } from './models.ts';

const fixture = (name: string) =>
  readFileSync(fileURLToPath(new URL(`pytorch/${name}.onnx`, import.meta.url)));

/** Reads it, and runs what comes of it, unless the library refuses either; with the code that it refused it by. */
async function outcomeOf(bytes: Uint8Array): Promise<string> {
  let model: OnnxModel;
  try {
    model = await importOnnx(bytes);
  } catch (error) {
    if (error instanceof AxpyError && error.message.length < 5000) return error.code;
    throw error;
  }
  const { inputs } = model;
  // As far as it is small: a file may say that its images are large.
  const shapes = inputs.map(({ shape }) =>
    (shape ?? [2]).map((size) => (typeof size === 'number' ? size : 2)),
  );
  if (shapes.some((shape) => shape.reduce((a, b) => a * b, 1) > 1e5)) return 'read';
  try {
    model.forward(
      ...shapes.map((shape, i) => {
        const { dtype } = inputs[i];
        return tensor(new Float64Array(shape.reduce((a, b) => a * b, 1)), { shape, dtype });
      }),
    );
  } catch (error) {
    if (!(error instanceof AxpyError)) throw error;
  }
  return 'read';
}

const codes = ['read', 'AXPY_FORMAT', 'AXPY_ARGUMENT', 'AXPY_SHAPE'];

describe('a file', () => {
  it('that ends at any byte is refused, or is the beginning that it is', async () => {
    for (const name of ['mlp', 'text'] as const) {
      const whole = fixture(name);
      for (let length = 0; length < whole.length; length++) {
        expect(['AXPY_FORMAT', 'AXPY_ARGUMENT'], `${name} of ${length} bytes`).toContain(
          await outcomeOf(whole.subarray(0, length)),
        );
      }
    }
  }, 120_000);

  it('of which bytes are changed, left out or put in is refused or read', async () => {
    const files = ['mlp', 'cnn', 'attention-folded', 'text', 'program'].map(fixture);
    const edit = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      kind: fc.constantFrom('set', 'flip', 'cut', 'put'),
      value: fc.integer({ min: 0, max: 255 }),
      length: fc.integer({ min: 1, max: 40 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...files),
        fc.array(edit, { minLength: 1, maxLength: 4 }),
        async (file, edits) => {
          let bytes = [...file];
          for (const { at, kind, value, length } of edits) {
            const place = Math.floor(at * bytes.length);
            if (kind === 'set') bytes[place] = value;
            else if (kind === 'flip') bytes[place] ^= 1 << (value & 7);
            else if (kind === 'cut') bytes = [...bytes.slice(0, place), ...bytes.slice(place + length)];
            else bytes = [...bytes.slice(0, place), ...new Array(length).fill(value), ...bytes.slice(place)];
          }
          expect(codes).toContain(await outcomeOf(Uint8Array.from(bytes)));
        },
      ),
      { numRuns: 1500 },
    );
  }, 120_000);

  it('whose messages are mixed up is refused or read', async () => {
    const models = ['mlp', 'cnn', 'attention', 'text', 'program', 'unet'].map((name) =>
      decodeModel(fixture(name)),
    );
    const number = fc.constantFrom(
      0,
      1,
      -1,
      2,
      3,
      7,
      16,
      255,
      2 ** 31,
      -(2 ** 31),
      2 ** 40,
      -(2 ** 63),
      2 ** 62,
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...models),
        fc.infiniteStream(fc.nat()),
        number,
        async (model, stream, value) => {
          const own = structuredClone(model);
          mix(own, () => stream.next().value, value);
          expect(codes).toContain(await outcomeOf(encodeModelProto(own)));
        },
      ),
      { numRuns: 1500 },
    );
  }, 120_000);
});

/** Changes one thing of a model. */
function mix(model: ModelProto, random: () => number, value: number): void {
  const pick = <Item>(list: readonly Item[]): Item => list[random() % list.length];
  const graph = model.graph!;
  const node = pick(graph.node);
  const attributes = graph.node.flatMap(({ attribute }) => attribute);
  const initializer = pick(graph.initializer);
  const names = graph.node.flatMap(({ input, output }) => [...input, ...output]);
  const changes: (() => void)[] = [
    () => node.input.splice(random() % (node.input.length + 1), 1),
    () => node.input.push(pick(names)),
    () => node.output.splice(random() % (node.output.length + 1), 1),
    () => node.output.push(pick(names)),
    () => {
      node.input[random() % Math.max(node.input.length, 1)] = pick(names);
    },
    () => {
      node.opType = pick(graph.node).opType;
    },
    () => {
      node.input[random() % Math.max(node.input.length, 1)] = '';
    },
    () => {
      node.output.push('extra');
      const reader = pick(graph.node.slice(graph.node.indexOf(node)));
      reader.input[random() % Math.max(reader.input.length, 1)] = 'extra';
    },
    () => node.attribute.splice(0),
    () => node.attribute.push(pick(attributes)),
    () => {
      const own = pick(attributes);
      own.i = value;
      own.ints = own.ints.map(() => value);
    },
    () => pick(attributes).ints.push(value),
    () => {
      pick(attributes).type = random() % 14;
    },
    () => graph.initializer.push(initializer),
    () => {
      initializer.dims[random() % Math.max(initializer.dims.length, 1)] = value;
    },
    () => initializer.dims.push(value),
    () => {
      initializer.dataType = random() % 20;
    },
    () => {
      initializer.rawData = initializer.rawData.subarray(random() % 8);
    },
    () => {
      initializer.dims.push(initializer.dims.shift()!);
    },
    () => graph.node.reverse(),
    () => graph.node.splice(random() % graph.node.length, 1),
    () => graph.node.push(node),
    () => graph.input.splice(0),
    () => graph.output.push(pick([...graph.output, ...graph.input])),
    () => {
      model.opsetImport[0].version = 7 + (random() % 15);
    },
  ];
  pick(changes)();
}

const refused = (text: ModelText, message: RegExp, code = 'AXPY_FORMAT') =>
  expect(importOnnx(bytesOf(text))).rejects.toThrow(
    expect.objectContaining({ code, message: expect.stringMatching(message) }),
  );
const relu: ModelText['nodes'][number] = ['Relu', ['x'], ['y']];
const inputs = { x: ['n', 2, 4, 4] };

describe('a graph', () => {
  it('is refused where it is none', async () => {
    await expect(importOnnx(encodeModelProto({} as ModelProto))).rejects.toThrow(/a model with a graph/);
    const without = protoOf({ nodes: [relu], inputs });
    without.opsetImport = [];
    await expect(importOnnx(encodeModelProto(without))).rejects.toThrow(
      /opset_import: expected the version of ONNX/,
    );
    await refused({ nodes: [relu], inputs, outputs: [] }, /an output at least/);
    await refused({ nodes: [relu], inputs, outputs: ['z'] }, /output 'z' to be there/);
  });

  it('with a circle, a missing input or a name twice is refused at the node', async () => {
    await refused(
      {
        nodes: [
          ['Add', ['x', 'b'], ['a'], {}, 'first'],
          ['Relu', ['a'], ['b']],
        ],
        inputs,
        outputs: ['b'],
      },
      /node 'first' \(Add\): expected input 'b' to be there, got one that only a later node makes/,
    );
    await refused(
      { nodes: [['Relu', ['q'], ['y'], {}, 'own']], inputs },
      /node 'own' \(Relu\): expected input 'q' to be there, got one that nothing makes/,
    );
    await refused(
      { nodes: [relu, ['Abs', ['x'], ['y'], {}, 'again']], inputs },
      /node 'again' \(Abs\).*'y'.*taken/,
    );
    await refused({ nodes: [['Abs', ['x'], ['x']]], inputs, outputs: ['x'] }, /'x'.*taken/);
    await refused(
      {
        nodes: [['Add', ['x', 'w'], ['y']]],
        inputs,
        tensors: [floats('w', [1], [1]), floats('w', [1], [2])],
      },
      /tensor 'w'.*got two/,
    );
    await refused(
      { nodes: [['Relu', [], ['y'], {}, 'none']], inputs },
      /node 'none' \(Relu\): expected 1 input, got 0/,
    );
    await refused({ nodes: [['Relu', ['x'], []]], inputs }, /an output at least, got none/);
  });

  it('with tensors that are not what they say is refused with their name', async () => {
    const w = (tensors: ModelText['tensors']): ModelText => ({
      nodes: [['Add', ['x', 'w'], ['y']]],
      inputs,
      tensors: tensors!,
    });
    await refused(w([floats('w', [3], [1, 2])]), /tensor 'w': expected 3 numbers for shape \[3\], got 2/);
    await refused(
      w([floats('w', [2 ** 20, 2 ** 20], [1])]),
      /tensor 'w': expected a shape of fewer than 2\^31 elements/,
    );
    await refused(w([floats('w', [-1], [1])]), /tensor 'w': expected a shape/);
    await refused(w([floats('w', [2 ** 31, 0], [])]), /tensor 'w': expected a shape/);
    await refused(
      w([raw('w', [1], dataType.float, new Uint8Array(3))]),
      /tensor 'w': expected 1 numbers for shape \[1\], got 0.75/,
    );
    await refused(
      w([raw('w', [1], 99, new Uint8Array(4))]),
      /tensor 'w': expected numbers, got type 99/,
      'AXPY_ARGUMENT',
    );
  });

  it('with attributes that do not fit is refused at the node', async () => {
    const one = (node: ModelText['nodes'][number], tensors: ModelText['tensors'] = []): ModelText => ({
      nodes: [node],
      inputs,
      tensors,
    });
    await refused(
      one(['Softmax', ['x'], ['y'], { axis: 'last' }, 's']),
      /node 's' \(Softmax\): expected attribute axis to be an integer, got "last"/,
    );
    await refused(
      one(['Concat', ['x', 'x'], ['y'], {}, 'c']),
      /node 'c' \(Concat\): expected attribute axis, got none/,
    );
    await refused(
      one(['Reshape', ['s'], ['y'], {}, 'r'], [ints('s', [1])]),
      /node 'r' \(Reshape\): expected 2 inputs, got 1/,
    );
    await refused(
      one(['Reshape', ['k', 's'], ['y'], {}, 'r'], [ints('k', [1, 2, 3]), ints('s', [2, -1])]),
      /node 'r' \(Reshape\)/,
    );
    await refused(
      one(['Unsqueeze', ['k', 's'], ['y'], {}, 'u'], [ints('k', [1]), ints('s', [7])]),
      /node 'u' \(Unsqueeze\): expected an axis from -2 to 1, got 7/,
    );
    await refused(
      one(['Add', ['k', 's'], ['y'], {}, 'a'], [ints('k', [1, 2]), ints('s', [7, 8, 9])]),
      /node 'a' \(Add\).*shapes that broadcast/,
    );
  });

  it('whose operators are called as what all objects have is refused', async () => {
    for (const name of [...Object.getOwnPropertyNames(Object.prototype), 'axpy:Dense', 'prototype']) {
      const text: ModelText = {
        nodes: [[name, ['x', 'w'], ['y']]],
        inputs,
        tensors: [floats('w', [1], [1])],
      };
      await refused(text, /node 'y'/, name === 'axpy:Dense' ? 'AXPY_FORMAT' : 'AXPY_ARGUMENT');
    }
  });

  it('so deep that no exporter made it is refused', async () => {
    let inner = graphOf({ nodes: [relu] });
    for (let depth = 0; depth < 60; depth++) {
      inner = graphOf({
        nodes: [['If', ['c'], ['y'], { then_branch: inner, else_branch: graphOf({ nodes: [relu] }) }]],
      });
    }
    const model = { ...protoOf({ nodes: [], inputs }), graph: inner };
    await expect(importOnnx(encodeModelProto(model))).rejects.toThrow(
      expect.objectContaining({ code: 'AXPY_FORMAT' }),
    );
  });

  it('that would make much of little is read or refused, without the memory', async () => {
    const before = process.memoryUsage().arrayBuffers;
    const model = await importOnnx(
      bytesOf({
        nodes: [
          ['ConstantOfShape', ['s'], ['a'], { value: floats('', [1], [1]) }],
          ['Expand', ['k', 's'], ['b']],
          ['Tile', ['k', 't'], ['c']],
          ['Range', ['zero', 'many', 'one'], ['d']],
          ['Sum', ['a', 'b', 'c', 'd'], ['e']],
          ['Add', ['x', 'e'], ['y']],
        ],
        inputs,
        tensors: [
          ints('s', [30000, 30000]),
          floats('k', [1], [1]),
          ints('t', [2 ** 30]),
          floats('zero', [], [0]),
          floats('many', [], [2 ** 30]),
          floats('one', [], [1]),
        ],
      }),
    );
    expect(model.parameters().length).toBeLessThan(2);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1e7);
    const long = 2 ** 14;
    // Each doubles what the one before it made.
    const nodes: ModelText['nodes'] = [['Concat', ['s', 's'], ['t0'], { axis: 0 }]];
    for (let i = 1; i < long; i++) nodes.push(['Concat', [`t${i - 1}`, `t${i - 1}`], [`t${i}`], { axis: 0 }]);
    nodes.push(['Reshape', ['x', `t${long - 1}`], ['y']]);
    await importOnnx(bytesOf({ nodes, inputs, tensors: [ints('s', [1])] }));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2e7);
  });
});

it('a config that is none is refused', () => {
  const good = {
    inputs: [{ name: 'x', dtype: 'float32', shape: null }],
    outputs: [{ name: 'y', dtype: 'float32', shape: null }],
    tensors: [],
    constants: {},
    nodes: [{ op: 'Relu', name: '', inputs: ['x'], outputs: ['y'], attributes: {} }],
    opset: 13,
    layout: 'NCHW',
  };
  const made = new OnnxModel(good);
  expect((made.forward(tensor([-1])) as Tensor).item()).toBe(0);
  for (const change of [
    { inputs: 1 },
    { inputs: [{}] },
    { inputs: [{ name: 'x', dtype: 'float16', shape: null }] },
    { outputs: [null] },
    { tensors: [{ name: 'w', shape: [2], dtype: 'float32', kind: 'parameter', form: 'turned' }] },
    { constants: { c: { dtype: 'int', shape: [3], values: [1] } } },
    { constants: { c: { dtype: 'int', shape: [1], values: ['a'] } } },
    { nodes: [{ op: 'Relu' }] },
    { nodes: [{ ...good.nodes[0], inputs: [1] }] },
    { opset: 'new' },
    { layout: 'NHCW' },
    { other: 1 },
  ]) {
    expect(
      () => layerFrom({ type: 'OnnxModel', ...good, ...change } as never),
      JSON.stringify(change),
    ).toThrow(AxpyError);
  }
});
