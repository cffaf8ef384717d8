/**
 * Learning rates that change from step to step, as functions of how many steps were taken before: an optimizer's
 * `learningRate` may be one, or that of a group. PyTorch's formulas, and Keras's where it has others; from the last step on
 * a rate stays what it is. A function of one's own is a schedule as well: `(step) => 0.1 / (1 + step)`.
 * @module
 */
import { checkBoolean, checkOptions, checkPositive, describe, isFunction, readList } from '../arguments.ts';
import { ArgumentError } from '../errors.ts';
import { checkNumber, type Domain } from './hyper.ts';

/** The learning rate of a step, from how many were taken before: of the first one it is that of 0. */
export type Schedule = (step: number) => number;

/** What a number of the options may be. */
const domains: Readonly<Record<string, Domain>> = {
  from: { low: 0 },
  to: { low: 0 },
  max: { low: 0 },
  factor: { low: 0 },
  power: { low: 0 },
  warmup: { low: 0, integer: true },
  steps: { low: 1, integer: true },
  every: { low: 1, integer: true },
  multiply: { low: 1, integer: true },
  rising: { low: 0 },
  divFactor: { low: Number.MIN_VALUE },
  finalDivFactor: { low: Number.MIN_VALUE },
};

/** Options with their defaults, each number checked. */
function read<Options extends object>(op: string, defaults: Options, given: object): Options {
  checkOptions(op, given, Object.keys(defaults));
  const own = { ...defaults, ...defined(given) };
  for (const [name, value] of Object.entries(own)) {
    if (domains[name] !== undefined) checkNumber(op, name, value, domains[name]);
  }
  return own;
}

const defined = (given: object) =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));

const needed = undefined as unknown as number;

/** Half a cosine from 1 at a share of 0 to 0 at 1. */
const fall = (share: number) => (1 + Math.cos(Math.PI * share)) / 2;

/**
 * From a smaller rate up to that with which another schedule begins, in equal steps, and then that schedule (Goyal et al.,
 * "Accurate, large minibatch SGD", 2017).
 * @param steps how many steps it takes; the next one is the first of `then`
 * @param then a schedule, or the rate that stays
 * @param options.from the rate of the first step; default 0
 */
export function warmup(steps: number, then: Schedule | number, options: { from?: number } = {}): Schedule {
  const op = 'warmup';
  checkPositive(op, 'steps', steps);
  const { from } = read(op, { from: 0 }, options);
  if (!isFunction(then)) checkNumber(op, 'then', then, { low: 0 });
  const after: Schedule = isFunction(then) ? then : () => then as number;
  return (step) => (step < steps ? from + ((after(0) - from) * step) / steps : after(step - steps));
}

/** Options of `cosine`. */
export interface CosineOptions {
  from: number;
  /** Default 0. */
  to?: number;
  /** In how many steps, those of the warmup among them. */
  steps: number;
  /** How many of these go up from 0 to `from`; default 0. */
  warmup?: number;
}

/** Along half a cosine (Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017), without restarts. */
export function cosine(options: CosineOptions): Schedule {
  const op = 'cosine';
  const own = read(op, { from: needed, to: 0, steps: needed, warmup: 0 }, options);
  const { from, to } = own;
  const steps = own.steps - own.warmup;
  if (steps < 1) {
    throw new ArgumentError(`[${op}] expected warmup to be less than steps, ${own.steps}, got ${own.warmup}`);
  }
  const falling: Schedule = (step) => to + (from - to) * fall(Math.min(step / steps, 1));
  return own.warmup === 0 ? falling : warmup(own.warmup, falling);
}

/** Options of `cosineRestarts`. */
export interface CosineRestartsOptions {
  from: number;
  /** Default 0. */
  to?: number;
  /** Of the first cycle. */
  steps: number;
  /** How many times as long each next cycle is; default 1. */
  multiply?: number;
}

/** Along half a cosine, again and again (Loshchilov & Hutter, 2017). */
export function cosineRestarts(options: CosineRestartsOptions): Schedule {
  const { from, to, steps, multiply } = read(
    'cosineRestarts',
    { from: needed, to: 0, steps: needed, multiply: 1 },
    options,
  );
  return (step) => {
    let [start, length] = [0, steps];
    if (multiply === 1) start = Math.floor(step / steps) * steps;
    else for (; step >= start + length; length *= multiply) start += length;
    return to + (from - to) * fall((step - start) / length);
  };
}

/** Options of `polynomial`. */
export interface PolynomialOptions {
  from: number;
  /** Default 0. */
  to?: number;
  steps: number;
  /** Default 1: in a straight line. */
  power?: number;
}

