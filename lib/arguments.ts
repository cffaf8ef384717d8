/** Checks of arguments that have nothing to do with tensors, and how messages show what was given. */
import { ArgumentError } from './errors.ts';

/** What a message calls a value that is something else than expected. Never throws itself, whatever the value. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
    case 'bigint':
      return `${value}n`;
    case 'symbol':
      return 'a symbol';
    case 'function':
      return 'a function';
    case 'object':
      if (value === null) return 'null';
      if (Array.isArray(value)) return 'an array';
      return typeof value.constructor === 'function'
        ? `an object of class ${value.constructor.name}`
        : 'an object';
    default:
      return String(value);
  }
}

/** @throws ArgumentError unless options is an object that has only known names: a misspelt one would be lost. */
export function checkOptions(op: string, options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
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

/** @throws ArgumentError unless value is a function. */
export function checkFunction(op: string, name: string, value: unknown): void {
  if (typeof value !== 'function') {
    throw new ArgumentError(`[${op}] expected ${name} to be a function, got ${describe(value)}`);
  }
}
