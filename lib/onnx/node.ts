/** One operator of an imported graph, as plain data and as what reads it. */
import { describe, isArray, isRecord } from '../arguments.ts';
import { ArgumentError, FormatError } from '../errors.ts';
import type { Json } from '../layers/config.ts';
import type { FloatDtype } from '../memory.ts';
import type { Activation } from '../ops/epilogue.ts';
import type { AnySharedTensor } from '../parameter.ts';
import { checkSize, show, sizeOf } from '../shape.ts';
import { type Element, elementNames, type Known, known } from './known.ts';
import { isKnown, type Value } from './value.ts';

/** A node of the graph as the config of a model has it. */
export interface NodeConfig {
  /** The operator, with its domain before a colon unless that is ONNX's own. */
  readonly op: string;
  readonly name: string;
  /** Names of values; '' for one that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: { readonly [name: string]: Json };
}

/** A branch of `If`, as attribute. */
export interface GraphConfig {
  readonly nodes: readonly NodeConfig[];
  readonly outputs: readonly string[];
}

/** What a run of an operator may depend on beside its inputs. */
export interface Context {
  readonly training: boolean;
  readonly trainable: boolean;
}

export type Run = (inputs: readonly (Value | undefined)[], context: Context) => Value | readonly Value[];

/** Reads a node's attributes, once, and gives what runs it. */
export type Operator = (node: OnnxNode) => Run;

/** What a model has that cannot be done here, of which an import collects all. */
export class Refusal extends ArgumentError {}

/** JSON's texts for numbers that it has none for. */
const texts: Readonly<Record<string, number>> = {
  Infinity,
  '-Infinity': -Infinity,
  NaN: Number.NaN,
  '-0': -0,
};

/** A number, also as a config writes one that JSON has no text for. */
export const readNumber = (value: unknown): unknown =>
  typeof value === 'string' && Object.hasOwn(texts, value) ? texts[value] : value;

/** How long names are in messages. */
const longest = 80;
export const shortName = (name: string): string =>
  name.length > longest ? `${name.slice(0, longest)}…` : name;

export class OnnxNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  private readonly attributes: NodeConfig['attributes'];

  constructor(
    private readonly config: NodeConfig,
    /** Of the operator's domain. */
    readonly opset: number,
    /** Which values somebody reads. */
    private readonly isWanted: (output: string) => boolean,
    /** What follows the operator in the same kernel call, where it can. */
    readonly activation: Activation | null = null,
    /** That of the model's weights. */
    readonly dtype: FloatDtype = 'float32',
    /** Takes what the operator keeps from run to run, for checkpoints. */
    readonly remember: (state: AnySharedTensor) => void = () => {},
  ) {
    this.op = config.op;
    this.inputs = config.inputs;
    this.outputs = config.outputs;
    this.attributes = config.attributes;
  }

  /** What messages call it. */
  get label(): string {
    return labelOf(this.config);
  }

  /** An error about what the file says. */
  error(expected: string, got: string): FormatError {
    return new FormatError(`${this.label}: expected ${expected}, got ${got}`);
  }

  /** An error about what the file may say, and what is not done here. */
  refusal(expected: string, got: string): Refusal {
    return new Refusal(`${this.label}: expected ${expected}, got ${got}`);
  }

  has(attribute: string): boolean {
    return Object.hasOwn(this.attributes, attribute);
  }

  /** Whether an input is there. */
  takes(input: number): boolean {
    return (this.inputs[input] ?? '') !== '';
  }

  /** @throws FormatError unless so many inputs are there, those that may be left out apart */
  checkInputs(least: number, most = least): void {
    const { length } = this.inputs;
    if (length >= least && length <= most) {
      const needed = most === Infinity ? length : least;
      for (let i = 0; i < needed; i++) if (!this.takes(i)) throw this.error(`input ${i}`, 'none');
      return;
    }
    const count =
      least === most ? `${least}` : most === Infinity ? `at least ${least}` : `${least} to ${most}`;
    throw this.error(`${count} input${count === '1' ? '' : 's'}`, `${length}`);
  }

  /** Whether somebody reads an output. */
  isRead(output: number): boolean {
    const name = this.outputs[output] ?? '';
    return name !== '' && this.isWanted(name);
  }

  /** @throws Refusal where somebody reads an output beyond these */
  checkOutputs(most: number): void {
    const beyond = this.outputs.findIndex((_, i) => i >= most && this.isRead(i));
    if (beyond >= 0) throw this.refusal(`a reader of output ${most - 1} at most`, `one of output ${beyond}`);
  }

  private read<Kind>(
    name: string,
    what: string,
    otherwise: Kind | undefined,
    check: (value: unknown) => value is Kind,
  ) {
    if (!this.has(name)) {
      if (otherwise !== undefined) return otherwise;
      throw this.error(`attribute ${name}`, 'none');
    }
    const given = this.attributes[name];
    const value = isArray(given) ? given.map(readNumber) : readNumber(given);
    if (check(value)) return value;
    throw this.error(`attribute ${name} to be ${what}`, describe(value));
  }

