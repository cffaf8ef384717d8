/** The table of elementwise calls, copies and reductions as chains: what each reads, where, and by which instruction. */
import { stridesOf } from '../../shape.ts';
import { unaryCode } from '../codes.ts';
import { opNumber, type Value } from '../instructions.ts';
import type { RecordedCall } from '../recorder.ts';
import { Chain, constant, given, type Out, type Place, results } from './chain.ts';
import { dtypeOf, type Memory } from './nodes.ts';

const parameter = (value: number): Value | null => (Object.is(value, 0) ? null : constant(value));
const scaleOf = (value: number): Value | null => (value === 1 ? null : constant(value));

/** A recorded call as a chain; null for one that is none. */
export function chainOf(call: RecordedCall): Chain | null {
  const read = readers[call[0]];
  return read === undefined ? null : read(call);
}

type Reader = (call: RecordedCall) => Chain | null;

const place = (memory: Memory, strides: readonly number[], offset = 0): Place => {
  return { memory, offset, strides: [...strides] };
};

/** A chain of one instruction, with its out contiguous over dims. */
function one(
  call: RecordedCall,
  dims: readonly number[],
  operands: readonly (Place | null)[],
  op: number,
  parameters: readonly (Value | null)[] = [],
): Chain | null {
  const out = call[1] as Memory;
  const dtype = dtypeOf(out);
  if (dtype === 'int32' || dtype === 'uint32' || out.length === 0) return null;
  const ins: Place[] = [];
  const values = operands.map((operand): Value | null => {
    if (operand === null) return null;
    return given[ins.push(operand) - 1];
  });
  const value: Value = results[0];
  const end = { ...place(out, stridesOf(dims)), value, reduce: null, scale: 1 };
  return new Chain(dtype, dims, ins, [{ op, operands: [...values, ...parameters] }], [end], null, call);
}

/** Operands as long as the out, or of one element, or by the strides of a layout. */
function broadcast(out: Memory, layout: Int32Array | null, operands: readonly Memory[]): [number[], Place[]] {
  if (layout === null) {
    return [[out.length], operands.map((x) => place(x, [x.length === out.length ? 1 : 0]))];
  }
  const rank = layout.length / (operands.length + 1);
  const dims = [...layout.subarray(0, rank)];
  return [dims, operands.map((x, i) => place(x, [...layout.subarray((i + 1) * rank, (i + 2) * rank)]))];
}

const readers: Partial<Record<RecordedCall[0], Reader>> = {
  unary(call) {
    const [out, x, op, p, q] = call.slice(1) as [Memory, Memory, number, number, number];
    return one(call, [out.length], [place(x, [1])], opNumber('unary', op), [parameter(p), parameter(q)]);
  },
  unaryGradient(call) {
    const [out, gradient, x, y, op, p, q] = call.slice(1) as [
      Memory,
      Memory,
      Memory | null,
      Memory | null,
      number,
      number,
      number,
    ];
    const given = op === unaryCode.neg || op === unaryCode.scale ? null : (x ?? y);
    const operands = [place(gradient, [1]), given === null ? null : place(given, [1])];
    return one(call, [out.length], operands, opNumber('unaryGradient', op), [parameter(p), parameter(q)]);
  },
  binary(call) {
    const [out, a, b, layout, op] = call.slice(1) as [Memory, Memory, Memory, Int32Array | null, number];
    return one(call, ...broadcast(out, layout, [a, b]), opNumber('binary', op));
  },
  binaryGradient(call) {
    const [out, gradient, a, b, layout, op, operand] = call.slice(1) as [
      Memory,
      Memory,
      Memory,
      Memory,
      Int32Array | null,
      number,
      0 | 1,
    ];
    const [dims, operands] = broadcast(out, layout, [a, b]);
    const first = place(gradient, stridesOf(dims));
    return one(call, dims, [first, ...operands], opNumber('binaryGradient', op, operand));
  },
  where(call) {
    const [out, condition, a, b, layout] = call.slice(1) as [
      Memory,
      Memory,
      Memory,
      Memory,
      Int32Array | null,
    ];
    return one(call, ...broadcast(out, layout, [condition, a, b]), opNumber('where'));
  },
  loss(call) {
    const [out, prediction, target, op, delta, scale] = call.slice(1) as [
      Memory,
      Memory,
      Memory,
      number,
      number,
      number,
    ];
    if (out.length !== prediction.length) return null;
    const operands = [place(prediction, [1]), place(target, [1])];
    return one(call, [out.length], operands, opNumber('loss', op), [parameter(delta), scaleOf(scale)]);
  },
  lossGradient(call) {
    const [out, gradient, prediction, target, op, delta, scale, operand] = call.slice(1) as [
      Memory,
      Memory,
      Memory,
      Memory,
      number,
      number,
      number,
      0 | 1,
    ];
    const isOne = gradient.length === 1;
    const operands = [place(gradient, [isOne ? 0 : 1]), place(prediction, [1]), place(target, [1])];
    const form = isOne ? 'lossSlope' : 'lossGradient';
    return one(call, [out.length], operands, opNumber(form, op, operand), [parameter(delta), scaleOf(scale)]);
  },
  fill(call) {
    const [out, value] = call.slice(1) as [Memory, number];
    const dtype = dtypeOf(out);
    if (dtype === 'int32' || dtype === 'uint32' || out.length === 0) return null;
    const end = { ...place(out, [1]), value: constant(value), reduce: null, scale: 1 };
    return new Chain(dtype, [out.length], [], [], [end], null, call);
  },
  cast(call) {
    const [out, x] = call.slice(1) as [Memory, Memory];
    const [to, from] = [dtypeOf(out), dtypeOf(x)];
    if (to === 'uint32' || out.length === 0 || (from !== to && (from !== 'int32' || to === 'int32')))
      return null;
    const end: Out = { ...place(out, [1]), value: given[0], reduce: null, scale: 1 };
    return new Chain(to, [out.length], [place(x, [1])], [], [end], null, call);
  },
  copy(call) {
    const [out, x, layout] = call.slice(1) as [Memory, Memory, Int32Array];
    const dtype = dtypeOf(out);
    if (dtype === 'uint32' || out.length === 0) return null;
    const rank = (layout.length - 2) / 3;
    const group = (i: number) => [...layout.subarray(i * rank, (i + 1) * rank)];
    const dims = group(0);
    const to = place(out, group(1), layout[3 * rank]);
    const end: Out = { ...to, value: given[0], reduce: null, scale: 1 };
    return new Chain(dtype, dims, [place(x, group(2), layout[3 * rank + 1])], [], [end], null, call);
  },
  reduce(call) {
    const [out, x, k0, r0, k1, r1, op, scale] = call.slice(1) as [
      Memory,
      Memory,
      number,
      number,
      number,
      number,
      number,
      number,
    ];
    const dtype = dtypeOf(out);
    if (dtype === 'int32' || dtype === 'uint32' || x.length === 0) return null;
    const end: Out = { ...place(out, []), value: given[0], reduce: op, scale };
    return new Chain(dtype, [x.length], [place(x, [1])], [], [end], [k0, r0, k1, r1], call);
  },
};
