/** The ops that are methods of Tensor: all that these modules export, with their docstrings, but for the helpers named here. */
import { Tensor } from '../tensor.ts';
import * as binary from './binary.ts';
import * as broadcastTo from './broadcastTo.ts';
import * as cast from './cast.ts';
import * as gather from './gather.ts';
import * as inPlace from './inPlace.ts';
import * as matmul from './matmul.ts';
import * as pad from './pad.ts';
import * as reduce from './reduce.ts';
import * as reshape from './reshape.ts';
import * as slice from './slice.ts';
import * as softmax from './softmax.ts';
import * as transpose from './transpose.ts';
import * as unary from './unary.ts';

/** What other ops use, and functions that are not methods. */
const helpers = ['oneHot', 'unary', 'unaryGradient', 'where', 'withoutBroadcast'] as const;
type Helper = (typeof helpers)[number];

type Method<Op> = Op extends (x: Tensor, ...rest: infer Rest) => infer Result
  ? (...rest: Rest) => Result
  : never;

/** In this form, and with no `as`, editors show for a method what stands above its function. */
type MethodsOf<Module, Name extends keyof Module = Exclude<keyof Module, Helper>> = {
  [Key in Name]: Method<Module[Key]>;
};

/** Updates in place return what they are called on, a Parameter a Parameter. */
type InPlaceMethods<Module> = {
  [Key in keyof Module]: Module[Key] extends (x: Tensor, ...rest: infer Rest) => Tensor
    ? <Self>(this: Self, ...rest: Rest) => Self
    : never;
};

export type TensorMethods = MethodsOf<typeof binary> &
  MethodsOf<typeof broadcastTo> &
  MethodsOf<typeof cast> &
  MethodsOf<typeof gather> &
  InPlaceMethods<typeof inPlace> &
  MethodsOf<typeof matmul> &
  MethodsOf<typeof pad> &
  MethodsOf<typeof reduce> &
  MethodsOf<typeof reshape> &
  MethodsOf<typeof slice> &
  MethodsOf<typeof softmax> &
  MethodsOf<typeof transpose> &
  MethodsOf<typeof unary>;

type Op = (x: Tensor, ...rest: never[]) => Tensor;

/** The compiler refuses a module with something that neither begins with a tensor nor is named as a helper. */
function install<Module>(module: { [Name in keyof Module]: Name extends Helper ? unknown : Op }): void {
  for (const [name, op] of Object.entries<unknown>(module)) {
    if ((helpers as readonly string[]).includes(name)) continue;
    Object.defineProperty(Tensor.prototype, name, {
      configurable: true,
      writable: true,
      value(this: Tensor, ...rest: never[]): Tensor {
        return (op as Op)(this, ...rest);
      },
    });
  }
}

install(binary);
install(broadcastTo);
install(cast);
install(gather);
install(inPlace);
install(matmul);
install(pad);
install(reduce);
install(reshape);
install(slice);
install(softmax);
install(transpose);
install(unary);
