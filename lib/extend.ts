/**
 * What the layers and ops of the library are made of, for layers and ops outside it: the same functions, which here check
 * what they are given as well.
 */
import { checkFunction, checkOptions as checkNames, describe, readList } from './arguments.ts';
import { ArgumentError, AutogradError, ShapeError } from './errors.ts';
import {
  type Fans,
  type Initializer,
  initialize as initializeOne,
  initializeBoth as initializePair,
} from './initializers.ts';
import {
  checkCount as checkCounted,
  checkInputDtype as checkDtypeOf,
  inputError as errorAbout,
} from './layers/checks.ts';
import { checkLayer, type Layer } from './layers/layer.ts';
import type { Dtype, FloatDtype } from './memory.ts';
import { clone } from './ops/cast.ts';
import { trackInOps } from './ops/derivative.ts';
import { type Activation, readActivation } from './ops/epilogue.ts';
import { linear as linearOf } from './ops/linear.ts';
import { readShape, type Shape, sameShape, show } from './shape.ts';
import { checkFloat as checkFloats, checkTensor as checkIsTensor, type Tensor } from './tensor.ts';

/** Who asks, in messages. */
const text = (name: unknown): string => (typeof name === 'string' ? name : describe(name));

/**
 * Gives the output of an op its own derivative, as PyTorch's `autograd.Function`: `backward` gets dL/doutput and returns
 * dL/dinput for each input, or null for none. It computes with ops, and so runs compiled as well, and is differentiated itself
 * where gradients of gradients are asked for. It is called once, but for histories that are kept.
 * @param output computed without a history, under `noGrad` or of detached tensors
 * @param inputs tensors, or null for one that was left out
 * @param saved the tensors that `backward` reads, whose change before it is an error; by default inputs and output
 * @returns output
 * @throws AutogradError for an output that has a history or is a Parameter
 */
export function track(
  output: Tensor,
  inputs: readonly (Tensor | null)[],
  backward: (gradient: Tensor) => readonly (Tensor | null)[],
  saved?: readonly Tensor[],
): Tensor {
  const op = 'track';
  checkIsTensor(op, output, 'output');
  const own = readList(op, 'inputs', inputs);
  for (const input of own) if (input !== null) checkIsTensor(op, input, 'each input');
  checkFunction(op, 'backward', backward);
  const read = saved === undefined ? [...own, output] : readList(op, 'saved', saved);
  for (const x of read) if (x !== null) checkIsTensor(op, x, 'each saved tensor');
  checkFloats(op, output);
  if (output.requiresGrad) {
    throw new AutogradError(`[${op}] expected an output without a history, got one that requires a gradient`);
  }
  return trackInOps(output, own, read, (dy) => {
    // A copy of what is no user's, as the buffer of a gradient serves again.
    const given = readList(op, 'what backward returns', backward(dy.node === null ? clone(dy) : dy));
    if (given.length !== own.length) {
      throw new ArgumentError(`[${op}] expected ${own.length} gradients from backward, got ${given.length}`);
    }
    given.forEach((share, i) => {
      const input = own[i];
      if (share === null || input === null) return;
      checkIsTensor(op, share, `gradient ${i}`);
      if (share.dtype !== input.dtype || !sameShape(share.shape, input.shape)) {
        throw new ShapeError(
          `[${op}] expected gradient ${i} to be ${input.dtype} ${show(input.shape)}, got ${share.dtype} ${show(share.shape)}`,
        );
      }
    });
    return given;
  });
}

/** As `initialize` of a Parameter's values: for a weight [out, …, in], unless `fans` says otherwise. @throws as `Dense` */
export function initialize(x: Tensor, init: Initializer, fans?: Fans): void {
  checkIsTensor('initialize', x);
  checkFloats('initialize', x);
  initializeOne(x, init, fans);
}

/** Fills a weight and, where there is one, a bias, once both initializers are known to be good. @throws as `Dense` */
export function initializeBoth(
  weight: Tensor,
  init: Initializer,
  bias: Tensor | null,
  biasInit: Initializer,
  fans?: Fans,
): void {
  const op = 'initializeBoth';
  for (const [name, x] of Object.entries({ weight, ...(bias === null ? {} : { bias }) })) {
    checkIsTensor(op, x, name);
    checkFloats(op, x);
  }
  initializePair(weight, init, bias, biasInit, fans);
}

/**
 * g(X·Wᵀ + b) for each row of X, in one kernel call.
 * @param x [batch, in]
 * @param weight [out, in]
 * @param bias [out], or null for none
 * @param activation what `fusedActivation` gives, or null for none
 * @returns [batch, out]
 * @throws ShapeError, DtypeError where tensors do not fit each other
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null = null,
  activation: Activation | null = null,
): Tensor {
  return linearOf(x, weight, bias, readActivation('linear', activation));
}

/** @throws ArgumentError, which `op` begins, unless x is a tensor */
export function checkTensor(op: string, x: unknown, name = 'a tensor'): asserts x is Tensor {
  checkIsTensor(text(op), x, text(name));
}

/** The dtype of x. @throws DtypeError, which `op` begins, unless it is float32 or float64 */
export function checkFloat(op: string, x: Tensor): FloatDtype {
  checkIsTensor(text(op), x);
  return checkFloats(text(op), x);
}

/** @throws DtypeError, which names the layer, unless its input has this dtype */
export function checkInputDtype(layer: Layer, x: Tensor, dtype: Dtype): void {
  const op = 'checkInputDtype';
  checkLayer(op, layer, 'layer');
  checkIsTensor(op, x);
  checkDtypeOf(layer, x, text(dtype) as Dtype);
}

/** The value. @throws ArgumentError, which names the layer, unless it is an integer of at least 1 */
export function checkCount(layer: string, name: string, value: number): number {
  return checkCounted(text(layer), text(name), value);
}

/** @throws ArgumentError, which `op` begins, unless options is an object that has only known names */
export function checkOptions(op: string, options: object, known: readonly string[]): void {
  checkNames(text(op), options, readList('checkOptions', 'known', known).map(text));
}

/**
 * An error about a layer's input, which names the layer: `Dense 2 expected input [batch, 512], received [128, 256]`.
 * @param received the shape, as a tensor has it
 */
export function inputError(layer: Layer, expected: string, received: Shape): Error {
  checkLayer('inputError', layer, 'layer');
  return errorAbout(layer, text(expected), readShape('inputError', received));
}
