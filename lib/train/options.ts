/** Checks of arguments that fit, evaluate and predict share. */
import { ArgumentError } from '../errors.ts';
import { Layer } from '../layers/layer.ts';

/** What a message calls a value that is something else than expected. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return `an object of class ${value.constructor?.name ?? 'null'}`;
  return typeof value === 'function' ? 'a function' : JSON.stringify(value);
}

/** @throws ArgumentError unless value is a Layer. */
export function checkModel(op: string, value: unknown): asserts value is Layer {
  if (!(value instanceof Layer)) {
    throw new ArgumentError(`[${op}] expected model to be a Layer, got ${describe(value)}`);
  }
}

/** @throws ArgumentError unless options is an object that has only known names: a misspelt one would be lost. */
export function checkNames(op: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) {
    throw new ArgumentError(`[${op}] expected options to be an object, got ${describe(options)}`);
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) {
      throw new ArgumentError(`[${op}] expected options among ${known.join(', ')}, got ${name}`);
    }
  }
}

/** @throws ArgumentError unless value is an integer of at least 1. */
export function checkPositive(op: string, name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new ArgumentError(
      `[${op}] expected ${name} to be an integer of at least 1, got ${describe(value)}`,
    );
  }
}

/** @throws ArgumentError unless value is true or false. */
export function checkBoolean(op: string, name: string, value: boolean): void {
  if (typeof value !== 'boolean') {
    throw new ArgumentError(`[${op}] expected ${name} to be true or false, got ${describe(value)}`);
  }
}

/** @throws ArgumentError unless value is an AbortSignal or left out. */
export function checkSignal(op: string, value: AbortSignal | undefined): void {
  if (value !== undefined && !(value instanceof AbortSignal)) {
    throw new ArgumentError(`[${op}] expected signal to be an AbortSignal, got ${describe(value)}`);
  }
}
