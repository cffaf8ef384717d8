/** How each op becomes nodes of a graph: the compiler says which have no rule yet. */
import type { Traced } from '../../trace.ts';
import { elementwise } from './elementwise.ts';
import { images } from './images.ts';
import { products } from './products.ts';
import { recurrent } from './recurrent.ts';
import type { Rules } from './rule.ts';
import { structure } from './structure.ts';

export const rules: Rules<keyof Traced> = {
  ...elementwise,
  ...images,
  ...products,
  ...recurrent,
  ...structure,
};
