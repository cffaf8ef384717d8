/** Wrong arguments, made from right ones. */
import { geometryFields } from '../../lib/kernels/codes.ts';
import { type Call, isArray, isList, type TypedArray } from './call.ts';
import { codesOf, type KernelName, type Parameter, signatures } from './signature.ts';

export interface Mutation {
  readonly title: string;
  readonly position: number;
  /** Made anew for each use: a detached array cannot be copied. */
  make(): unknown;
  /** True when the argument cannot be copied between guards, and is passed as it is. */
  readonly raw?: boolean;
}

type Constructor = new (values: ArrayLike<number> | number) => TypedArray;

function detached(array: TypedArray): TypedArray {
  const copy = (array.length === 0 ? new (array.constructor as Constructor)(1) : array.slice()) as TypedArray;
  structuredClone(copy.buffer, { transfer: [copy.buffer as ArrayBuffer] });
  return copy;
}

const everyType: readonly Constructor[] = [Float32Array, Float64Array, Int32Array, Uint32Array];
const otherTypes: readonly Constructor[] = [Int8Array, Uint8Array, Int16Array] as never;

const wrongKinds: readonly (readonly [string, () => unknown])[] = [
  ['null', () => null],
  ['undefined', () => undefined],
  ['a string', () => '1'],
  ['a plain object', () => ({ length: 1 })],
  ['a plain array', () => [1, 2]],
  ['a boolean', () => true],
  ['a bigint', () => 1n],
  ['a symbol', () => Symbol('x')],
  ['a function', () => () => 1],
  ['an object without prototype', () => Object.create(null)],
  ['a DataView', () => new DataView(new ArrayBuffer(8))],
  ['an ArrayBuffer', () => new ArrayBuffer(8)],
];

const numbers = [
  -1,
  1.5,
  Number.NaN,
  Infinity,
  -Infinity,
  2 ** 31,
  2 ** 31 - 1,
  -(2 ** 31),
  2 ** 32,
  2 ** 53,
  0,
  1,
  2,
  -0,
];

/** A layout with one of its numbers changed, or of another length. */
function layoutMutations(layout: Int32Array, position: number): Mutation[] {
  const changed = (title: string, change: (copy: number[]) => void): Mutation => ({
    title: `layout ${title}`,
    position,
    make: () => {
      const copy = [...layout];
      change(copy);
      return Int32Array.from(copy);
    },
  });
  const found = Array.from(layout, (_, i) =>
    [-1, 1, 1000].map((by) =>
      changed(`[${i}] ${by > 0 ? '+' : '-'} ${Math.abs(by)}`, (copy) => {
        copy[i] += by;
      }),
    ),
  ).flat();
  for (const extreme of [-(2 ** 31), -1]) {
    for (let i = 0; i < layout.length; i++) {
      found.push(
        changed(`[${i}] = ${extreme}`, (copy) => {
          copy[i] = extreme;
        }),
      );
    }
  }
  found.push(
    changed('empty', (copy) => copy.splice(0)),
    changed('of rank 17', (copy) => copy.splice(0, copy.length, ...new Array(17 * 3).fill(1))),
    changed('of rank 17 with offsets', (copy) =>
      copy.splice(0, copy.length, ...new Array(17 * 3 + 2).fill(1)),
    ),
    changed('of rank 17 and three operands', (copy) =>
      copy.splice(0, copy.length, ...new Array(17 * 4).fill(1)),
    ),
  );
  return found;
}

/** A geometry with one of its fields changed. */
function geometryMutations(geometry: Int32Array, position: number): Mutation[] {
  return geometryFields.flatMap((field, at) => {
    const value = geometry[at];
    const values = new Set([0, 1, 2, 5, -1, value + 1, value - 1, 2 ** 31 - 1, -(2 ** 31)]);
    values.delete(value);
    return [...values].map((number) => ({
      title: `${field} ${number}`,
      position,
      make: () => geometry.with(at, number),
    }));
  });
}

/** A list of instructions with one of its numbers changed. */
function codeMutations(code: Int32Array, position: number): Mutation[] {
  return Array.from(code, (value, at) =>
    [-2, -1, 0, 1, 33, 300, value + 1, value - 1, 2 ** 31 - 1, -(2 ** 31)].map((number) => ({
      title: `[${at}] = ${number}`,
      position,
      make: () => code.with(at, number),
    })),
  ).flat();
}

