/** Compiled functions of x and y that may be several tensors. */
import { isTensor, type Tensor } from '../tensor.ts';
import { leavesOf, mapTree } from '../tree.ts';
import { type Compiled, compile } from './compile.ts';
import type { Tensors } from './examples.ts';

/**
 * As `compile`, of a function whose arguments may be arrays and records of tensors. Those go in one by one, beside a text
 * that says where each belongs, which for one tensor alone nobody needs.
 */
export function compileSeveral<Args extends Tensors[], Returned>(
  fn: (...args: Args) => Returned,
): Compiled<Args, Returned> {
  const plain = compile(fn);
  const several = compile((form: string, ...tensors: Tensor[]) =>
    fn(...(mapTree(JSON.parse(form), isNumber, (at) => tensors[at]) as Args)),
  );
  const flat = (args: Args): [string, ...Tensor[]] => {
    let places = 0;
    return [JSON.stringify(mapTree(args, isTensor, () => places++)), ...leavesOf(args, isTensor)];
  };
  const isPlain = (args: Tensors[]): boolean => args.every(isTensor);
  return Object.assign((...args: Args) => (isPlain(args) ? plain(...args) : several(...flat(args))), {
    sync: (...args: Args) => (isPlain(args) ? plain.sync(...args) : several.sync(...flat(args))),
  });
}

const isNumber = (value: unknown): value is number => typeof value === 'number';
