/** The operators that an imported model may have, by their names in ONNX. */
import type { Operator } from '../node.ts';
import { elementwise } from './elementwise.ts';
import { images } from './images.ts';
import { normalize } from './normalize.ts';
import { products } from './products.ts';
import { recurrent } from './recurrent.ts';
import { reductions } from './reductions.ts';
import { shapes } from './shapes.ts';

const families = [elementwise, images, normalize, products, recurrent, reductions, shapes];

/** Undefined for what is not known here. */
export function operatorOf(op: string): Operator | undefined {
  return families.find((family) => Object.hasOwn(family, op))?.[op];
}

/** All of them, without those that only this library makes. */
export const operatorNames = (): string[] =>
  families.flatMap((family) => Object.keys(family)).filter((name) => !name.includes(':'));
