/**
 * Calls every kernel with sizes of 0, 1, 3 and 2³¹ − 1 wherever a size may stand, and with arrays as long as these ask
 * for, where that is short. Prints a line before each call that has not been made in this form, so that the last one names
 * the call that did not return, and a last line with what took long.
 *
 *     npx tsx test/sizes.child.ts fallback|native [tries for each kernel] [seed]
 */
import { writeSync } from 'node:fs';
import type { Kernels } from '../binding.d.ts';
import { geometryFields } from '../lib/kernels/codes.ts';
import { fallback } from '../lib/kernels/fallback/index.ts';
import { loadNative } from '../lib/kernels/native.ts';
import { generator } from './cases/generator.ts';
import { invoke } from './contract/call.ts';
import { codesOf, type KernelName, kernelNames, parameterIndex, signatures } from './contract/signature.ts';

const implementation: Kernels = process.argv[2] === 'native' ? loadNative() : fallback;
const huge = 2 ** 31 - 1;
/** Elements, and milliseconds of this process: others may keep it waiting. */
const [longest, patience] = [4096, 250];
/** For each kernel. */
const tries = Number(process.argv[3] ?? 400);

const next = generator(Number(process.argv[4] ?? 1));
const choose = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)];
const sizes = [0, 0, 1, 3, huge] as const;

/** Sizes of everything, of a pooling a part of the time; what has to be 1 at least is. */
function someGeometry(isPooling: boolean): Int32Array {
  const geometry = Int32Array.from(geometryFields, (field) => {
    if (field === 'groups') return isPooling ? 1 : choose([1, 1, 1, 3]);
    const fromOne = field.startsWith('kernel') || field.startsWith('stride') || field.startsWith('dilation');
    return fromOne ? choose([1, 1, 2, huge]) : choose(sizes);
  });
  if (isPooling)
    geometry[geometryFields.indexOf('outChannels')] = geometry[geometryFields.indexOf('channels')];
  return geometry;
}

/** dims, and strides that are 0 where something is repeated. */
function someLayout(kernel: KernelName): Int32Array {
  const rank = choose([1, 2, 3, 16]);
  const groups = kernel === 'where' ? 3 : 2;
  const dims = Array.from({ length: rank }, () => choose(sizes));
  const strides = Array.from({ length: rank * groups }, () => choose([0, 0, 0, 1, huge]));
  return Int32Array.from([...dims, ...strides, ...(kernel === 'copy' ? [0, 0] : [])]);
}

/** A chain of one instruction over one array, stored or reduced. */
function someChain(): unknown[] {
  const end = choose([-1, 0, 1, 2, 3, 4]);
  const [k0, r0, k1, r1] = Array.from({ length: 4 }, (_, at) =>
    end < 0 && at % 2 === 1 ? 1 : choose(sizes),
  );
  const strides = Array.from({ length: 4 }, () => choose([0, 0, 0, 1, huge]));
  const layout = Int32Array.of(k0, r0, k1, r1, 4, k0, r0, k1, r1, 0, ...strides);
  const code = Int32Array.of(1, 1, end, -1, 0, 0, -1, -1);
  return [
    [new Float32Array(0)],
    [choose([new Float32Array(0), new Int32Array(0)])],
    layout,
    code,
    new Float64Array(0),
  ];
}

function someArguments(kernel: KernelName): unknown[] {
  if (kernel === 'fused') return someChain();
  return signatures.get(kernel)!.map(({ name, type }) => {
    if (name === 'world') return Float64Array.of(1, 0, 0, 0, 0);
    if (name === 'geometry') return someGeometry(/pool/i.test(kernel));
    if (kernel.startsWith('gemm') && name === 'layout') {
      return next() < 0.5 ? null : Int32Array.from({ length: 14 }, () => choose([0, 0, 0, 1, 3, huge]));
    }
    if (name === 'layout') return type.endsWith('null') && next() < 0.1 ? null : someLayout(kernel);
    if (type.startsWith('readonly')) return [];
    // An out that stays what it is.
    if (name === 'code') return Int32Array.of(1, 0, 0, 0);
    if (type === 'Float | null') return choose([null, new Float32Array(0)]);
    if (type.endsWith('null')) return null;
    if (type === 'number' || type === 'Flag') {
      if (name === 'activation') return -1;
      const codes = codesOf(kernel, name);
      if (codes !== null) return Math.floor(next() * codes.length);
      if (type === 'Flag') return choose([0, 1]);
      if (name === 'scale' || name === 'p') return 1;
      return [
        'q',
        'parameter',
        'value',
        'epsilon',
        'momentum',
        'rate',
        'low',
        'high',
        'mean',
        'deviation',
      ].includes(name)
        ? 0
        : choose(sizes);
    }
    if (type === 'Int32Array') return new Int32Array(0);
    if (type === 'Uint32Array') return new Uint32Array(0);
    return type === 'Float64Array' ? new Float64Array(0) : new Float32Array(0);
  });
}

