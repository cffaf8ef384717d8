/** Elementwise ops and lists of them as loops of WebAssembly: everything between reading and writing stays in registers. */
import type { Float } from '../../../binding.d.ts';
import { type Instruction, ops } from '../instructions.ts';
import { type Vectors, vectorsOf } from './formulas.ts';
import { type Body, Loop, type Wide } from './loops.ts';
import { type Code, f32x4, f64x2 } from './wasm.ts';

/** Four elements, as float32 or in float64, as they are asked for. */
interface Value {
  single(): Code;
  wide(): Wide;
}

const ofSingle = (body: Body, x: Code): Value => {
  let inDouble: Wide | undefined;
  return {
    single: () => x,
    wide: () => {
      inDouble ??= body.widen(x);
      return inDouble;
    },
  };
};

const ofWide = (body: Body, x: Wide): Value => {
  let rounded: Code | undefined;
  return {
    single: () => {
      rounded ??= body.narrow(x);
      return rounded;
    },
    wide: () => x,
  };
};

function apply({ formula, isExact }: Vectors, body: Body, args: readonly Value[], rounds: boolean): Value {
  const keep = (value: Code) => body.keep(value);
  if (isExact && rounds) {
    const singles = args.map((arg) => arg.single());
    return ofSingle(body, body.keep(formula(f32x4, singles, keep)));
  }
  const [low, high] = [0, 1].map((half) => {
    const halves = args.map((arg) => arg.wide()[half]);
    return body.keep(formula(f64x2, halves, keep));
  });
  return rounds ? ofSingle(body, body.narrow([low, high])) : ofWide(body, [low, high]);
}

/** A list, all of whose values are computed. */
export interface Chain {
  /** Values by their number: arrays, numbers, and the results of the instructions from `firstResult` on. */
  readonly arrays: readonly number[];
  readonly numbers: readonly number[];
  readonly firstResult: number;
  /** null for one whose result is not asked for. */
  readonly instructions: readonly (Instruction | null)[];
  /** The values that the loop writes. */
  readonly outs: readonly number[];
  /** Whether each result is rounded to float32, as if it had been stored, or only those that are written. */
  readonly rounds: boolean;
}

/** How many loops are remembered by what they do: those asked for last. */
const mostLoops = 256;
const byContent = new Map<string, Loop | null>();
const byList = new WeakMap<object, Map<string, Loop | null>>();

/**
 * The loop for a variant of a list, which is described when it is asked for the first time; null where an op has no vectors, or
 * has others than JavaScript's though results are not rounded.
 */
export function loopOf(list: object, variant: string, describe: () => Chain): Loop | null {
  const variants = byList.get(list) ?? new Map<string, Loop | null>();
  byList.set(list, variants);
  const loop = variants.get(variant);
  if (loop !== undefined) return loop;
  const made = loopByContent(describe());
  variants.set(variant, made);
  return made;
}

function loopByContent(chain: Chain): Loop | null {
  const { instructions, ...rest } = chain;
  const list = instructions.map((own) => own && [ops.indexOf(own.op), own.operands]);
  const key = JSON.stringify([rest, list]);
  const loop = byContent.get(key) ?? makeLoop(chain);
  byContent.delete(key);
  byContent.set(key, loop);
  if (byContent.size > mostLoops) byContent.delete(byContent.keys().next().value!);
  return loop;
}

function makeLoop({ arrays, numbers, firstResult, instructions, outs, rounds }: Chain): Loop | null {
  const vectors = instructions.map((instruction) => instruction && vectorsOf(instruction.op));
  if (vectors.some((found) => found === undefined || (!rounds && found?.isApproximate))) return null;
  return new Loop(arrays.length, outs.length, numbers.length, 0, (body, ins, own) => {
    const values: Value[] = [];
    arrays.forEach((value, i) => {
      values[value] = ofSingle(body, ins[i]);
    });
    const parameters: Value[] = [];
    numbers.forEach((value, i) => {
      parameters[value] = ofWide(body, own[i]);
      values[value] = rounds ? ofSingle(body, body.narrow(own[i])) : parameters[value];
    });
    const zero = ofWide(body, [f64x2.const(0), f64x2.const(0)]);
    instructions.forEach((instruction, i) => {
      if (instruction === null) return;
      const { op, operands } = instruction;
      const args = operands.map((value, at) => {
        if (at >= op.arrays) return value < 0 ? zero : parameters[value];
        return values[value < 0 ? operands[0] : value];
      });
      const result = apply(vectors[i]!, body, args, rounds);
      const isOut = outs.includes(firstResult + i);
      values[firstResult + i] = isOut ? ofSingle(body, result.single()) : result;
    });
    return { outs: outs.map((value) => values[value].single()) };
  });
}

// ── one op ──────────────────────────────────────────────────────────────────────────────────────────────────────────

interface Single {
  readonly loop: Loop | null;
  readonly isApproximate: boolean;
}

/** By the number of the op. */
const single: Single[] = [];

function loopOfOp(number: number): Single {
  const op = ops[number];
  const arrays = Array.from({ length: op.arrays }, (_, i) => i);
  const numbers = Array.from({ length: op.parameters }, (_, i) => op.arrays + i);
  const firstResult = op.arrays + op.parameters;
  const instructions = [{ op, operands: [...arrays, ...numbers] }];
  const loop = makeLoop({ arrays, numbers, firstResult, instructions, outs: [firstResult], rounds: true });
  return { loop, isApproximate: vectorsOf(op)?.isApproximate ?? false };
}

/**
 * Whether op number `number` was computed by vectors: of float32, where there are any, and if the arrays are long enough;
 * however long where the result may differ from that of the loop in JavaScript.
 */
export function runByVectors(
  number: number,
  out: Float,
  arrays: readonly Float[],
  parameters: readonly number[],
): boolean {
  single[number] ??= loopOfOp(number);
  const { loop, isApproximate } = single[number];
  if (loop === null || !(isApproximate ? out instanceof Float32Array && loop.works : loop.suits(out))) {
    return false;
  }
  loop.flat([out as Float32Array], arrays as Float32Array[], parameters);
  return true;
}
