/** Tensors made of nothing: zeros, ones, full, arange, eye. Random ones are in random.ts. */
import { checkBoolean, checkOptions, describe } from './arguments.ts';
import { ArgumentError, DataError } from './errors.ts';
import { kernels } from './kernels/index.ts';
import { allocate, type Dtype } from './memory.ts';
import { readShape, type Shape, sizeOf } from './shape.ts';
import { checkDtype, elements, empty, Tensor } from './tensor.ts';
import { tracing } from './trace.ts';

/** What `zeros`, `ones`, `full` and the like make. */
export interface CreateOptions<D extends Dtype = Dtype> {
  /** Default float32. */
  dtype?: D;
  requiresGrad?: boolean;
}

/** Of zeros, or to be filled by a kernel. */
function create(op: string, shape: Shape, options: CreateOptions, kind: 'zeros' | 'empty' = 'zeros'): Tensor {
  checkOptions(op, options, ['dtype', 'requiresGrad']);
  const { dtype = 'float32', requiresGrad = false } = options;
  checkBoolean(op, 'requiresGrad', requiresGrad);
  checkDtype(op, dtype);
  const own = readShape(op, shape);
  const x = kind === 'empty' ? empty(own, dtype) : new Tensor(allocate(sizeOf(own), dtype), own, dtype);
  return requiresGrad ? x.setRequiresGrad() : x;
}

/** A tensor of zeros. */
export function zeros<D extends Dtype = 'float32'>(
  shape: Shape,
  options: CreateOptions<D> = {},
): Tensor<NoInfer<D>> {
  return create('zeros', shape, options);
}

/** A tensor of ones. */
export function ones<D extends Dtype = 'float32'>(
  shape: Shape,
  options: CreateOptions<D> = {},
): Tensor<NoInfer<D>> {
  return filled('ones', shape, 1, options);
}

/** A tensor of one value. @throws DataError for a value that an int32 tensor cannot hold. */
export function full<D extends Dtype = 'float32'>(
  shape: Shape,
  value: number,
  options: CreateOptions<D> = {},
): Tensor<NoInfer<D>> {
  return filled('full', shape, value, options);
}

function filled<D extends Dtype>(
  op: string,
  shape: Shape,
  value: number,
  options: CreateOptions<D>,
): Tensor<NoInfer<D>> {
  const x = create(op, shape, options, 'empty');
  if (typeof value !== 'number')
    throw new ArgumentError(`[full] expected value to be a number, got ${describe(value)}`);
  if (x.dtype === 'int32' && (value | 0) !== value) {
    throw new DataError(`[full] expected an integer for int32, got ${value}`);
  }
  kernels.fill(elements(x), value);
  tracing?.note('full', [], x, { value });
  return x;
}

/**
 * start, start + step, … up to, and without, stop; with one argument, 0, 1, … stop − 1.
 * @throws ArgumentError for a step of 0 or a bound that is not finite.
 */
export function arange<D extends Dtype = 'float32'>(
  start: number,
  stop?: number,
  step = 1,
  options: CreateOptions<D> = {},
): Tensor<NoInfer<D>> {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  if (![from, to, step].every(Number.isFinite) || step === 0) {
    throw new ArgumentError(
      `[arange] expected finite bounds and a step other than 0, got ${[from, to, step].map(describe).join(', ')}`,
    );
  }
  const x = create('arange', [Math.max(Math.ceil((to - from) / step), 0)], options);
  const data = x.storage.array!;
  for (let i = 0; i < x.size; i++) {
    const value = from + i * step;
    if (x.dtype === 'int32' && (value | 0) !== value) {
      throw new DataError(`[arange] expected integers for int32, got ${value}`);
    }
    data[i] = value;
  }
  return x;
}

/** The identity matrix, n × n. */
export function eye<D extends Dtype = 'float32'>(
  n: number,
  options: CreateOptions<D> = {},
): Tensor<NoInfer<D>> {
  const x = create('eye', [n, n], options);
  const data = x.storage.array!;
  for (let i = 0; i < n; i++) data[i * (n + 1)] = 1;
  return x;
}