/**
 * The same product added to one matrix as often as `batch` says takes its time, with nothing that is empty, as does a sum of
 * one number over all positions.
 */
function isLong(kernel: KernelName, args: readonly unknown[]): boolean {
  const named = (name: string) => args[parameterIndex(kernel, name)] as number;
  if (kernel === 'fused') {
    return (args[2] as Int32Array).subarray(0, 4).reduce((product, size) => product * size, 1) > 2 ** 20;
  }
  return kernel === 'gemmAccumulate' && named('batch') * named('m') * named('n') * named('k') > 2 ** 20;
}

/** What a refusal asks of the layout of a product: its batch, or a row stride. False where it asks for something else. */
function mendLayout(kernel: KernelName, args: unknown[], message: string): boolean {
  const layout = args[parameterIndex(kernel, 'layout')] as Int32Array;
  const batch = /equal to batch (\d+)/.exec(message);
  if (batch !== null) layout.set([Number(batch[1]), 1]);
  const row = /expected layout\[(\d+)\] to be at least (\d+)/.exec(message);
  if (row !== null) layout[Number(row[1])] = Number(row[2]);
  return batch !== null || row !== null;
}

/** Makes the call, after it has given every array the length that the refusal asks for. False where that is too long. */
function made(kernel: KernelName, args: unknown[]): boolean {
  for (let attempt = 0; attempt < 20; attempt++) {
    try {
      invoke(implementation, kernel, args);
      return true;
    } catch (error) {
      const { name, message } = error as Error;
      if (name !== 'KernelError' && name !== 'IndexError') throw error;
      if (kernel.startsWith('gemm') && mendLayout(kernel, args, message)) continue;
      const [, reached, place, last] =
        /stay within (\w+)(?:\[(\d+)\])? .* position ([\d.e+]+)$/.exec(message) ?? [];
      const length =
        /expected (\w+)(?:\[(\d+)\])? to have length (?:1 or )?([\d.e+]+),/.exec(message) ??
        (reached === undefined ? null : ['', reached, place, String(Number(last) + 1)]);
      const stride = /expected (stride\w) to be 0 (?:or|beside)/.exec(message);
      const at = parameterIndex(kernel, length?.[1] ?? stride?.[1] ?? '');
      if (at < 0) return false;
      if (length === null) {
        args[at] = 0;
        continue;
      }
      const wanted = Number(length[3]);
      if (wanted > longest) return false;
      const isList = length[2] !== undefined;
      const arrays = (isList ? args[at] : args) as Int32Array[];
      const which = isList ? Number(length[2]) : at;
      arrays[which] = new (arrays[which].constructor as Int32ArrayConstructor)(wanted);
    }
  }
  return false;
}

const show = (args: readonly unknown[]): string =>
  args
    .map((value) =>
      ArrayBuffer.isView(value) && !(value instanceof Float32Array) ? `[${value}]` : String(value),
    )
    .join(' ');

function spent(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const calls: Record<string, number> = {};
const slow: string[] = [];
for (const kernel of kernelNames) {
  for (let i = 0; i < tries; i++) {
    const args = someArguments(kernel);
    if (isLong(kernel, args)) continue;
    const call = `${kernel}(${show(args)})`;
    writeSync(1, `${call}\n`);
    const start = spent();
    if (made(kernel, args)) calls[kernel] = (calls[kernel] ?? 0) + 1;
    if (spent() - start > patience) slow.push(call);
  }
}
writeSync(1, `${JSON.stringify({ calls, slow })}\n`);
