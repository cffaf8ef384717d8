/** Values that do harm, made from values that would do. */
import * as axpy from '../../lib/index.ts';
import { boom, bufferKinds, makeBuffer, numbers, type Random, takeAway } from './support.ts';

function revoked(target: object): unknown {
  const { proxy, revoke } = Proxy.revocable(target, {});
  revoke();
  return proxy;
}

/** An array that holds itself. */
function cyclic(): unknown[] {
  const list: unknown[] = [1];
  list.push(list);
  list[0] = list;
  return list;
}

class OwnArray extends Array {}
class OwnFloats extends Float32Array {}

/** What is no use to anybody, whatever was expected. */
const garbage: readonly ((random: Random) => unknown)[] = [
  (random) => random.pick(numbers),
  (random) => random.pick(numbers),
  () => undefined,
  () => null,
  (random) =>
    random.pick(['', '1', 'x', '__proto__', 'constructor', 'toString', 'same', 'float32', 'x'.repeat(1e5)]),
  () => 10n ** 40n,
  () => Symbol('hostile'),
  (random) => random.chance(0.5),
  () => ({}),
  () => [],
  () => () => 1,
  () => boom,
  () => async () => 1,
  () => Object.create(null),
  () => new Map([[1, 2]]),
  () => new Date(Number.NaN),
  () => Promise.resolve(1),
  () => revoked({}),
  () => revoked([]),
  () => revoked(() => 1),
  () => cyclic(),
  () => new Array(2 ** 32 - 1),
  () => new Array(1000),
  () => OwnArray.from([1, 2]),
  () => new OwnFloats(4),
  () => new BigInt64Array(2),
  () => new DataView(new ArrayBuffer(8)),
  () => new SharedArrayBuffer(8),
  () => Object.freeze([2, 3]),
  () => ({ valueOf: boom, toString: boom, [Symbol.toPrimitive]: boom }),
  () => ({ length: 2 ** 53, 0: 1 }),
  // biome-ignore lint/suspicious/noThenProperty: what await would call
  () => ({ then: boom }),
  () => ({ [Symbol.iterator]: boom }),
  () => Object.defineProperty({}, 'constructor', { get: boom }),
  () => Object.defineProperty([1, 2], 'length', { writable: false }),
  () => ({ constructor: Object.defineProperty(() => 1, 'name', { get: boom }) }),
  (random) => {
    const array = new Float32Array(makeBuffer(random.pick(bufferKinds), 24));
    if (random.chance(0.7)) takeAway(array.buffer);
    return array;
  },
  () => {
    const x = axpy.tensor([1, 2, 3]);
    takeAway(x.data.buffer);
    return x;
  },
  () => axpy.zeros([0, 3]),
  () => axpy.tensor(Number.NaN),
];

/** An object or array whose properties are other ones when they are read again, or do something when they are read. */
function treacherous(random: Random, value: object): unknown {
  const way = random.int(0, 6);
  const parts: unknown[] = Object.values(value);
  const strike = (real: unknown): unknown => {
    if (way === 0) boom();
    if (way === 1) return random.pick(garbage)(random);
    if (way === 2) for (const part of parts) if (part instanceof axpy.Tensor) takeAway(part.data.buffer);
    if (way === 3 && Array.isArray(value)) value.length = 0;
    if (way === 4) return random.chance(0.5) ? real : random.pick(numbers);
    if (way === 5) axpy.zeros([2, 2]).add(1).sum().item();
    return real;
  };
  let reads = 0;
  const spared = random.int(0, 3);
  const get = (target: object, name: string | symbol, receiver: unknown): unknown => {
    const real = Reflect.get(target, name, receiver);
    return typeof name === 'string' && reads++ >= spared ? strike(real) : real;
  };
  if (way === 6) return new Proxy(value, { ownKeys: boom, has: boom, getOwnPropertyDescriptor: boom });
  if (random.chance(0.6)) return new Proxy(value, { get });
  const names = Object.keys(value);
  if (names.length === 0 || Object.isFrozen(value)) return new Proxy(value, { get });
  const name = random.pick(names);
  const real = (value as Record<string, unknown>)[name];
  return Object.defineProperty(value, name, {
    get: () => strike(real),
    enumerable: true,
    configurable: true,
  });
}

function functionFrom(random: Random, value: (...args: unknown[]) => unknown): unknown {
  const way = random.int(0, 5);
  if (way === 0) return boom;
  if (way === 1) return async (...args: unknown[]) => value(...args);
  if (way === 2) return () => random.pick(garbage)(random);
  if (way === 3) return (...args: unknown[]) => [value(...args), () => 1, new Map()];
  if (way === 4) {
    return (...args: unknown[]) => {
      for (const arg of args) if (arg instanceof axpy.Tensor) takeAway(arg.data.buffer);
      return value(...args);
    };
  }
  return (...args: unknown[]) => {
    const inner = axpy.compile((x: axpy.Tensor) => x.mul(2));
    inner.sync(axpy.ones([3]));
    return value(...args);
  };
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

/** Something hostile in the place of a value that would do, or somewhere within it. */
export function hostile(random: Random, value: unknown): unknown {
  if (random.chance(0.3)) return random.pick(garbage)(random);
  if (typeof value === 'number') return random.pick(numbers);
  if (typeof value === 'function' && !/^class/.test(String(value)))
    return functionFrom(random, value as never);
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
    const { length } = value as Float32Array;
    const Type = value.constructor as new (buffer: ArrayBufferLike) => Float32Array;
    const array = new Type(
      makeBuffer(random.pick(bufferKinds), (length || 4) * (value as Float32Array).BYTES_PER_ELEMENT),
    );
    if (random.chance(0.5)) takeAway(array.buffer);
    return array;
  }
  if (value instanceof axpy.Tensor) {
    const way = random.int(0, 3);
    if (way === 0) takeAway(value.data.buffer);
    if (way === 1) return value.shape;
    if (way === 2)
      return new Proxy(value, {
        get: (target, name) => (random.chance(0.1) ? boom() : Reflect.get(target, name)),
      });
    return value;
  }
  if (Array.isArray(value) || isPlain(value)) {
    const way = random.next();
    if (way < 0.4) return treacherous(random, value);
    if (way < 0.45) return Object.freeze(value);
    const names = Object.keys(value);
    if (way < 0.5 && Array.isArray(value))
      return Object.assign([...value], { length: random.pick([2 ** 20, 2 ** 32 - 1]) });
    if (way < 0.55 && isPlain(value))
      return { ...value, [random.pick(['x', '__proto__x', 'constructor'])]: 1 };
    if (names.length === 0) return [random.pick(garbage)(random)];
    const name = random.pick(names);
    (value as Record<string, unknown>)[name] = hostile(random, (value as Record<string, unknown>)[name]);
    return value;
  }
  return random.pick(garbage)(random);
}
