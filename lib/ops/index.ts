/** The ops that are methods of Tensor: all that these modules export, with their docstrings, but for the helpers named here. */
import type { Dtype } from '../memory.ts';
import { Tensor } from '../tensor.ts';
import * as along from './along.ts';
import * as binary from './binary.ts';
import * as broadcastTo from './broadcastTo.ts';
import * as cast from './cast.ts';
import * as classify from './classify.ts';
import * as cumulate from './cumulate.ts';
import * as gather from './gather.ts';
import * as inPlace from './inPlace.ts';
import * as matmul from './matmul.ts';
import * as norm from './norm.ts';
import * as pad from './pad.ts';
import * as product from './product.ts';
import * as reduce from './reduce.ts';
import * as reshape from './reshape.ts';
import * as slice from './slice.ts';
import * as softmax from './softmax.ts';
import type { Sorted } from './sort.ts';
import * as sort from './sort.ts';
import * as split from './split.ts';
import * as tile from './tile.ts';
import * as transpose from './transpose.ts';
import * as triangle from './triangle.ts';
import * as unary from './unary.ts';

/** What other ops use, and functions that are not methods. */
const helpers = [
  'checkIndices',
  'aboutMean',
  'oneHot',
  'trackSoftmax',
  'unary',
  'where',
  'withoutBroadcast',
] as const;
type Helper = (typeof helpers)[number];

/** A tensor without a dtype in the signature of an op, as an operand or the result, has that of the tensor it is called on. */
type Like<Type, D extends Dtype> =
  Type extends Tensor<infer Own> ? (unknown extends Own ? Tensor<D> : Type) : Type;

/** Likewise of results: tensors, and arrays and records of them. */
type Results<Type, D extends Dtype> = Type extends Tensor
  ? Like<Type, D>
  : { [Key in keyof Type]: Like<Type[Key], D> };

/** Declared as a method, so that a tensor of one dtype may stand where one of any is expected. */
type Method<Op, D extends Dtype> = Op extends (x: Tensor, ...rest: infer Rest) => infer Result
  ? { method(...rest: { [Index in keyof Rest]: Like<Rest[Index], D> }): Results<Result, D> }['method']
  : never;

type Cast = <To extends Dtype>(dtype: To) => Tensor<To>;

/** In this form, and with no `as`, editors show for a method what stands above its function. */
type MethodsOf<Module, D extends Dtype, Name extends keyof Module = Exclude<keyof Module, Helper>> = {
  [Key in Name]: Key extends 'cast' ? Cast : Method<Module[Key], D>;
};

/** Updates in place return what they are called on, a Parameter a Parameter. */
type InPlaceMethods<Module, D extends Dtype> = {
  [Key in keyof Module]: Module[Key] extends (x: Tensor, ...rest: infer Rest) => Tensor
    ? {
        method<Self>(this: Self, ...rest: { [Index in keyof Rest]: Like<Rest[Index], D> }): Self;
      }['method']
    : never;
};

export type TensorMethods<D extends Dtype> = MethodsOf<typeof along, D> &
  MethodsOf<typeof binary, D> &
  MethodsOf<typeof broadcastTo, D> &
  MethodsOf<typeof cast, D> &
  MethodsOf<typeof classify, D> &
  MethodsOf<typeof cumulate, D> &
  MethodsOf<typeof gather, D> &
  InPlaceMethods<typeof inPlace, D> &
  MethodsOf<typeof matmul, D> &
  MethodsOf<typeof norm, D> &
  MethodsOf<typeof pad, D> &
  MethodsOf<typeof product, D> &
  MethodsOf<typeof reduce, D> &
  MethodsOf<typeof reshape, D> &
  MethodsOf<typeof slice, D> &
  MethodsOf<typeof softmax, D> &
  MethodsOf<typeof sort, D> &
  MethodsOf<typeof split, D> &
  MethodsOf<typeof tile, D> &
  MethodsOf<typeof transpose, D> &
  MethodsOf<typeof triangle, D> &
  MethodsOf<typeof unary, D>;

type Op = (x: Tensor, ...rest: never[]) => Tensor | readonly Tensor[] | Sorted;

/** The compiler refuses a module with something that neither begins with a tensor nor is named as a helper. */
function install<Module>(module: { [Name in keyof Module]: Name extends Helper ? unknown : Op }): void {
  for (const [name, op] of Object.entries<unknown>(module)) {
    if ((helpers as readonly string[]).includes(name)) continue;
    Object.defineProperty(Tensor.prototype, name, {
      configurable: true,
      writable: true,
      value(this: Tensor, ...rest: never[]) {
        return (op as Op)(this, ...rest);
      },
    });
  }
}

install(along);
install(binary);
install(broadcastTo);
install(cast);
install(classify);
install(cumulate);
install(gather);
install(inPlace);
install(matmul);
install(norm);
install(pad);
install(product);
install(reduce);
install(reshape);
install(slice);
install(softmax);
install(sort);
install(split);
install(tile);
install(transpose);
install(triangle);
install(unary);