  int(name: string, otherwise?: number): number {
    return this.read(name, 'an integer', otherwise, isInteger);
  }

  float(name: string, otherwise?: number): number {
    return this.read(name, 'a number', otherwise, (value): value is number => typeof value === 'number');
  }

  flag(name: string, otherwise: boolean): boolean {
    return this.int(name, Number(otherwise)) !== 0;
  }

  text(name: string, otherwise?: string): string {
    return this.read(name, 'a text', otherwise, (value): value is string => typeof value === 'string');
  }

  ints(name: string, otherwise?: readonly number[]): readonly number[] {
    return this.read(
      name,
      'integers',
      otherwise,
      (value): value is number[] => isArray(value) && value.every(isInteger),
    );
  }

  floats(name: string, otherwise?: readonly number[]): readonly number[] {
    return this.read(
      name,
      'numbers',
      otherwise,
      (value): value is number[] => isArray(value) && value.every((each) => typeof each === 'number'),
    );
  }

  texts(name: string, otherwise: readonly string[]): readonly string[] {
    return this.read(
      name,
      'texts',
      otherwise,
      (value): value is string[] => isArray(value) && value.every((each) => typeof each === 'string'),
    );
  }

  /** One of some words. */
  choice<Word extends string>(name: string, words: readonly Word[], otherwise: Word): Word {
    const given = this.text(name, otherwise) as Word;
    if (words.includes(given)) return given;
    throw this.refusal(`attribute ${name} to be ${words.join(' or ')}`, describe(given));
  }

  tensor(name: string): Known {
    if (!this.has(name)) throw this.error(`attribute ${name}`, 'none');
    return readKnown(this.attributes[name], (got) =>
      this.error(`attribute ${name} to be a small tensor`, got),
    );
  }

  branch(name: string): GraphConfig {
    const given = this.attributes[name];
    if (isRecord(given) && isArray((given as unknown as GraphConfig).nodes))
      return given as unknown as GraphConfig;
    throw this.error(`attribute ${name} to be a graph`, describe(given));
  }

  /** Integers that are known as the node runs. @throws Refusal where they are computed from data */
  ints1d(value: Value | undefined, what: string): readonly number[] {
    const { values, shape, dtype } = this.known(value, what);
    if (shape.length <= 1 && values.every(Number.isInteger) && dtype !== 'float32') return values;
    throw this.error(`${what} to be a list of integers`, `${dtype} ${show(shape)}`);
  }

  known(value: Value | undefined, what: string): Known {
    if (isKnown(value)) return value;
    if (value === undefined) throw this.error(what, 'none');
    throw this.refusal(`${what} to follow from constants and shapes alone`, 'what is computed of data');
  }

  /** A number that is known as the node runs. */
  scalar(value: Value | undefined, what: string): number {
    const { values } = this.known(value, what);
    if (values.length === 1) return values[0];
    throw this.error(`${what} to be one number`, `${values.length}`);
  }

  /** The axis counted from the front. */
  axis(axis: number, rank: number): number {
    if (Number.isInteger(axis) && axis >= -rank && axis < rank) return axis < 0 ? axis + rank : axis;
    throw this.error(`an axis from ${-rank} to ${rank - 1}`, String(axis));
  }

  /** The axes counted from the front, each once. */
  axes(axes: readonly number[], rank: number): number[] {
    const own = axes.map((axis) => this.axis(axis, rank));
    if (new Set(own).size === own.length) return own;
    throw this.error('each axis once', show(axes));
  }
}

const isInteger = (value: unknown): value is number => Number.isInteger(value);

export function labelOf({ op, name, outputs }: NodeConfig): string {
  return `node '${shortName(name || outputs[0] || '')}' (${shortName(op)})`;
}

/** A small tensor as a config has it. */
export function readKnown(given: unknown, refuse: (got: string) => Error): Known {
  if (!isRecord(given)) throw refuse(describe(given));
  const { dtype, shape, values } = given as { dtype?: unknown; shape?: unknown; values?: unknown };
  if (!elementNames.includes(dtype as Element)) throw refuse(`one of dtype ${describe(dtype)}`);
  if (!isArray(shape) || !isArray(values)) throw refuse('one without shape or values');
  if (!shape.every((size) => isInteger(size) && size >= 0)) throw refuse(`one of shape ${show(shape)}`);
  const sizes = shape as readonly number[];
  checkSize('OnnxModel', sizes);
  const own = values.map(readNumber);
  if (own.length !== sizeOf(sizes)) throw refuse(`${own.length} values for shape ${show(shape)}`);
  const isRight = (value: unknown) =>
    typeof value === 'number' && (dtype === 'float32' || dtype === 'float64' || Number.isInteger(value));
  if (!own.every(isRight)) throw refuse('values that are none of its dtype');
  return known(dtype as Element, [...sizes], own as number[]);
}
