/** What elements of ONNX become. */

import type { Element } from './known.ts';
import { dataType } from './schema.ts';

const { float, float16, bfloat16, double, bool, int8, uint8, int16, uint16, int32, uint32, int64, uint64 } =
  dataType;

/** What a type of ONNX is here; null for what is no number. Halves are floats, which hold all of them. */
export function elementOf(type: number): Element | null {
  if (type === float || type === float16 || type === bfloat16) return 'float32';
  if (type === double) return 'float64';
  if (type === bool) return 'bool';
  return integers.includes(type) ? 'int' : null;
}

const integers: readonly number[] = [int8, uint8, int16, uint16, int32, uint32, int64, uint64];

/** The name of a type in messages. */
export function typeName(type: number): string {
  return Object.entries(dataType).find(([, code]) => code === type)?.[0] ?? `type ${type}`;
}
