/**
 * Attacks the raw kernels: right calls of awkward sizes, compared with the fallback, and wrong ones, all between canaries.
 */
import { fallback } from '../../lib/kernels/fallback/index.ts';
import { loadNative } from '../../lib/kernels/native.ts';
import { arraysOf, type Call, isArray, isList, type Outcome, type TypedArray } from '../contract/call.ts';
import { compareOutcomes, tolerances } from '../contract/compare.ts';
import { mutations } from '../contract/mutate.ts';
import { kernelNames as allKernels } from '../contract/signature.ts';
import { brief, buffersOf, execute, placementOf, randomCall } from './calls.ts';
import {
  attempts,
  boom,
  isAllowed,
  makeBuffer,
  numbers,
  Random,
  showError,
  type Try,
  takeAway,
} from './support.ts';

const addon = loadNative();
const at = process.argv.indexOf('--only');
const kernelNames =
  at < 0 ? allKernels : allKernels.filter((name) => process.argv[at + 1].split(',').includes(name));
const implementations = [fallback, addon] as const;

/** Kernels with algorithms of their own for many a size. */
const intricate = kernelNames.filter((name) =>
  /gemm|conv|pool|norm|moments|softmax|reduce|epilogue/i.test(name),
);
const convolutions = kernelNames.filter((name) => name.startsWith('convolve'));
const lists = kernelNames.filter((name) => ['elementwise', 'fused', 'sgd', 'adam'].includes(name));

/** A few units in the last place, which any two correct results may differ by; what is beyond is measured. */
function nearby(outcome: Outcome): ReadonlyMap<number, Float64Array> {
  return new Map(
    arraysOf(outcome.args).map(({ array }, at) => {
      const unit = array instanceof Float32Array ? 2 ** -22 : array instanceof Float64Array ? 2 ** -51 : 0;
      return [at, Float64Array.from(array, (x) => Math.abs(x) * unit)];
    }),
  );
}

function differs(call: Call, [ours, theirs]: readonly Outcome[]): string | null {
  if (compareOutcomes(call, ours, theirs, nearby(ours)) === null) return null;
  // Tolerances are measured by a few trials, which is an estimate: among millions of elements some lie beyond it.
  const wide = [...tolerances(call)].map(([at, list]) => [at, list.map((x) => 4 * x)] as const);
  return compareOutcomes(call, ours, theirs, new Map(wide));
}

function check(
  { find }: Try,
  call: Call,
  outcomes: readonly Outcome[],
  what: string,
  compares: boolean,
): void {
  outcomes.forEach(({ error, fault }, i) => {
    const who = i === 0 ? 'the fallback' : 'the addon';
    if (fault !== null)
      find(`${call.kernel}: ${who} ${fault.replace(/, at.*/, '')}`, `${what}: ${fault}\n${brief(call)}`);
    if (error !== null && (!isAllowed(error) || /its workspace/.test(showError(error)))) {
      find(
        `${call.kernel}: ${who} ${showError(error).slice(0, 60)}`,
        `${what}: ${showError(error)}\n${brief(call)}`,
      );
    }
  });
  if (!compares || outcomes.some(({ fault }) => fault !== null)) return;
  const problem = differs(call, outcomes);
  if (problem !== null) find(`${call.kernel}: the results differ`, `${what}: ${problem}\n${brief(call)}`);
}

function right(t: Try, kernel: (typeof kernelNames)[number]): void {
  const { random } = t;
  const special = random.chance(0.1);
  // Overlapping arrays are races by themselves.
  const overlapping = process.env.AXPY_SANITIZER !== 'thread' && random.chance(0.08);
  const call = randomCall(random, kernel, random.chance(0.03) ? 3e6 : 1e5, special);
  const what = overlapping ? 'overlapping' : special ? 'special values' : 'a right call';
  t.note(`${brief(call)} ${what}`);
  const placement = placementOf(random, call.args, overlapping);
  // Numbers of overlapping arrays are unspecified; those that come of special values have a test of their own.
  const compares = !overlapping && !special;
  const outcomes = implementations.map((implementation) => execute(implementation, call, placement));
  const { error } = outcomes[0];
  if (error !== null && compares && (error as { code?: string }).code !== 'AXPY_NON_FINITE') {
    t.find(`${kernel}: refuses a right call`, `${showError(error)}\n${brief(call)}`);
  }
  check(t, call, outcomes, what, compares);
}