/** to + (from − to)·(1 − step/steps)^power. */
export function polynomial(options: PolynomialOptions): Schedule {
  const { from, to, steps, power } = read(
    'polynomial',
    { from: needed, to: 0, steps: needed, power: 1 },
    options,
  );
  return (step) => to + (from - to) * (1 - Math.min(step / steps, 1)) ** power;
}

/** Options of `exponential`. */
export interface ExponentialOptions {
  from: number;
  /** What the rate is multiplied by, */
  factor: number;
  /** in so many steps, little by little; default 1. */
  every?: number;
}

/** from·factor^(step/every). */
export function exponential(options: ExponentialOptions): Schedule {
  const { from, factor, every } = read('exponential', { from: needed, factor: needed, every: 1 }, options);
  return (step) => from * factor ** (step / every);
}

/** Options of `stepDecay`. */
export interface StepDecayOptions {
  from: number;
  /** What the rate is multiplied by; default 0.1. */
  factor?: number;
  /** Either after each so many steps, or after those of a list. */
  every?: number;
  at?: readonly number[];
}

/** from·factor^k, where k counts how often it was time. */
export function stepDecay(options: StepDecayOptions): Schedule {
  const op = 'stepDecay';
  checkOptions(op, options, ['from', 'factor', 'every', 'at']);
  const { at, every, ...others } = options;
  const { from, factor } = read(op, { from: needed, factor: 0.1 }, others);
  if ((at === undefined) === (every === undefined)) {
    throw new ArgumentError(`[${op}] expected every or at, got ${at === undefined ? 'neither' : 'both'}`);
  }
  if (at === undefined) {
    checkPositive(op, 'every', every!);
    return (step) => from * factor ** Math.floor(step / every!);
  }
  const times = readList(op, 'at', at);
  for (const time of times) checkNumber(op, 'each of at', time, { low: 0, integer: true });
  return (step) => from * factor ** times.filter((time) => time <= step).length;
}

/** Options of `oneCycle`. */
export interface OneCycleOptions {
  /** The largest rate. */
  max: number;
  steps: number;
  /** The share of steps in which it rises; default 0.3. */
  rising?: number;
  /** The first rate is max / divFactor; default 25. */
  divFactor?: number;
  /** The last one is the first one / finalDivFactor; default 10000. */
  finalDivFactor?: number;
  /** Along half a cosine or a straight line; default 'cos'. */
  anneal?: 'cos' | 'linear';
  /** Whether to fall as fast as it rose, to the first rate, and from there to the last one; default false. */
  threePhase?: boolean;
}

/**
 * Up to a large rate, and down to a tiny one (Smith & Topin, "Super-convergence", 2018). The rate alone: PyTorch's
 * `OneCycleLR` moves momentum as well, unless `cycle_momentum=False`.
 */
export function oneCycle(options: OneCycleOptions): Schedule {
  const op = 'oneCycle';
  checkOptions(op, options, [
    'max',
    'steps',
    'rising',
    'divFactor',
    'finalDivFactor',
    'anneal',
    'threePhase',
  ]);
  const { anneal = 'cos', threePhase = false, ...others } = options;
  const { max, steps, rising, divFactor, finalDivFactor } = read(
    op,
    { max: needed, steps: needed, rising: 0.3, divFactor: 25, finalDivFactor: 1e4 },
    others,
  );
  if (anneal !== 'cos' && anneal !== 'linear') {
    throw new ArgumentError(`[${op}] expected anneal to be cos or linear, got ${describe(anneal)}`);
  }
  checkBoolean(op, 'threePhase', threePhase);
  if (rising > (threePhase ? 0.5 : 1)) {
    throw new ArgumentError(`[${op}] expected rising to be at most ${threePhase ? 0.5 : 1}, got ${rising}`);
  }
  const first = max / divFactor;
  const last = first / finalDivFactor;
  const peak = rising * steps - 1;
  const phases: readonly (readonly [end: number, from: number, to: number])[] = threePhase
    ? [
        [peak, first, max],
        [2 * peak, max, first],
        [steps - 1, first, last],
      ]
    : [
        [peak, first, max],
        [steps - 1, max, last],
      ];
  return (step) => {
    let start = 0;
    for (const [end, from, to] of phases) {
      if (step <= end) {
        const share = end > start ? (step - start) / (end - start) : 1;
        return anneal === 'linear' ? from + (to - from) * share : to + (from - to) * fall(share);
      }
      start = end;
    }
    return last;
  };
}
