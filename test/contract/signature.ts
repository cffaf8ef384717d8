/** The kernels as binding.d.ts declares them, read from its text, and what the tests need to know beyond it. */
import { readFileSync } from 'node:fs';
import type { Kernels } from '../../binding.d.ts';
import { binaryOps, lossOps, reduceOps, unaryOps } from '../../lib/kernels/codes.ts';
import { type Effect, isArrayFact } from '../../lib/kernels/facts.ts';
import { table } from '../../lib/kernels/table.ts';
import { isExactChain, isExactList, reductionsOf } from './lists.ts';

export type KernelName = keyof Kernels;

export type ArgumentType =
  | 'Float'
  | 'Float | null'
  | 'readonly Float[]'
  | 'readonly Float[] | null'
  | 'readonly Data[]'
  | 'Data'
  | 'Int32Array'
  | 'Int32Array | null'
  | 'Uint32Array'
  | 'Float64Array'
  | 'number'
  | 'Flag';

export interface Parameter {
  readonly name: string;
  readonly type: ArgumentType;
}

function parse(): ReadonlyMap<KernelName, readonly Parameter[]> {
  const text = readFileSync(new URL('../../binding.d.ts', import.meta.url), 'utf8');
  const body = /export interface Kernels \{\n([\s\S]*?)\n\}/.exec(text)![1];
  const code = body.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*/g, '');
  const found = new Map<KernelName, Parameter[]>();
  for (const [, name, list] of code.matchAll(/(\w+)\(([^)]*)\): void;/g)) {
    const parameters = list
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
      .map((part) => {
        const [parameter, type] = part.split(':').map((half) => half.trim());
        return { name: parameter, type: type as ArgumentType };
      });
    found.set(name as KernelName, parameters);
  }
  return found;
}

export const signatures = parse();
export const kernelNames = [...signatures.keys()];

export function parameterIndex(kernel: KernelName, name: string): number {
  return signatures.get(kernel)!.findIndex((parameter) => parameter.name === name);
}

/** The destinations of a kernel, from the table. Calls that begin with NaN in what is overwritten hold it to that. */
interface Roles {
  /** Destinations whose old content must not matter. */
  readonly overwritten: readonly string[];
  /** Destinations whose old content counts. */
  readonly updated: readonly string[];
  /** Those of them of which it does not where there is no layout. */
  readonly partly: readonly string[];
}

export const roles = Object.fromEntries(
  kernelNames.map((kernel) => {
    const facts = Object.entries(table[kernel].arguments);
    const written = (...effects: readonly Effect[]) =>
      facts.flatMap(([name, fact]) => (isArrayFact(fact) && effects.includes(fact.effect) ? [name] : []));
    return [
      kernel,
      {
        overwritten: written('overwritten'),
        updated: written('updated', 'partly'),
        partly: written('partly'),
      },
    ];
  }),
) as unknown as Readonly<Record<KernelName, Roles>>;

/** Kernels of one correctly rounded operation an element, or none: nothing is left to an implementation. */
const exactKernels: ReadonlySet<KernelName> = new Set<KernelName>([
  'where',
  'fill',
  'cast',
  'copy',
  'gather',
  'scatterAdd',
  'gatherAlong',
  'scatterAddAlong',
  'oneHot',
  'argmax',
  'argsort',
  'maxPool',
  'randomBits',
  'randomUniform',
  'randomNormal',
  'dropoutMask',
]);

/** Likewise of the kernels that take an op: the names of its exact ones. */
const exactOps: Partial<Record<KernelName, { names: readonly string[]; exact: readonly string[] }>> = {
  unary: {
    names: unaryOps,
    exact: ['neg', 'sqrt', 'abs', 'square', 'reciprocal', 'sign', 'relu', 'floor', 'ceil', 'round'],
  },
  unaryGradient: { names: unaryOps, exact: ['neg', 'abs', 'sign', 'clip', 'relu', 'floor', 'ceil', 'round'] },
  binary: { names: binaryOps, exact: binaryOps.filter((op) => op !== 'pow') },
  binaryGradient: {
    names: binaryOps,
    exact: binaryOps.filter((op) => op !== 'pow' && op !== 'div'),
  },
  reduce: { names: reduceOps, exact: ['max', 'min'] },
  loss: { names: lossOps, exact: [] },
};

/** Whether both implementations have to give the same numbers to the bit (the bits of NaN aside, and see `keepsSigns`). */
export function isExact(kernel: KernelName, args: readonly unknown[]): boolean {
  if (exactKernels.has(kernel)) return true;
  if (kernel === 'elementwise') return isExactList(args[6] as Int32Array, args[7] as number);
  if (kernel === 'fused') return isExactChain(args[3] as Int32Array);
  const ops = exactOps[kernel];
  if (ops === undefined) return false;
  return ops.exact.includes(ops.names[args[parameterIndex(kernel, 'op')] as number]);
}

/** Ops that choose one of two zeros where they are equal. */
const choosing: ReadonlySet<string> = new Set(['maximum', 'minimum', 'max', 'min']);

/** Whether even the sign of a zero is one that both have to give: of exact results that are not chosen among equals. */
export function keepsSigns(kernel: KernelName, args: readonly unknown[]): boolean {
  if (kernel === 'fused') return isExact(kernel, args) && reductionsOf(args[3] as Int32Array).length === 0;
  const names = exactOps[kernel]?.names;
  return isExact(kernel, args) && !choosing.has(names?.[args[parameterIndex(kernel, 'op')] as number] ?? '');
}

/** The list that a code is a position of. */
export function codesOf(kernel: KernelName, name: string): readonly string[] | null {
  if (name === 'activation') return unaryOps;
  const fact = table[kernel].arguments[name];
  return isArrayFact(fact) ? null : (fact.names ?? null);
}
