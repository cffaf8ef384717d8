/**
 * The ops of the kernels `elementwise` and `fused`: an op of a list for each code of a family, numbered family by family.
 * `native/instructions.cc` numbers them likewise.
 */
import { binaryOps, lossOps, reduceOps, unaryOps } from './codes.ts';

/**
 * What an instruction reads. Arrays are operands that may be any values; parameters, behind them, are scalars or −1:
 *
 * unary x; p, q · binary a, b · where condition, a, b · unaryGradient gradient, x or y as `gradientFromOutput` says (−1 where
 * neither is read); p, q · binaryGradient gradient, a, b · loss prediction, target; parameter, scale · lossGradient gradient,
 * prediction, target; parameter, scale · lossSlope the same by one gradient for all elements, as a gradient of length 1 is
 */
export type Form =
  | 'unary'
  | 'binary'
  | 'where'
  | 'unaryGradient'
  | 'binaryGradient'
  | 'loss'
  | 'lossGradient'
  | 'lossSlope';

export interface Op {
  readonly form: Form;
  /** The position in the list of the form's codes. */
  readonly code: number;
  /** By which operand a gradient is. */
  readonly operand: 0 | 1;
  readonly arrays: number;
  readonly parameters: number;
}

const family = (
  form: Form,
  names: readonly unknown[],
  arrays: number,
  parameters: number,
  operand: 0 | 1 = 0,
): Op[] => names.map((_, code) => ({ form, code, operand, arrays, parameters }));

export interface Instruction {
  readonly op: Op;
  /** Numbers of values, arrays before parameters; −1 for none. */
  readonly operands: readonly number[];
}

/** By number. */
export const ops: readonly Op[] = [
  ...family('unary', unaryOps, 1, 2),
  ...family('binary', binaryOps, 2, 0),
  ...family('where', ['where'], 3, 0),
  ...family('unaryGradient', unaryOps, 2, 2),
  ...family('binaryGradient', binaryOps, 3, 0, 0),
  ...family('binaryGradient', binaryOps, 3, 0, 1),
  ...family('loss', lossOps, 2, 2),
  ...family('lossGradient', lossOps, 3, 2, 0),
  ...family('lossGradient', lossOps, 3, 2, 1),
  ...family('lossSlope', lossOps, 3, 2, 0),
  ...family('lossSlope', lossOps, 3, 2, 1),
];

/** Those that the kernel `elementwise` has come first. */
export const elementwiseOps = unaryOps.length + binaryOps.length + 1;

export const maxValues = 256;

/** Where the ops of a form begin, by operand. */
const firsts = new Map(
  ops.flatMap(({ form, code, operand }, at): [string, number][] =>
    code === 0 ? [[form + operand, at]] : [],
  ),
);

/** The number of an op. */
export function opNumber(form: Form, code = 0, operand: 0 | 1 = 0): number {
  return firsts.get(form + operand)! + code;
}

// ── lists for `fused` ───────────────────────────────────────────────────────────────────────────────────────────────

/** A value of a list, before values are numbered. */
export type Value =
  | { readonly kind: 'in'; readonly at: number }
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'result'; readonly at: number };

export interface Step {
  /** A number of `ops`. */
  readonly op: number;
  /** As many as the op has, null for −1. */
  readonly operands: readonly (Value | null)[];
}

export interface End {
  readonly value: Value;
  /** A code of `reduceOps`; null for a value that is stored. */
  readonly reduce: number | null;
  /** Of sum, product and sumOfSquares; 1 where it is not given. */
  readonly scale?: number;
}

/** The code and the constants of a list. */
export function assemble(
  ins: number,
  steps: readonly Step[],
  ends: readonly End[],
): { code: Int32Array<ArrayBuffer>; constants: Float64Array<ArrayBuffer> } {
  const constants: number[] = [];
  const constantAt = (value: number): number => {
    const found = constants.findIndex((other) => Object.is(other, value));
    return ins + (found < 0 ? constants.push(value) - 1 : found);
  };
  for (const { operands } of steps) {
    for (const operand of operands) if (operand?.kind === 'constant') constantAt(operand.value);
  }
  const scaleOf = ({ scale = 1 }: End) => (scale === 1 ? -1 : constantAt(scale));
  for (const end of ends) {
    if (end.value.kind === 'constant') constantAt(end.value.value);
    scaleOf(end);
  }
  const firstResult = ins + constants.length;
  const numberOf = (value: Value | null): number => {
    if (value === null) return -1;
    if (value.kind === 'constant') return constantAt(value.value);
    return value.kind === 'in' ? value.at : firstResult + value.at;
  };
  return {
    code: Int32Array.from([
      ends.length,
      ...ends.flatMap((end) => [numberOf(end.value), end.reduce ?? -1, scaleOf(end)]),
      ...steps.flatMap(({ op, operands }) => [op, ...operands.map(numberOf)]),
    ]),
    constants: Float64Array.from(constants),
  };
}

/** What the code of a call of `fused` says of its ends and instructions. */
export function disassemble(code: Int32Array): {
  ends: { value: number; reduce: number | null; scale: number }[];
  instructions: Instruction[];
} {
  const count = code[0];
  const ends = Array.from({ length: count }, (_, i) => {
    const [value, end, scale] = code.subarray(1 + 3 * i, 4 + 3 * i);
    return { value, reduce: end < 0 ? null : end, scale };
  });
  return { ends, instructions: instructionsFrom(code, 1 + 3 * count) };
}

/** The instructions of a code from a place on. */
export function instructionsFrom(code: Int32Array, from: number): Instruction[] {
  const instructions: Instruction[] = [];
  for (let at = from; at < code.length; ) {
    const op = ops[code[at]];
    const next = at + 1 + op.arrays + op.parameters;
    instructions.push({ op, operands: [...code.subarray(at + 1, next)] });
    at = next;
  }
  return instructions;
}

/** For a reader: `square·sum, mul`. */
export function describeCode(code: Int32Array): string {
  const { ends, instructions } = disassemble(code);
  const names = instructions.map(({ op: { form, code: at } }) => {
    if (form === 'unary') return unaryOps[at];
    if (form === 'binary') return binaryOps[at];
    if (form === 'where') return form;
    const list = form === 'unaryGradient' ? unaryOps : form === 'binaryGradient' ? binaryOps : lossOps;
    return form === 'loss' ? list[at] : `${list[at]}′`;
  });
  const reduced = ends.flatMap(({ reduce }) => (reduce === null ? [] : [reduceOps[reduce]]));
  return [...names, ...reduced].join(' ');
}
