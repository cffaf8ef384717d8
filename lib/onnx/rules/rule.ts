/** What a rule is: how a step of a forward pass becomes nodes of a graph. */
import type { Traced } from '../../trace.ts';
import type { Graph, Value } from '../graph.ts';
import type { Size } from '../sizes.ts';
import type { Attributes } from '../tracing.ts';

/** What comes of a step. */
export interface Out {
  readonly shape: readonly Size[];
  readonly type: Value['type'];
}

/** Inputs that were left out are undefined; the op says which of them may be. */
export type Rule<Op extends keyof Traced> = (
  graph: Graph,
  inputs: readonly Value[],
  attributes: Attributes<Op>,
  out: Out,
) => Value;

/** A rule for each of some ops. */
export type Rules<Op extends keyof Traced> = { readonly [Name in Op]: Rule<Name> };