function arrayMutations(value: TypedArray, position: number, { name }: Parameter, limit: number): Mutation[] {
  const resized = (length: number) => () => {
    const copy = new (value.constructor as Constructor)(length);
    copy.set(value.subarray(0, length) as never);
    return copy;
  };
  const found: Mutation[] = name === 'code' ? codeMutations(value as Int32Array, position) : [];
  found.push(
    { title: 'one element too long', position, make: resized(value.length + 1) },
    { title: 'detached', position, make: () => detached(value), raw: true },
    ...everyType
      .filter((type) => !(value instanceof type))
      .map((type) => ({ title: type.name, position, make: () => new type(value.length) })),
    ...otherTypes.map((type) => ({
      title: type.name,
      position,
      make: () => new type(value.length),
      raw: true,
    })),
  );
  if (value.length > 0) {
    found.push({ title: 'one element too short', position, make: resized(value.length - 1) });
  }
  if (value.length > 1) found.push({ title: 'empty', position, make: resized(0) });
  if (name === 'layout') found.push(...layoutMutations(value as Int32Array, position));
  if (name === 'geometry') found.push(...geometryMutations(value as Int32Array, position));
  if (name === 'world' && value.length > 0) {
    for (const ranks of [0, -1, 2, 1.5, 2 ** 31, Number.NaN, Infinity]) {
      found.push({ title: `of ${ranks} ranks`, position, make: () => value.with(0, ranks) });
    }
  }
  if (['indices', 'labels', 'rows'].includes(name) && value.length > 0) {
    for (const index of [-1, limit, 2 ** 31 - 1, -(2 ** 31)]) {
      for (const at of [0, value.length - 1]) {
        const make = () => {
          const copy = value.slice();
          copy[at] = index;
          return copy;
        };
        found.push({ title: `index ${index} at ${at}`, position, make });
      }
    }
  }
  return found;
}

/** A list with one of its arrays replaced by something wrong, missing or made by a getter; or of another length. */
function listMutations(list: readonly TypedArray[], position: number): Mutation[] {
  const copies = () => list.map((array) => array.slice() as TypedArray);
  const changed = (title: string, change: (copy: unknown[]) => void, raw = false): Mutation => ({
    title: `list ${title}`,
    position,
    raw,
    make: () => {
      const copy: unknown[] = copies();
      change(copy);
      return copy;
    },
  });
  const replaced = list.flatMap((array, at) =>
    [
      ...wrongKinds,
      ['a number', () => 1] as const,
      ['a list', () => [array]] as const,
      ['a detached array', () => detached(array)] as const,
      ['an array too long', () => new (array.constructor as Constructor)(array.length + 1)] as const,
      ...[...everyType, ...otherTypes]
        .filter((type) => !(array instanceof type))
        .map((type) => [type.name, () => new type(array.length)] as const),
    ].map(([title, make]) => changed(`with ${title} at ${at}`, (copy) => copy.splice(at, 1, make()), true)),
  );
  return [
    ...replaced,
    changed('empty', (copy) => copy.splice(0)),
    changed('one array too long', (copy) => copy.push(copy[0] ?? new Float32Array(1))),
    changed('one array too short', (copy) => copy.pop()),
    changed('with a hole', (copy) => delete copy[copy.length - 1], true),
    changed(
      'far longer than what it holds',
      (copy) => {
        copy.length = 2 ** 16;
      },
      true,
    ),
    changed(
      'with a getter',
      (copy) => {
        const [array] = copies();
        Object.defineProperty(copy, 0, { get: () => array });
      },
      true,
    ),
    {
      title: 'what looks like a list',
      position,
      raw: true,
      make: () => ({ ...copies(), length: list.length }),
    },
  ];
}

function scalarMutations(
  kernel: KernelName,
  value: number,
  position: number,
  { name }: Parameter,
): Mutation[] {
  const values = new Set([...numbers, value + 1, value - 1, -value]);
  const codes = codesOf(kernel, name);
  if (codes !== null)
    values
      .add(codes.length)
      .add(codes.length - 1)
      .add(-2);
  values.delete(value);
  return [...values].map((number) => ({
    title: Object.is(number, -0) ? '-0' : String(number),
    position,
    make: () => number,
  }));
}

/** Each argument of the call replaced by what is wrong, or at least another, for it. */
export function mutations({ kernel, args }: Call): Mutation[] {
  const parameters = signatures.get(kernel)!;
  // The first index that is out of range: one past the last row or class.
  const limitName = parameters.some(({ name }) => name === 'classes') ? 'classes' : 'rows';
  const limit = (args[parameters.findIndex(({ name }) => name === limitName)] as number) ?? 1000;
  // The same product 2³¹ − 1 times is right where no stride leads out of the arrays, and takes minutes.
  const strides = parameters.flatMap(({ name }, i) => (name.startsWith('stride') ? [args[i]] : []));
  const repeats = kernel === 'gemmAccumulate' && strides.every((stride) => stride === 0);
  return parameters.flatMap((parameter, position) => {
    const value = args[position];
    const kinds = wrongKinds
      .filter(([title]) => !(title === 'null' && value === null))
      .map(([title, make]) => ({ title, position, make, raw: true }));
    const numbersToo = typeof value === 'number' ? [] : [{ title: 'a number', position, make: () => 1 }];
    if (isArray(value))
      return [...kinds, ...numbersToo, ...arrayMutations(value, position, parameter, limit)];
    if (isList(value)) return [...kinds, ...numbersToo, ...listMutations(value, position)];
    if (typeof value === 'number') {
      const found = scalarMutations(kernel, value, position, parameter);
      const long = repeats && parameter.name === 'batch' ? String(2 ** 31 - 1) : null;
      return [...kinds, ...found.filter(({ title }) => title !== long)];
    }
    const arrays = [new Float32Array(3), new Float64Array(3), new Int32Array(3)];
    return [
      ...kinds,
      ...numbersToo,
      ...arrays.map((array) => ({ title: array.constructor.name, position, make: () => array.slice() })),
    ];
  });
}
