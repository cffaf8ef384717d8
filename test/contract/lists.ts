/** Random lists of instructions for the kernel `elementwise`. */
import { binaryOps, reduceCode, unaryOps } from '../../lib/kernels/codes.ts';
import { disassemble, instructionsFrom, type Op, ops } from '../../lib/kernels/instructions.ts';

const whereOp = unaryOps.length + binaryOps.length;

/** How many values of each kind a list begins with. */
export interface Counts {
  readonly outs: number;
  readonly ins: number;
  readonly scalars: number;
  readonly shared: number;
  readonly constants: number;
}

/** Ops of one correctly rounded operation, whose results do not hang on the sign of a zero chosen among equals. */
export const exactOps = [
  ...['neg', 'sqrt', 'abs', 'square', 'reciprocal', 'sign', 'relu'],
  ...['add', 'sub', 'mul', 'div', 'equal', 'notEqual', 'greater', 'greaterEqual', 'less', 'lessEqual'],
  'where',
];
export const everyOp = [...unaryOps, ...binaryOps, 'where'];

const codeOf = (name: string): number => (name === 'where' ? whereOp : everyOp.indexOf(name));

/** A list of `length` instructions; `next` draws from [0, 1). */
export function randomList(
  next: () => number,
  { outs, ins, scalars, shared, constants }: Counts,
  length: number,
  ops: readonly string[],
): Int32Array<ArrayBuffer> {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)];
  const elements = Array.from({ length: outs + ins }, (_, value) => value);
  const numbers = Array.from({ length: scalars + shared + constants }, (_, i) => outs + ins + i);
  let values = elements.length + numbers.length;
  const recent = (list: readonly number[]) => pick(next() < 0.5 ? list.slice(-4) : list);
  const any = () => (numbers.length > 0 && next() < 0.3 ? recent(numbers) : recent(elements));
  const scalar = () => (numbers.length === 0 || next() < 0.2 ? -1 : pick(numbers));
  const code: number[] = [];
  for (let i = 0; i < length; i++) {
    const op = codeOf(pick(ops));
    const operands =
      op < unaryOps.length
        ? [any(), scalar(), scalar()]
        : op < whereOp
          ? [any(), any()]
          : [next() < 0.5 && numbers.length > 0 ? pick(numbers) : any(), any(), any()];
    code.push(op, ...operands);
    const isScalar = operands.every((value) => value < 0 || numbers.includes(value));
    (isScalar ? numbers : elements).push(values++);
  }
  const becomes = [
    ...Array.from({ length: outs }, any),
    ...Array.from({ length: scalars }, () => recent(numbers)),
  ];
  return Int32Array.from([outs, ins, scalars, ...becomes, ...code]);
}

/** Whether an op is one of those. */
export function isExactOp(op: Op): boolean {
  return exactOps.includes(everyOp[ops.indexOf(op)]);
}

/** Whether both implementations have to give the same bits of a call of `fused`. */
export function isExactChain(code: Int32Array): boolean {
  const isExtreme = (reduce: number) => reduce === reduceCode.max || reduce === reduceCode.min;
  return (
    disassemble(code).instructions.every(({ op }) => isExactOp(op)) && reductionsOf(code).every(isExtreme)
  );
}

/** The codes of the reductions that a call of `fused` ends in. */
export function reductionsOf(code: Int32Array): number[] {
  return disassemble(code).ends.flatMap(({ reduce }) => (reduce === null ? [] : [reduce]));
}

/** Whether both implementations have to give the same bits. */
export function isExactList(code: Int32Array, wide: number): boolean {
  if (wide !== 0) return false;
  const [outs, , scalars] = code;
  return instructionsFrom(code, 3 + outs + scalars).every(({ op }) => isExactOp(op));
}