/** One or two arguments replaced by wrong ones. */
function wrong(t: Try, kernel: (typeof kernelNames)[number]): void {
  const { random } = t;
  const call = randomCall(random, kernel, 2000);
  const all = mutations(call);
  const chosen = random.chance(0.8) ? [random.pick(all)] : [random.pick(all), random.pick(all)];
  const what = chosen.map(({ title, position }) => `argument ${position} ${title}`).join(' and ');
  const places = random.int(0, 2 ** 31 - 1);
  const outcomes = implementations.map((implementation) => {
    const raw = new Map<number, unknown>();
    let { args } = call;
    for (const { position, make, raw: isRaw } of chosen) {
      if (isRaw) raw.set(position, make());
      else args = args.with(position, make());
    }
    // Where the arguments lie is the same for both, and for what cannot be placed.
    const changed = { ...call, args: args.map((value, i) => (raw.has(i) ? null : value)) };
    t.note(`${brief(changed)} ${what}`);
    return execute(implementation, changed, placementOf(new Random(places), changed.args), raw);
  });
  check(t, call, outcomes, what, false);
  const [ours, theirs] = outcomes.map(({ error }) => (error === null ? 'success' : showError(error)));
  // Of two faults either may be named. And V8's optimised code has been seen to take the length of a detached array for what
  // it was, so that the fallback then names its length, or takes it for an empty one.
  if (chosen.some(({ title }) => title.endsWith('detached'))) return;
  const same = chosen.length === 1 ? ours === theirs : (ours === 'success') === (theirs === 'success');
  if (!same)
    t.find(`${kernel}: the errors differ`, `${what}\nfallback: ${ours}\naddon: ${theirs}\n${brief(call)}`);
}

/** Lists and their arrays that change while they are read. */
function treacherous(t: Try, kernel: (typeof kernelNames)[number]): void {
  const { random } = t;
  const call = randomCall(random, kernel, 3000);
  const kind = random.pick(['ordinary', 'resizable'] as const);
  const blow = random.pick([
    'take away',
    'throw',
    'empty',
    'grow',
    'number',
    'other type',
    'revoked',
    'recurse',
  ] as const);
  const way = random.pick(['getter', 'proxy'] as const);
  t.note(`${brief(call)} ${way} ${blow} ${kind}`);
  for (const [i, implementation] of implementations.entries()) {
    const own = call.args.map((value) => {
      const copy = (array: TypedArray): TypedArray => {
        const Type = array.constructor as new (
          buffer: ArrayBufferLike,
          at: number,
          length: number,
        ) => TypedArray;
        const made = new Type(makeBuffer(kind, array.byteLength), 0, array.length);
        made.set(array as never);
        return made;
      };
      if (isList(value)) return value.map(copy);
      return isArray(value) ? copy(value) : value;
    });
    const positions = own.flatMap((value, at) => (isList(value) && value.length > 0 ? [at] : []));
    if (positions.length === 0) return;
    const position = random.pick(positions);
    const list = own[position] as TypedArray[];
    const at = random.int(0, list.length - 1);
    const array = list[at];
    const buffers = buffersOf(own);
    const strike = (): unknown => {
      if (blow === 'take away') buffers.forEach(takeAway);
      // What was freed is used again at once.
      if (blow === 'take away') for (let n = 0; n < 20; n++) new Float32Array(random.int(1, 3000)).fill(n);
      if (blow === 'throw') boom();
      if (blow === 'empty') list.length = 0;
      if (blow === 'grow') for (let n = 0; n < 1000; n++) list.push(array);
      if (blow === 'number') return random.pick(numbers);
      if (blow === 'other type') return new Int32Array(array.length);
      if (blow === 'recurse') (implementation[kernel] as (...args: unknown[]) => void)(...call.args);
      return array;
    };
    if (blow === 'revoked') {
      const { proxy, revoke } = Proxy.revocable(list, {});
      revoke();
      own[position] = proxy;
    } else if (way === 'proxy') {
      own[position] = new Proxy(list, {
        get: (target, name) => (name === String(at) ? strike() : Reflect.get(target, name)),
      });
    } else {
      Object.defineProperty(list, at, { get: strike, configurable: true });
    }
    let error: unknown = null;
    try {
      (implementation[kernel] as (...args: unknown[]) => void)(...own);
    } catch (thrown) {
      error = thrown;
    }
    if (error !== null && !isAllowed(error)) {
      const who = i === 0 ? 'the fallback' : 'the addon';
      t.find(
        `${kernel}: ${who} ${showError(error).slice(0, 60)}`,
        `${way} ${blow}: ${showError(error)}\n${brief(call)}`,
      );
    }
  }
}

await attempts((t) => {
  const { random } = t;
  if (random.chance(0.05)) addon.setThreads(random.int(1, 4));
  const kernel = random.pick(random.pick([kernelNames, kernelNames, intricate, convolutions]));
  const way = random.next();
  if (way < 0.7) right(t, kernel);
  else if (way < 0.96) wrong(t, kernel);
  else treacherous(t, random.pick(lists));
});
